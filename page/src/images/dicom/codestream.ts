/**
 * What a compressed frame says of itself, looked at before a decoder is trusted with it; the rules
 * of Python's `imaging/dicom/codestream.py`.
 *
 * A decoder takes memory for the size within the frame: a few bytes can claim 65535x65535 pixels.
 * And it makes up the pixels of a frame that is cut off, mostly without a word.
 */

/** The marker that ends a JPEG, JPEG-LS or JPEG 2000 stream: these two bytes. */
const END = [0xff, 0xd9] as const;
/** Bytes after the end marker that are passed over, and any number of zeros. */
const MOST_AFTER_END = 8;

/** Where a stream's end marker lies; -1 where it has none. */
export function endOfStream(stream: Uint8Array): number {
  let last = stream.length;
  while (last > 0 && stream[last - 1] === 0) last--;
  for (let at = last - END.length; at >= Math.max(0, last - END.length - MOST_AFTER_END); at--) {
    if (stream[at] === END[0] && stream[at + 1] === END[1]) return at;
  }
  return -1;
}

export interface StatedSize {
  readonly rows: number;
  readonly columns: number;
  /** Bits of a sample; null where it was not looked for. */
  readonly precision: number | null;
}

/** Markers of JPEG and JPEG-LS that are followed by the size: SOF0 to SOF15, and SOF55. */
const isFrameHeader = (marker: number): boolean =>
  marker === 0xf7 || (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker));
/** Markers without a length. */
const isAlone = (marker: number): boolean => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);

/** Of a JPEG, JPEG-LS or JPEG 2000 stream; null if it does not say. */
export function statedSize(data: Uint8Array): StatedSize | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data[0] === 0xff && data[1] === 0xd8) return jpegSize(view);
  const start = jpeg2000Start(data);
  if (start < 0 || data.length < start + 24) return null;
  const [right, bottom, left, top] = [8, 12, 16, 20].map((at) => view.getUint32(start + at));
  return {
    rows: (bottom ?? 0) - (top ?? 0),
    columns: (right ?? 0) - (left ?? 0),
    precision: data.length > start + 42 ? (view.getUint8(start + 42) & 0x7f) + 1 : null,
  };
}

/** Where the stream begins; a JP2 file has boxes before it. */
function jpeg2000Start(data: Uint8Array): number {
  for (let at = 0; at < Math.min(data.length, 4096); at++) {
    const found = data[at] === 0xff && data[at + 1] === 0x4f && data[at + 2] === 0xff;
    if (found && data[at + 3] === 0x51) return at;
  }
  return -1;
}

function jpegSize(view: DataView): StatedSize | null {
  for (let at = 2; at + 9 <= view.byteLength; ) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1; // fill
    } else if (isFrameHeader(marker)) {
      const [rows, columns] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      return { rows, columns, precision: view.getUint8(at + 4) };
    } else {
      at += isAlone(marker) ? 2 : 2 + view.getUint16(at + 2);
    }
  }
  return null;
}
