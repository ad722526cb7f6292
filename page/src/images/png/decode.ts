/**
 * PNG of every depth and colour type, one picture only.
 *
 * The browser's own decoder keeps 8 bits and turns colours; here each level stays as it is stored.
 */

import { IMAGES } from "../../app/texts";
import { BrokenFile } from "../broken_file";
import { ImageError } from "../image";
import { exifOrientation } from "../picture/exif";
import type { Samples, StoredPicture } from "../picture/stored_picture";
import { inflate } from "./zlib";
import {
  chunksOf,
  GREY_ALPHA,
  headerOf,
  PALETTE,
  RGB_ALPHA,
  type Chunk,
  type PngHeader,
} from "./chunks";

/** Column and row of the first pixel of a pass, and the steps to the next. */
type Pass = readonly [column: number, row: number, across: number, down: number];

const WHOLE: readonly Pass[] = [[0, 0, 1, 1]];
const ADAM7: readonly Pass[] = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/** The samples as they are stored. The header has been checked by the caller. */
export async function decodePng(file: Uint8Array): Promise<StoredPicture> {
  const header = headerOf(file);
  const chunks = [...chunksOf(file)];
  const frames = first(chunks, "acTL");
  if (frames && new DataView(frames.buffer, frames.byteOffset).getUint32(0) > 1) {
    throw new ImageError(IMAGES.animation);
  }
  const passes = header.interlaced ? ADAM7 : WHOLE;
  const packed = chunks.filter(({ kind }) => kind === "IDAT").map(({ content }) => content);
  const raw = await inflate(packed, rawSize(header, passes));
  const all = samplesOf(raw, header, passes);
  const shared = {
    height: header.height,
    width: header.width,
    orientation: exifOrientation(first(chunks, "eXIf")),
  };
  const key = first(chunks, "tRNS");
  if (header.colour === PALETTE) {
    const palette = paletteOf(first(chunks, "PLTE"));
    const isClear = key ? (index: number) => (key[index] ?? 255) !== 255 : () => false;
    return { ...shared, samples: all, channels: 1, palette, varyingOpacity: all.some(isClear) };
  }
  if (header.colour === GREY_ALPHA || header.colour === RGB_ALPHA) {
    return { ...shared, ...withoutOpacity(all, header), palette: null };
  }
  return {
    ...shared,
    samples: all,
    channels: header.samples === 1 ? 1 : 3,
    palette: null,
    varyingOpacity: key !== undefined && hasColour(all, header.samples, key),
  };
}

function first(chunks: readonly Chunk[], kind: string): Uint8Array | undefined {
  return chunks.find((chunk) => chunk.kind === kind)?.content;
}

/** Size of a pass in pixels. */
function sizeOf(header: PngHeader, [column, row, across, down]: Pass): [number, number] {
  return [
    Math.max(0, Math.ceil((header.width - column) / across)),
    Math.max(0, Math.ceil((header.height - row) / down)),
  ];
}

/** Bytes of a row without the byte in front of it that names its filter. */
function rowBytes(header: PngHeader, columns: number): number {
  return Math.ceil((columns * header.bits * header.samples) / 8);
}

function rawSize(header: PngHeader, passes: readonly Pass[]): number {
  let total = 0;
  for (const pass of passes) {
    const [columns, rows] = sizeOf(header, pass);
    if (columns > 0) total += rows * (1 + rowBytes(header, columns));
  }
  return total;
}

