/** A JPEG's segments: its size and channels, and the notes that a browser would follow. */

import { BrokenFile } from "../broken_file";
import { exifOrientation } from "./exif";

export interface JpegHeader {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly orientation: number;
  /** The file without notes how to turn it and without colour profiles, so that levels stay. */
  readonly plain: Blob;
}

export function isJpeg(start: Uint8Array): boolean {
  return start[0] === 0xff && start[1] === 0xd8 && start[2] === 0xff;
}

/** Reads the segments up to the pixel data. */
export function jpegHeader(file: Uint8Array): JpegHeader {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const kept: Uint8Array[] = [file.subarray(0, 2)];
  let frame: Pick<JpegHeader, "width" | "height" | "channels"> | null = null;
  let orientation = 1;
  for (let offset = 2; ; ) {
    while (file[offset] === 0xff && file[offset + 1] === 0xff) offset++;
    if (offset + 4 > file.length) throw new BrokenFile("the file is cut short");
    if (file[offset] !== 0xff) throw new BrokenFile("a segment does not begin where it should");
    const marker = file[offset + 1]!;
    if (marker === START_OF_SCAN) {
      if (!frame) throw new BrokenFile("its header is missing");
      kept.push(file.subarray(offset));
      return { ...frame, orientation, plain: new Blob(kept as BlobPart[], { type: "image/jpeg" }) };
    }
    const end = offset + 2 + view.getUint16(offset + 2);
    if (end > file.length) throw new BrokenFile("the file is cut short");
    const segment = file.subarray(offset, end);
    if (isFrame(marker) && segment.length >= 10) {
      frame = {
        height: view.getUint16(offset + 5),
        width: view.getUint16(offset + 7),
        channels: segment[9]!,
      };
    }
    if (marker === EXIF_OR_XMP && startsWith(segment, "Exif\0")) {
      orientation = exifOrientation(segment.subarray(10));
    }
    if (marker !== EXIF_OR_XMP && marker !== PROFILE) kept.push(segment);
    offset = end;
  }
}

const START_OF_SCAN = 0xda;
const EXIF_OR_XMP = 0xe1;
const PROFILE = 0xe2;

/** Whether a marker starts a frame: SOF0 to SOF15 without the tables between them. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

function startsWith(segment: Uint8Array, text: string): boolean {
  return [...text].every((letter, i) => segment[4 + i] === letter.charCodeAt(0));
}
