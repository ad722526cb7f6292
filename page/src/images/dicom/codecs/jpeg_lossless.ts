/** Lossless JPEG, by Huffman codes and prediction. */

import { Decoder } from "jpeg-lossless-decoder-js";

import type { DecodedFrame } from "./codec";

export function decodeJpegLossless(stream: Uint8Array): DecodedFrame {
  const decoder = new Decoder();
  // A copy: the decoder reads its buffer from the beginning.
  const decoded = decoder.decode(stream.slice().buffer);
  const { dimY, dimX, numComp, precision } = decoder.frame;
  const samples =
    precision <= 8 ? new Uint8Array(decoded.buffer) : new Uint16Array(decoded.buffer);
  return { rows: dimY, columns: dimX, channels: numComp, samples, precision };
}