/** All samples, (height, width, samples); undoes the rows' filters in `raw` itself. */
function samplesOf(raw: Uint8Array, header: PngHeader, passes: readonly Pass[]): Samples {
  const { width, height, bits, samples } = header;
  const length = width * height * samples;
  const target = bits === 16 ? new Uint16Array(length) : new Uint8Array(length);
  let offset = 0;
  for (const pass of passes) {
    const [columns, rows] = sizeOf(header, pass);
    if (columns === 0) continue;
    const [column, row, across, down] = pass;
    const size = rowBytes(header, columns);
    let above: Uint8Array = new Uint8Array(size);
    for (let y = 0; y < rows; y++) {
      const line = raw.subarray(offset + 1, offset + 1 + size);
      unfilter(raw[offset]!, line, above, Math.max(1, (bits * samples) >> 3));
      const start = ((row + y * down) * width + column) * samples;
      spread(line, bits, columns, samples, target, start, across * samples);
      above = line;
      offset += 1 + size;
    }
  }
  return target;
}

/** Turns the differences of a row into its bytes, in place; `step` is the bytes of a pixel. */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array, step: number): void {
  switch (filter) {
    case 0:
      return;
    case 1:
      for (let i = step; i < line.length; i++) line[i]! += line[i - step]!;
      return;
    case 2:
      for (let i = 0; i < line.length; i++) line[i]! += above[i]!;
      return;
    case 3:
      for (let i = 0; i < line.length; i++) {
        line[i]! += ((i < step ? 0 : line[i - step]!) + above[i]!) >> 1;
      }
      return;
    case 4:
      for (let i = 0; i < line.length; i++) {
        const left = i < step ? 0 : line[i - step]!;
        line[i]! += paeth(left, above[i]!, i < step ? 0 : above[i - step]!);
      }
      return;
    default:
      throw new BrokenFile(`a row has the unknown filter ${filter}`);
  }
}

/** Whichever of the neighbours is nearest to left + up - corner. */
function paeth(left: number, up: number, corner: number): number {
  const [toLeft, toUp] = [Math.abs(up - corner), Math.abs(left - corner)];
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** Writes a row's samples; `step` is the distance of two pixels in `target`. */
function spread(
  line: Uint8Array,
  bits: number,
  columns: number,
  samples: number,
  target: Samples,
  start: number,
  step: number,
): void {
  const most = 2 ** bits - 1;
  for (let x = 0; x < columns; x++) {
    for (let s = 0; s < samples; s++) {
      const i = x * samples + s;
      let value: number;
      if (bits === 8) value = line[i]!;
      else if (bits === 16) value = (line[2 * i]! << 8) | line[2 * i + 1]!;
      else value = (line[(i * bits) >> 3]! >> (8 - bits - ((i * bits) & 7))) & most;
      target[start + x * step + s] = value;
    }
  }
}

function withoutOpacity(
  all: Samples,
  header: PngHeader,
): Pick<StoredPicture, "samples" | "channels" | "varyingOpacity"> {
  const channels = header.colour === GREY_ALPHA ? 1 : 3;
  const pixels = header.width * header.height;
  const samples = header.bits === 16 ? new Uint16Array(pixels * channels) : new Uint8Array(pixels * channels);
  const opaque = 2 ** header.bits - 1;
  let varyingOpacity = false;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const from = pixel * (channels + 1);
    for (let c = 0; c < channels; c++) samples[pixel * channels + c] = all[from + c]!;
    varyingOpacity ||= all[from + channels] !== opaque;
  }
  return { samples, channels, varyingOpacity };
}

/** Whether a pixel has the one level or colour that a tRNS chunk makes transparent. */
function hasColour(all: Samples, samples: number, key: Uint8Array): boolean {
  if (key.length < 2 * samples) throw new BrokenFile("its transparent colour is cut short");
  const colour = Array.from({ length: samples }, (_, s) => (key[2 * s]! << 8) | key[2 * s + 1]!);
  for (let i = 0; i < all.length; i += samples) {
    if (colour.every((level, s) => all[i + s] === level)) return true;
  }
  return false;
}

function paletteOf(chunk: Uint8Array | undefined): Uint8Array {
  if (!chunk || chunk.length < 3 || chunk.length % 3 !== 0) {
    throw new BrokenFile("its palette is missing");
  }
  return chunk;
}
