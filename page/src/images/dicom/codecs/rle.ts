/** DICOM's own run-length compression: bytes in segments, most significant ones first. */

const LONGEST_HEADER = 64;

/**
 * @param stream one frame.
 * @param pixels rows times columns.
 * @param channels of each pixel.
 * @param bytes of each sample.
 * @returns the samples as DICOM stores them uncompressed, little-endian, pixel by pixel.
 */
export function decodeRle(
  stream: Uint8Array,
  pixels: number,
  channels: number,
  bytes: number,
): Uint8Array {
  if (stream.length < LONGEST_HEADER) throw new Error("an RLE frame without its header");
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const segments = view.getUint32(0, true);
  if (segments !== channels * bytes) {
    throw new Error(`${segments} RLE segments instead of ${channels * bytes}`);
  }
  const decoded = new Uint8Array(pixels * channels * bytes);
  for (let segment = 0; segment < segments; segment++) {
    const start = view.getUint32(4 + 4 * segment, true);
    const end = segment + 1 < segments ? view.getUint32(8 + 4 * segment, true) : stream.length;
    const channel = Math.floor(segment / bytes);
    const byte = bytes - 1 - (segment % bytes);
    unpack(stream.subarray(start, end), decoded, channel * bytes + byte, channels * bytes, pixels);
  }
  return decoded;
}

/** Writes a segment's bytes to every `step`th place. */
function unpack(
  packed: Uint8Array,
  target: Uint8Array,
  first: number,
  step: number,
  count: number,
): void {
  let done = 0;
  let at = 0;
  while (done < count) {
    const head = packed[at++];
    if (head === undefined) throw new Error("an RLE segment that is cut off");
    if (head === 128) continue;
    const run = head > 128;
    const length = run ? 257 - head : head + 1;
    for (let i = 0; i < length && done < count; i++, done++) {
      const value = packed[run ? at : at + i];
      if (value === undefined) throw new Error("an RLE segment that is cut off");
      target[first + done * step] = value;
    }
    at += run ? 1 : length;
  }
}
