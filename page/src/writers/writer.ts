/** What a writer of masks offers; `writers.ts` lists them. */

import type { ModelDescription } from "../engine/engine";
import type { MedicalImage } from "../images/image";

export interface MaskWriter {
  /** For people, as a button's text. */
  readonly title: string;
  /** Of the file's name, such as "_mask.png": an image is not replaced by its mask. */
  readonly ending: string;
  /** Whether a mask of this image can be written so. */
  suits(image: MedicalImage): boolean;
  /**
   * The file's content.
   *
   * @param labels one for each voxel, in the image's own axes and shape.
   */
  write(image: MedicalImage, labels: Uint8Array, model: ModelDescription): Promise<Blob>;
}
