/** Which viewer shows which images. Each is loaded when the first of its images comes. */

import type { MedicalImage } from "../images/image";
import type { MakeViewer } from "./viewer";

type LoadViewer = () => Promise<MakeViewer>;

const pictures: LoadViewer = async () =>
  (await import("../pictures/picture_viewer")).makePictureViewer;
/** Not in the one file: what draws volumes is as large as everything else together. */
const volumes: LoadViewer | undefined = ONE_FILE
  ? undefined
  : async () => (await import("../volumes/volume_viewer")).makeVolumeViewer;

export function viewerFor(image: MedicalImage): LoadViewer | undefined {
  return image.shape.length === 3 ? volumes : pictures;
}
