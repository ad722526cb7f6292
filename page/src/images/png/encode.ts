/** Writes 8-bit grey and palette PNGs: the levels are the numbers given, without loss. */

import { crc32 } from "./crc";
import { GREY, PALETTE, SIGNATURE } from "./chunks";
import { deflate } from "./zlib";

/**
 * A PNG of one number for each pixel.
 *
 * @param values (height, width).
 * @param palette red, green and blue for each number; null writes grey levels.
 */
export async function encodePng(
  values: Uint8Array,
  width: number,
  height: number,
  palette: readonly (readonly [number, number, number])[] | null,
): Promise<Blob> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, palette ? PALETTE : GREY, 0, 0, 0], 8);
  const parts = [SIGNATURE, chunk("IHDR", header)];
  if (palette) parts.push(chunk("PLTE", Uint8Array.from(palette.flat())));
  parts.push(chunk("IDAT", await deflate(withFilters(values, width, height))));
  parts.push(chunk("IEND", new Uint8Array()));
  return new Blob(parts as BlobPart[], { type: "image/png" });
}

/** Each row with the byte in front that says that it is stored as it is. */
function withFilters(values: Uint8Array, width: number, height: number): Uint8Array {
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) {
    rows.set(values.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  return rows;
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
