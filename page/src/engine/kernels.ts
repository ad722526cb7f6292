/** The compiled engine: numbers and texts in and out of its memory. csrc/wasm/page.cpp is the other side. */

import type { ModelDescription } from "./engine";
import type { HelperPlace, Program } from "./messages";

/** Those of `enum lightm_status` in csrc/capi.h that are told apart. */
const OK = 0;
const BAD_IMAGE = 4;
const TOO_LARGE = 5;
const NO_MEMORY = 6;

/** What it begins with, in pages of 64 KiB; `INITIAL_BYTES` in build_kernels.py. */
const INITIAL_PAGES = 16;
/** Of each helper; the first thread's is set by the linker. */
const STACK_BYTES = 1 << 18;

interface Exports {
  start(): void;
  take_memory(bytes: number): number;
  give_memory(at: number): void;
  memory_was_refused(): number;
  last_error(): number;
  open_model(json: number, jsonSize: number, weights: number, weightsSize: number): number;
  dims(): number;
  channels(): number;
  label_count(): number;
  label_name(label: number): number;
  label_colour(label: number): number;
  segment(
    values: number,
    dims: number,
    first: number,
    second: number,
    third: number,
    affine: number,
    threads: number,
    labels: number,
  ): number;
  unlike(): number;
  score(): number;
  score_limit(): number;
  most_unusual(): number;
  run_network(
    input: number,
    depth: number,
    height: number,
    width: number,
    threads: number,
    logits: number,
  ): number;
}

/** In builds with threads only. */
interface ThreadExports extends Exports {
  readonly __stack_pointer: WebAssembly.Global<"i32">;
  readonly __tls_size: WebAssembly.Global<"i32">;
  __wasm_init_tls(at: number): void;
  helper_work(): never;
}

/** A failure with a sentence for people. */
export class KernelsError extends Error {
  override readonly name = "KernelsError";

  /**
   * @param byImage whether another image may do better with the same model.
   * @param broken whether the instance cannot be used any more.
   */
  constructor(
    sentence: string,
    readonly byImage: boolean,
    readonly broken: boolean,
  ) {
    super(sentence);
  }
}

/** What segmenting an image gives, beside its labels. */
export interface Judged {
  readonly labels: Uint8Array<ArrayBuffer>;
  readonly unlike: { readonly score: number; readonly limit: number; readonly mostUnusual: string } | null;
}

async function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  progress: (done: number) => number,
): Promise<Exports> {
  const instance = await WebAssembly.instantiate(module, { env: { memory }, page: { progress } });
  return instance.exports as unknown as Exports;
}

/** Shared memory reserves its maximum at once, and some phones refuse 4 GiB. */
export function newSharedMemory(): WebAssembly.Memory {
  for (const maximum of [65536, 32768, 16384]) {
    try {
      return new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum, shared: true });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  throw new Error("this browser gave no memory for the network; close other tabs and try again");
}

/** Helps the first thread's instance for ever; does not return. */
export async function help(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  place: HelperPlace,
): Promise<never> {
  const exports = (await instantiate(module, memory, () => 0)) as ThreadExports;
  exports.__stack_pointer.value = place.stackEnd;
  exports.__wasm_init_tls(place.threadLocals);
  return exports.helper_work();
}

export class Kernels {
  private constructor(
    private readonly exports: Exports,
    readonly memory: WebAssembly.Memory,
  ) {}

  /** @param progress called with 0 to 1 while an image is worked on. */
  static async start(program: Program, progress: (done: number) => void): Promise<Kernels> {
    const memory = program.memory ?? new WebAssembly.Memory({ initial: INITIAL_PAGES });
    const exports = await instantiate(program.module, memory, (done) => {
      progress(done);
      return 0;
    });
    exports.start();
    return new Kernels(exports, memory);
  }

  /** Memory for so many helpers, before anything else is in it. */
  placesForHelpers(count: number): HelperPlace[] {
    const { __tls_size: size } = this.exports as ThreadExports;
    return Array.from({ length: count }, () => ({
      stackEnd: this.take(STACK_BYTES) + STACK_BYTES,
      threadLocals: this.take(size.value),
    }));
  }

