/** The decoders that Cornerstone has compiled to WebAssembly, one interface for all. */

import { inflateRaw } from "../../gzip";
import type { Decode, DecodedFrame } from "./codec";

interface FrameInfo {
  readonly width: number;
  readonly height: number;
  readonly bitsPerSample: number;
  readonly componentCount: number;
  readonly isSigned?: boolean;
}

/** An object of the compiled C++ code; it lives until `delete`. */
export interface WasmDecoder {
  getEncodedBuffer(bytes: number): Uint8Array;
  decode(): unknown;
  getFrameInfo(): FrameInfo;
  getDecodedBuffer(): Uint8Array;
  delete(): void;
}

/** Instantiates a compiled module from its bytes, so that nothing has to be fetched. */
type WasmFactory<M> = (options: {
  wasmBinary: Uint8Array;
  print: () => void;
  printErr: () => void;
}) => Promise<M>;

const MOST_BYTES = 2 ** 24;
const DAMAGED = "the stream is damaged";

/**
 * @param factory the program around a compiled module.
 * @param packed its bytes, deflated, in base64.
 */
export async function instantiate<M>(factory: unknown, packed: string): Promise<M> {
  const deflated = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const wasmBinary = inflateRaw(deflated, MOST_BYTES);
  if (typeof wasmBinary === "string") throw new Error(`a damaged decoder (${wasmBinary})`);
  const quiet = (): void => undefined;
  return (factory as WasmFactory<M>)({ wasmBinary, print: quiet, printErr: quiet });
}

/**
 * @param make a new object of the compiled code.
 * @param failed told of a stream that could not be decoded: the module's memory is then spoiled.
 */
export function decoderOf(make: () => WasmDecoder, failed: () => void, mayBeSigned = false): Decode {
  return (stream) => {
    try {
      const decoder = make();
      decoder.getEncodedBuffer(stream.length).set(stream);
      decoder.decode();
      const frame = frameOf(decoder.getFrameInfo(), decoder.getDecodedBuffer(), mayBeSigned);
      decoder.delete();
      return frame;
    } catch (error) {
      failed();
      // The compiled code throws pointers to its exceptions.
      throw error instanceof Error ? error : new Error(DAMAGED);
    }
  };
}

function frameOf(info: FrameInfo, decoded: Uint8Array, mayBeSigned: boolean): DecodedFrame {
  // OpenJPEG's way of saying that it could not decode.
  if (info.width === 0 || info.height === 0) throw new Error(DAMAGED);
  const bytes = decoded.slice().buffer; // out of the module's memory
  const signed = mayBeSigned && info.isSigned === true;
  const wide = info.bitsPerSample > 8;
  const samples = wide
    ? new (signed ? Int16Array : Uint16Array)(bytes)
    : new (signed ? Int8Array : Uint8Array)(bytes);
  return {
    rows: info.height,
    columns: info.width,
    channels: info.componentCount,
    samples,
    precision: info.bitsPerSample,
  };
}
