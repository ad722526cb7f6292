/** JPEG-LS. */

import factory from "@cornerstonejs/codec-charls/decodewasmjs";
import wasm from "@cornerstonejs/codec-charls/decodewasm";

import type { Decode } from "./codec";
import { type WasmDecoder, decoderOf, instantiate } from "./wasm";

interface Module {
  readonly JpegLSDecoder: new () => WasmDecoder;
}

let module: Promise<Module> | null = null;

/** Its module is made once, and again after a stream that it failed on. */
export async function load(): Promise<Decode> {
  const made = await (module ??= instantiate<Module>(factory, wasm));
  const forget = (): void => {
    module = null;
  };
  return decoderOf(() => new made.JpegLSDecoder(), forget);
}
