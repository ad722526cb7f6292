/** NIfTI files, one image each. */

import { DamagedGzip, GzipBytes, isGzip } from "../gzip";
import { readBytes } from "../memory";
import type { ImageReader } from "../reader";

const NAME = /\.nii(\.gz)?$/i;
const SIZES = [348, 540];

/** The reader; its code is loaded with the first file. */
export const nifti: ImageReader = {
  recognises: (start, name) => NAME.test(name) || beginsWithHeader(start),

  sources: async (files, { channels }) =>
    files.map((file) => ({
      name: file.name,
      load: async () => {
        const { readNifti } = await import("./read");
        return readNifti(await readBytes(file), file.name, channels);
      },
      upload: () => Promise.resolve(file),
    })),
};

/** Whether the first bytes, inflated where they are compressed, state a NIfTI header's size. */
function beginsWithHeader(start: Uint8Array): boolean {
  const size = new Uint8Array(4);
  try {
    if (isGzip(start)) new GzipBytes(start).read(size);
    else size.set(start.subarray(0, 4));
  } catch (error) {
    if (!(error instanceof DamagedGzip)) throw error;
  }
  const view = new DataView(size.buffer);
  return SIZES.includes(view.getInt32(0, true)) || SIZES.includes(view.getInt32(0, false));
}
