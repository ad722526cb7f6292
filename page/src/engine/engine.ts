/** The network in a worker, as the rest of the page sees it. */

import type { MedicalImage } from "../images/image";

/** What model.json says, as far as the page needs it. */
export interface ModelDescription {
  readonly dims: 2 | 3;
  readonly channels: number;
  /** Index is the label's value; 0 is the background. Colours are red, green, blue, 0 to 255. */
  readonly labels: readonly { readonly name: string; readonly colour: readonly [number, number, number] }[];
}

export interface Segmentation {
  /** One label for each voxel, in the image's own axes and shape. */
  readonly labels: Uint8Array;
  /** Why the image is unlike those that the model was trained on; null if it is like them. */
  readonly unlike: { readonly score: number; readonly limit: number; readonly mostUnusual: string } | null;
  readonly seconds: number;
}

export interface SegmentOptions {
  /** Called with 0 to 1. */
  readonly onProgress?: (done: number) => void;
  /** Aborting ends the work at once; the promise is rejected with an AbortError. */
  readonly signal?: AbortSignal;
}

export interface Engine {
  readonly description: ModelDescription;
  /** Which build runs, such as "relaxed SIMD, 2 threads". */
  readonly build: string;
  /** @throws ImageError for an image that the model cannot take. */
  segment(image: MedicalImage, options?: SegmentOptions): Promise<Segmentation>;
  /** Ends the worker and gives its memory back. */
  close(): void;
}

/** Where a model and the kernels come from: files beside the page, or bytes within it. */
export interface ModelFiles {
  readonly json: string;
  readonly weights: ArrayBuffer;
}
