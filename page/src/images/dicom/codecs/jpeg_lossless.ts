/** Lossless JPEG, by Huffman codes and prediction. */

import { Decoder } from "jpeg-lossless-decoder-js";

import { DICOM } from "../../../app/volume_texts";
import { ImageError } from "../../image";
import { endOfStream } from "../codestream";
import type { DecodedFrame } from "./codec";

/** @throws ImageError where its data end before its last pixel. */
export function decodeJpegLossless(stream: Uint8Array): DecodedFrame {
  const frame = decoded(stream);
  if (runsOut(stream, frame)) throw new ImageError(DICOM.runsOut);
  return frame;
}

function decoded(stream: Uint8Array): DecodedFrame {
  const decoder = new Decoder();
  // A copy: the decoder reads its buffer from the beginning.
  const { buffer } = decoder.decode(stream.slice().buffer);
  const { dimY, dimX, numComp, precision } = decoder.frame;
  const samples = precision <= 8 ? new Uint8Array(buffer) : new Uint16Array(buffer);
  return { rows: dimY, columns: dimX, channels: numComp, samples, precision };
}

const OTHER_DATA = new Uint8Array(16).fill(0xaa);

/**
 * Whether a frame's data end before its last pixel, although it has its end marker.
 *
 * The decoder then makes up the rest. So other bytes in front of the end marker change the picture,
 * whereas they are not looked at once it has all pixels.
 */
function runsOut(stream: Uint8Array, { samples }: DecodedFrame): boolean {
  const end = endOfStream(stream);
  const longer = new Uint8Array(stream.length + OTHER_DATA.length);
  longer.set(stream.subarray(0, end));
  longer.set(OTHER_DATA, end);
  longer.set(stream.subarray(end), end + OTHER_DATA.length);
  const other = decoded(longer).samples;
  return samples.some((sample, at) => sample !== other[at]);
}
