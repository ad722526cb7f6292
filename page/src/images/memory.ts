/** Memory for voxels, or a sentence where the browser has not so much. */

import { FILES } from "../app/volume_texts";
import { ImageError } from "./image";

/**
 * Makes an array of `size` elements by `make`.
 *
 * @throws ImageError the browser refuses.
 */
export function takeMemory<A>(size: number, make: (size: number) => A): A {
  try {
    return make(size);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ImageError(FILES.noMemory(size));
  }
}

/** Bytes of a file that are read at once: what browsers allow in one array. */
const MOST_BYTES = 2 ** 31;

/**
 * A whole file.
 *
 * @throws ImageError the file is larger than 2 GB, is gone, or the browser has no memory for it.
 */
export async function readBytes(file: Blob): Promise<Uint8Array> {
  if (file.size >= MOST_BYTES) throw new ImageError(FILES.tooLarge((file.size / 1e9).toFixed(1)));
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    if (error instanceof RangeError) throw new ImageError(FILES.noMemory(file.size));
    throw new ImageError(FILES.unreadable);
  }
}
