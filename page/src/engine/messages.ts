/** What the page and its workers say to each other. */

import type { ModelDescription } from "./engine";

/** What the kernels are run from. */
export interface Program {
  readonly module: WebAssembly.Module;
  /** Shared by all of them; null where there is but one, which has its own. */
  readonly memory: WebAssembly.Memory | null;
}

/** To the first worker, which runs the network. */
export interface OpenRequest extends Program {
  readonly kind: "open";
  readonly json: string;
  readonly weights: ArrayBuffer;
  readonly threads: number;
}

/** To the others, which only help it. */
export interface HelpRequest {
  readonly kind: "help";
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly place: HelperPlace;
}

export interface SegmentRequest {
  readonly kind: "segment";
  readonly shape: readonly number[];
  readonly values: Float32Array;
  readonly affine: Float64Array | null;
}

export type Request = OpenRequest | HelpRequest | SegmentRequest;

/** Where a helper's own things lie in the memory. */
export interface HelperPlace {
  /** The end of its stack, which grows downwards. */
  readonly stackEnd: number;
  /** Its copy of what each thread has for itself. */
  readonly threadLocals: number;
}

/** One for each helper that may come. */
export interface Opened {
  readonly kind: "opened";
  readonly description: ModelDescription;
  readonly helpers: readonly HelperPlace[];
}

export interface Progress {
  readonly kind: "progress";
  readonly done: number;
}

export interface Segmented {
  readonly kind: "segmented";
  readonly labels: Uint8Array<ArrayBuffer>;
  readonly unlike: { readonly score: number; readonly limit: number; readonly mostUnusual: string } | null;
}

export interface Failed {
  readonly kind: "failed";
  readonly sentence: string;
  /** Whether another image may do better with the same model. */
  readonly byImage: boolean;
  /** Whether the worker must be started anew before the next image. */
  readonly broken: boolean;
}

export type Answer = Opened | Progress | Segmented | Failed;
