/** Which of the four files of kernels this browser can run, and on how many threads. */

export type BuildName = "simd" | "simd-threads" | "relaxed" | "relaxed-threads";

export interface Build {
  readonly name: BuildName;
  /** 1 in builds without threads. */
  readonly threads: number;
  /** For people. */
  readonly words: string;
}

/** More than this gain nothing: the largest part of the work goes from tile to tile. */
const MOST_THREADS = 8;

/** Bytes of a module whose one function is `code`, and gives a vector. */
function moduleWith(code: readonly number[]): Uint8Array<ArrayBuffer> {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const type = [1, 5, 1, 0x60, 0, 1, 0x7b];
  const functions = [3, 2, 1, 0];
  const body = [10, code.length + 4, 1, code.length + 2, 0, ...code, 0x0b];
  return new Uint8Array([...header, ...type, ...functions, ...body]);
}

// i32.const 0, i8x16.splat
const SPLAT = [0x41, 0, 0xfd, 0x0f];
const SIMD = moduleWith(SPLAT);
// The same twice, i8x16.relaxed_swizzle
const RELAXED_SIMD = moduleWith([...SPLAT, ...SPLAT, 0xfd, 0x80, 2]);

/** Whether this browser can run the network at all. */
export function canRun(): boolean {
  return typeof WebAssembly === "object" && WebAssembly.validate(SIMD);
}

/** Threads need memory that workers share, which a browser gives to isolated pages only. */
export function chooseBuild(): Build {
  const relaxed = WebAssembly.validate(RELAXED_SIMD);
  const isolated = globalThis.crossOriginIsolated && typeof SharedArrayBuffer === "function";
  const threads = isolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  const simd = relaxed ? "relaxed" : "simd";
  return {
    name: threads > 1 ? `${simd}-threads` : simd,
    threads,
    words: `${relaxed ? "relaxed SIMD" : "SIMD"}, ${threads === 1 ? "1 thread" : `${threads} threads`}`,
  };
}
