/** JPEG with loss, 8 bits. */

import factory from "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs";
import wasm from "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm";

import type { Decode } from "./codec";
import { type WasmDecoder, decoderOf, instantiate } from "./wasm";

interface Module {
  readonly JPEGDecoder: new () => WasmDecoder;
}

let module: Promise<Module> | null = null;

/** Its module is made once, and again after a stream that it failed on. */
export async function load(): Promise<Decode> {
  const made = await (module ??= instantiate<Module>(factory, wasm));
  const forget = (): void => {
    module = null;
  };
  return decoderOf(() => new made.JPEGDecoder(), forget);
}

const [APP0, APP14, START_OF_SCAN] = [0xe0, 0xee, 0xda];
/** Adobe's note that the three channels are red, green and blue as they are. */
const RGB_NOTE = [0xff, APP14, 0, 14, ...[0x41, 0x64, 0x6f, 0x62, 0x65], 0, 100, 0, 0, 0, 0, 0];
/** Shorter ones do not say what the channels are. */
const WHOLE_NOTE = 14;

/**
 * A stream of three channels that DICOM calls RGB, so that the decoder takes it at its word.
 *
 * A decoder believes that three channels are brightness and colour, unless Adobe's note says
 * otherwise. A stream that tells by itself, by that note or as JFIF, is left as it is.
 */
export function markedAsRgb(stream: Uint8Array): Uint8Array {
  for (let at = 2; at + 4 <= stream.length && stream[at] === 0xff; ) {
    const marker = stream[at + 1];
    const length = ((stream[at + 2] ?? 0) << 8) + (stream[at + 3] ?? 0);
    if (marker === START_OF_SCAN) break;
    if (marker === APP0 || (marker === APP14 && length >= WHOLE_NOTE)) return stream;
    at += 2 + length;
  }
  const marked = new Uint8Array(stream.length + RGB_NOTE.length);
  marked.set(stream.subarray(0, 2));
  marked.set(RGB_NOTE, 2);
  marked.set(stream.subarray(2), 2 + RGB_NOTE.length);
  return marked;
}
