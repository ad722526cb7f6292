/** Writes grey PNGs of 8 and 16 bits, and palette PNGs: the levels are the numbers given, without loss. */

import { crc32 } from "./crc";
import { GREY, PALETTE, SIGNATURE } from "./chunks";
import { deflate } from "./zlib";

/**
 * A PNG of one number for each pixel.
 *
 * @param values (height, width); with 8 bits where there is a palette.
 * @param palette red, green and blue for each number; null writes grey levels.
 */
export async function encodePng(
  values: Uint8Array | Uint16Array,
  width: number,
  height: number,
  palette: readonly (readonly [number, number, number])[] | null,
): Promise<Blob> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8 * values.BYTES_PER_ELEMENT, palette ? PALETTE : GREY, 0, 0, 0], 8);
  const parts = [SIGNATURE, chunk("IHDR", header)];
  if (palette) parts.push(chunk("PLTE", Uint8Array.from(palette.flat())));
  parts.push(chunk("IDAT", await deflate(withFilters(bytesOf(values), height))));
  parts.push(chunk("IEND", new Uint8Array()));
  return new Blob(parts as BlobPart[], { type: "image/png" });
}

/** Each row with the byte in front that says that it is stored as it is. */
function withFilters(bytes: Uint8Array, height: number): Uint8Array {
  const length = bytes.length / height;
  const rows = new Uint8Array(bytes.length + height);
  for (let y = 0; y < height; y++) {
    rows.set(bytes.subarray(y * length, (y + 1) * length), y * (length + 1) + 1);
  }
  return rows;
}

/** The higher byte first, as PNG has it. */
function bytesOf(values: Uint8Array | Uint16Array): Uint8Array {
  if (values instanceof Uint8Array) return values;
  const bytes = new Uint8Array(2 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, at) => view.setUint16(2 * at, value));
  return bytes;
}

function chunk(kind: string, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc32(bytes.subarray(4, content.length + 8)));
  return bytes;
}