  open(json: string, weights: ArrayBuffer): ModelDescription {
    const text = new TextEncoder().encode(json);
    this.with([text, new Uint8Array(weights)], ([textAt, weightsAt]) => {
      this.check(this.exports.open_model(textAt!, text.length, weightsAt!, weights.byteLength));
    });
    const { dims, channels, label_count, label_name, label_colour } = this.exports;
    const labels = Array.from({ length: label_count() }, (_, label) => {
      const colour = label_colour(label);
      return {
        name: this.text(label_name(label)),
        colour: [colour >> 16, (colour >> 8) & 255, colour & 255] as const,
      };
    });
    return { dims: dims() === 3 ? 3 : 2, channels: channels(), labels };
  }

  /** values: (channels, ...shape). */
  segment(
    values: Float32Array,
    shape: readonly number[],
    affine: Float64Array | null,
    threads: number,
  ): Judged {
    const [first = 1, second = 1, third = 1] = shape;
    const labels = new Uint8Array(first * second * third);
    const content = affine === null ? [values, labels] : [values, labels, affine];
    return this.with(content, ([valuesAt, labelsAt, affineAt = 0]) => {
      this.check(
        this.exports.segment(
          ...([valuesAt!, shape.length, first, second, third, affineAt, threads, labelsAt!] as const),
        ),
      );
      labels.set(new Uint8Array(this.memory.buffer, labelsAt, labels.length));
      const { unlike, score, score_limit, most_unusual } = this.exports;
      return {
        labels,
        unlike:
          unlike() === 0
            ? null
            : { score: score(), limit: score_limit(), mostUnusual: this.text(most_unusual()) },
      };
    });
  }

  /** The network alone: input (channels, ...grid), logits (labels, ...grid). */
  runNetwork(input: Float32Array, grid: readonly number[], threads: number): Float32Array<ArrayBuffer> {
    const [width = 1, height = 1, depth = 1] = [...grid].reverse();
    const logits = new Float32Array(this.exports.label_count() * width * height * depth);
    return this.with([input, logits], ([inputAt, logitsAt]) => {
      this.check(this.exports.run_network(inputAt!, depth, height, width, threads, logitsAt!));
      logits.set(new Float32Array(this.memory.buffer, logitsAt, logits.length));
      return logits;
    });
  }

  /** Calls `use` with the places of copies of some arrays, which are given back afterwards. */
  private with<Result>(
    arrays: readonly (Uint8Array | Float32Array | Float64Array)[],
    use: (places: readonly number[]) => Result,
  ): Result {
    const places: number[] = [];
    try {
      for (const array of arrays) {
        const at = this.take(array.byteLength);
        places.push(at);
        const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
        new Uint8Array(this.memory.buffer, at, bytes.length).set(bytes);
      }
      return use(places);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      if (this.exports.memory_was_refused() !== 0) throw this.noMemory();
      throw new KernelsError(`the network broke down: ${error.message}`, false, true);
    } finally {
      for (const at of places.reverse()) this.exports.give_memory(at);
    }
  }

  private take(bytes: number): number {
    const at = this.exports.take_memory(bytes) >>> 0;
    if (at === 0) throw this.noMemory();
    return at;
  }

  private noMemory(): KernelsError {
    const megabytes = Math.round(this.memory.buffer.byteLength / 1e6);
    const found = `this browser gave no more memory than ${megabytes} MB, and the image needs more`;
    return new KernelsError(`${found}; close other tabs, or use a computer or a smaller image`, true, true);
  }

  private check(status: number): void {
    if (status === OK) return;
    if (status === NO_MEMORY) throw this.noMemory();
    const byImage = status === BAD_IMAGE || status === TOO_LARGE;
    throw new KernelsError(this.text(this.exports.last_error()), byImage, false);
  }

  /** A text that ends with a zero. */
  private text(at: number): string {
    const bytes = new Uint8Array(this.memory.buffer);
    // A copy: shared memory cannot be decoded in place.
    return new TextDecoder().decode(bytes.slice(at >>> 0, bytes.indexOf(0, at >>> 0)));
  }
}
