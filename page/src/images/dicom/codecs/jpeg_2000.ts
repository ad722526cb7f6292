/** JPEG 2000, with and without loss. */

import factory from "@cornerstonejs/codec-openjpeg/decodewasmjs";
import wasm from "@cornerstonejs/codec-openjpeg/decodewasm";

import type { Decode } from "./codec";
import { type WasmDecoder, decoderOf, instantiate } from "./wasm";

interface Module {
  readonly J2KDecoder: new () => WasmDecoder;
}

let module: Promise<Module> | null = null;

/** Its module is made once, and again after a stream that it failed on. */
export async function load(): Promise<Decode> {
  const made = await (module ??= instantiate<Module>(factory, wasm));
  const forget = (): void => {
    module = null;
  };
  return decoderOf(() => new made.J2KDecoder(), forget, true);
}
