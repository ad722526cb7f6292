/** What a reader of one kind of file offers; `readers.ts` lists them. */

import type { MedicalImage } from "./image";

/** An image that can be read: one file, or the files of one series. */
export interface ImageSource {
  /** For people: the file's name, or that of the series. */
  readonly name: string;
  /**
   * Reads it; may be called again, when the image was let go in the meantime.
   *
   * @throws ImageError for a file that cannot be used.
   */
  load(): Promise<MedicalImage>;
  /**
   * What a server is sent to segment the same image: the file as it is, or a zip of the slices.
   *
   * @throws ImageError as `load`.
   */
  upload(): Promise<Blob>;
}

/** What the model takes, which decides how some files are read. */
export interface Wanted {
  readonly dims: 2 | 3;
  readonly channels: number;
}

export interface ImageReader {
  /** Whether a file is of this kind, by its first bytes (at most 4096) and its name. */
  recognises(start: Uint8Array, name: string): boolean;
  /**
   * Sorts files of this kind that came together into images, without reading any voxels.
   *
   * @throws ImageError where that fails for all of them.
   */
  sources(files: readonly File[], wanted: Wanted): Promise<readonly ImageSource[]>;
}
