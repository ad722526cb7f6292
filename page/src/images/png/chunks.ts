/** A PNG file as its chunks, and its header. */

import { BrokenFile } from "../broken_file";
import { crc32 } from "./crc";

export const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

export interface Chunk {
  readonly kind: string;
  readonly content: Uint8Array;
}

/** Kind and content of each chunk up to the end chunk, its checksum compared. */
export function* chunksOf(file: Uint8Array): Generator<Chunk> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let offset = SIGNATURE.length;
  for (let kind = ""; kind !== "IEND"; ) {
    if (file.length < offset + 12) throw new BrokenFile("the file is cut short");
    const end = offset + 8 + view.getUint32(offset);
    if (file.length < end + 4) throw new BrokenFile("the file is cut short");
    kind = String.fromCharCode(...file.subarray(offset + 4, offset + 8));
    if (crc32(file.subarray(offset + 4, end)) !== view.getUint32(end)) {
      throw new BrokenFile(`the checksum of its chunk ${kind} is wrong`);
    }
    yield { kind, content: file.subarray(offset + 8, end) };
    offset = end + 4;
  }
}

/** PNG's colour types. */
export const GREY = 0;
export const RGB = 2;
export const PALETTE = 3;
export const GREY_ALPHA = 4;
export const RGB_ALPHA = 6;

const SAMPLES: Readonly<Record<number, number>> = {
  [GREY]: 1,
  [RGB]: 3,
  [PALETTE]: 1,
  [GREY_ALPHA]: 2,
  [RGB_ALPHA]: 4,
};
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  [GREY]: [1, 2, 4, 8, 16],
  [RGB]: [8, 16],
  [PALETTE]: [1, 2, 4, 8],
  [GREY_ALPHA]: [8, 16],
  [RGB_ALPHA]: [8, 16],
};

export interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** Of one sample. */
  readonly bits: number;
  readonly colour: number;
  /** Of one pixel, opacity included. */
  readonly samples: number;
  readonly interlaced: boolean;
}

/** The header in the first bytes of a file; its checksum is compared with the other chunks'. */
export function headerOf(file: Uint8Array): PngHeader {
  if (file.length < 33) throw new BrokenFile("the file is cut short");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const kind = String.fromCharCode(...file.subarray(12, 16));
  if (kind !== "IHDR" || view.getUint32(8) !== 13) throw new BrokenFile("its header is missing");
  const [bits, colour] = [file[24]!, file[25]!];
  if (!DEPTHS[colour]?.includes(bits)) {
    throw new BrokenFile(`its header names colour type ${colour} with ${bits} bits`);
  }
  return {
    width: view.getUint32(16),
    height: view.getUint32(20),
    bits,
    colour,
    samples: SAMPLES[colour]!,
    interlaced: file[28] === 1,
  };
}
