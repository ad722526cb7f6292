/** A WebP's chunks: its size, and a copy without the notes that a browser would follow. */

import { BrokenFile } from "../broken_file";
import { exifOrientation } from "./exif";

export interface WebpHeader {
  readonly width: number;
  readonly height: number;
  readonly orientation: number;
  readonly isAnimated: boolean;
  /** The file without notes how to turn it and without colour profiles, so that levels stay. */
  readonly plain: Blob;
}

export function isWebp(start: Uint8Array): boolean {
  return textAt(start, 0) === "RIFF" && textAt(start, 8) === "WEBP";
}

export function webpHeader(file: Uint8Array): WebpHeader {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const kept: Uint8Array[] = [];
  let [width, height, orientation, isAnimated] = [0, 0, 1, false];
  for (let offset = 12; offset + 8 <= file.length; ) {
    const kind = textAt(file, offset);
    const size = view.getUint32(offset + 4, true);
    const end = offset + 8 + size + (size & 1);
    if (end > file.length) throw new BrokenFile("the file is cut short");
    const content = offset + 8;
    if (kind === "VP8X" && size >= 10) {
      // Without the flags of a profile, EXIF and XMP, whose chunks are left out.
      const chunk = file.slice(offset, end);
      isAnimated = (chunk[8]! & 0x02) !== 0;
      chunk[8]! &= ~0x2c;
      kept.push(chunk);
    } else if (kind === "EXIF") {
      const start = textAt(file, content) === "Exif" ? content + 6 : content;
      orientation = exifOrientation(file.subarray(start, content + size));
    } else if (kind !== "ICCP" && kind !== "XMP ") {
      kept.push(file.subarray(offset, end));
    }
    if (kind === "VP8 " && size >= 10) {
      width = view.getUint16(content + 6, true) & 0x3fff;
      height = view.getUint16(content + 8, true) & 0x3fff;
    } else if (kind === "VP8L" && size >= 5) {
      const bits = view.getUint32(content + 1, true);
      width = (bits & 0x3fff) + 1;
      height = ((bits >> 14) & 0x3fff) + 1;
    }
    offset = end;
  }
  const header = new Uint8Array(12);
  header.set(file.subarray(0, 12));
  const length = kept.reduce((sum, chunk) => sum + chunk.length, 4);
  new DataView(header.buffer).setUint32(4, length, true);
  const plain = new Blob([header, ...kept] as BlobPart[], { type: "image/webp" });
  return { width, height, orientation, isAnimated, plain };
}

function textAt(file: Uint8Array, offset: number): string {
  return String.fromCharCode(...file.subarray(offset, offset + 4));
}
