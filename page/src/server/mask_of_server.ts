/** The labels in a mask as the server sends it. */

import { decodePng } from "../images/png/decode";

/** A file within JSON. */
export interface EncodedFile {
  readonly media_type: string;
  readonly base64: string;
}

/**
 * One label for each voxel, in the image's own axes.
 *
 * @param shape of the image.
 * @throws Error where the mask lies on another grid, which a server of this version never sends.
 */
export async function labelsOf(mask: EncodedFile, shape: readonly number[]): Promise<Uint8Array> {
  const bytes = Uint8Array.from(atob(mask.base64), (letter) => letter.charCodeAt(0));
  const found = mask.media_type === "image/png" ? await ofPicture(bytes) : await ofVolume(bytes);
  if (found.shape.join() !== shape.join()) {
    throw new Error(`the server's mask has the shape ${found.shape.join("x")}, not ${shape.join("x")}`);
  }
  return found.labels;
}

interface Labels {
  readonly shape: readonly number[];
  readonly labels: Uint8Array;
}

async function ofPicture(bytes: Uint8Array): Promise<Labels> {
  const { height, width, samples } = await decodePng(bytes);
  return { shape: [height, width], labels: Uint8Array.from(samples) };
}

async function ofVolume(bytes: Uint8Array): Promise<Labels> {
  const { readNifti } = await import("../images/nifti/read");
  const { shape, values } = readNifti(bytes, "mask", 1);
  return { shape, labels: Uint8Array.from(values) };
}
