/** The numbers that a DICOM image stores, frame by frame, decompressed. */

import { DICOM } from "../../app/volume_texts";
import { ImageError } from "../image";
import { takeMemory } from "../memory";
import type { Decode, DecodedFrame } from "./codecs/codec";
import { endOfStream, statedSize } from "./codestream";
import type { DataSet, Element } from "./data_set";
import { compressedFrames } from "./encapsulated";
import { className } from "./object_kinds";
import type { DicomObject } from "./parse";
import { TRANSFER_SYNTAXES as SYNTAX, syntaxName } from "./syntaxes";

export interface StoredFrame {
  /** (rows, columns, channels). */
  readonly samples: ArrayLike<number>;
  readonly channels: 1 | 3;
  /** What the samples mean, which decompression can change from YBR to RGB. */
  readonly meaning: string;
}

/** Pixels times channels of one frame, as in other pictures. */
const MOST_VALUES = 150_000_000;

/** What the header says about pixels. */
interface Layout {
  readonly rows: number;
  readonly columns: number;
  readonly channels: 1 | 3;
  readonly frames: number;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly signed: boolean;
  readonly planar: boolean;
  readonly meaning: string;
  readonly littleEndian: boolean;
}

/**
 * Gives the frames in the file's own order.
 *
 * @throws ImageError no pixels, too few, more than the header says, a transfer syntax or a
 *   compression that cannot be read.
 */
export async function* storedFrames(object: DicomObject): AsyncGenerator<StoredFrame> {
  const { data, syntax } = object;
  const kind = KINDS.find((name) => data.has(name));
  const element = kind && data.get(kind);
  if (kind === undefined || element === undefined) {
    throw new ImageError(DICOM.noPixels(kindOf(data)));
  }
  const layout = layoutOf(data, kind);
  if (UNCOMPRESSED.includes(syntax) || syntax === SYNTAX.rle) checkPlaceOfBits(data);
  if (kind !== "PixelData") {
    yield* floatFrames(element, layout);
  } else if (UNCOMPRESSED.includes(syntax)) {
    yield* plainFrames(element, layout);
  } else {
    yield* decodedFrames(element, layout, syntax);
  }
}

/** What an object is, in the words of the standard, such as "RT Plan Storage". */
export function kindOf(data: DataSet): string {
  return className(data.text("SOPClassUID")) || data.text("Modality") || DICOM.unknownKind;
}

const KINDS = ["PixelData", "FloatPixelData", "DoubleFloatPixelData"] as const;
const FLOAT_BITS = { PixelData: undefined, FloatPixelData: 32, DoubleFloatPixelData: 64 };
const UNCOMPRESSED: readonly string[] = [
  SYNTAX.implicit,
  SYNTAX.explicit,
  SYNTAX.bigEndian,
  SYNTAX.deflated,
];

/** What pixels may mean; of others the colours are not known. */
const MEANINGS: readonly string[] = [
  ...["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"],
  ...["YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"],
];
const LOSSY_JPEG: readonly string[] = [SYNTAX.jpegBaseline, SYNTAX.jpegExtended];

function layoutOf(data: DataSet, kind: (typeof KINDS)[number]): Layout {
  const rows = data.count("Rows");
  const columns = data.count("Columns");
  const channels = data.count("SamplesPerPixel");
  if (channels !== 1 && channels !== 3) throw new ImageError(DICOM.samples(channels));
  const values = rows * columns * channels;
  if (values > MOST_VALUES) {
    const millions = (values / 1e6).toFixed(0);
    throw new ImageError(DICOM.tooManyPixels(columns, rows, millions, MOST_VALUES / 1e6));
  }
  const meaning = data.text("PhotometricInterpretation");
  if (!MEANINGS.includes(meaning)) throw new ImageError(DICOM.meaning(meaning));
  const bitsAllocated = data.count("BitsAllocated", FLOAT_BITS[kind]);
  const bitsStored = data.count("BitsStored", FLOAT_BITS[kind]);
  if (bitsStored > bitsAllocated) throw new ImageError(DICOM.bitsStored(bitsStored, bitsAllocated));
  const sign = data.number("PixelRepresentation", kind === "PixelData" ? undefined : 1);
  if (sign !== 0 && sign !== 1) throw new ImageError(DICOM.sign(sign));
  return {
    rows,
    columns,
    channels,
    frames: data.count("NumberOfFrames", 1),
    bitsAllocated,
    bitsStored,
    signed: sign === 1,
    planar: data.number("PlanarConfiguration", 0) === 1,
    meaning,
    littleEndian: data.littleEndian,
  };
}

/** Refuses numbers that do not lie at the low end of their words. */
function checkPlaceOfBits(data: DataSet): void {
  const stored = data.number("BitsStored", 0);
  const highest = data.number("HighBit", stored - 1);
  if (stored !== 0 && highest !== stored - 1) {
    throw new ImageError(DICOM.placeOfBits(stored, highest));
  }
}

/** Refuses pixels that are cut off or in parts, as only compressed ones are; returns the values and bytes of a frame. */
function checkLength(
  { value, fragments }: Element,
  layout: Layout,
): { values: number; bytes: number } {
  if (fragments) throw new ImageError(DICOM.hiddenCompression);
  const { rows, columns, channels, frames, bitsAllocated, meaning } = layout;
  const values = rows * columns * channels;
  // Two pixels share their colour in YBR_FULL_422.
  const stored = meaning === "YBR_FULL_422" ? (values * 2) / 3 : values;
  const needed = Math.ceil((stored * frames * bitsAllocated) / 8);
  if (value.length < needed) {
    throw new ImageError(DICOM.cutOff(value.length, needed, frames, columns, rows));
  }
  return { values: stored, bytes: (stored * bitsAllocated) / 8 };
}

function* floatFrames(element: Element, layout: Layout): Generator<StoredFrame> {
  const { bytes, values } = checkLength(element, layout);
  const view = viewOf(element.value);
  const { littleEndian: little, bitsAllocated } = layout;
  for (let frame = 0; frame < layout.frames; frame++) {
    const samples = takeMemory(values, (size) => new Float64Array(size));
    for (let i = 0; i < values; i++) {
      const at = frame * bytes + (i * bitsAllocated) / 8;
      samples[i] = bitsAllocated === 32 ? view.getFloat32(at, little) : view.getFloat64(at, little);
    }
    yield { samples, channels: layout.channels, meaning: layout.meaning };
  }
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function* plainFrames(element: Element, layout: Layout): Generator<StoredFrame> {
  const { bytes, values } = checkLength(element, layout);
  for (let frame = 0; frame < layout.frames; frame++) {
    const samples =
      layout.bitsAllocated === 1
        ? bitSamples(element.value, frame * values, values)
        : wordSamples(element.value.subarray(frame * bytes, (frame + 1) * bytes), layout, values);
    yield arranged(samples, layout, layout.planar);
  }
}

/** Of one bit each, the lowest of a byte first, without a gap between frames. */
function bitSamples(value: Uint8Array, first: number, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => {
    const bit = first + i;
    return ((value[bit >> 3] ?? 0) >> (bit & 7)) & 1;
  });
}

/** Of 8, 16 or 32 bits; bits above those that are stored do not count. */
function wordSamples(value: Uint8Array, layout: Layout, count: number): Float64Array | Int32Array {
  const { bitsAllocated: bits, littleEndian: little } = layout;
  const view = viewOf(value);
  const read =
    bits === 8
      ? (i: number) => view.getUint8(i)
      : bits === 16
        ? (i: number) => view.getUint16(2 * i, little)
        : (i: number) => view.getUint32(4 * i, little);
  if (![8, 16, 32].includes(bits)) throw new ImageError(DICOM.bits(bits));
  const samples = takeMemory(count, (size) =>
    bits === 32 ? new Float64Array(size) : new Int32Array(size),
  );
  const used = usedBits(layout.bitsStored, layout.signed);
  for (let i = 0; i < count; i++) samples[i] = used(read(i));
  return samples;
}

/** Takes the lowest bits of a number, as one with a sign or without. */
function usedBits(bits: number, signed: boolean): (value: number) => number {
  const unused = 32 - Math.min(bits, 32);
  return signed ? (value) => (value << unused) >> unused : (value) => (value << unused) >>> unused;
}

async function* decodedFrames(
  { fragments, value }: Element,
  layout: Layout,
  syntax: string,
): AsyncGenerator<StoredFrame> {
  const decode = await decoderFor(syntax, layout);
  const parts = fragments ?? [new Uint8Array(0), value];
  for (const stream of compressedFrames(parts, layout.frames)) {
    checkStream(stream, layout, syntax);
    yield decode(stream);
  }
}

/**
 * Compares what a stream says of itself with the header, before a decoder takes time and memory.
 *
 * All forms but RLE end with a marker. Decoders make up the pixels that are cut off with the end,
 * or search for them for seconds.
 */
function checkStream(stream: Uint8Array, { rows, columns }: Layout, syntax: string): void {
  if (syntax === SYNTAX.rle) return;
  if (endOfStream(stream) < 0) throw new ImageError(DICOM.noEnd);
  const stated = statedSize(stream);
  if (stated === null) return;
  if (stated.rows !== rows || stated.columns !== columns) {
    const found = `${stated.columns}x${stated.rows}`;
    throw new ImageError(DICOM.frameSize(found, `${columns}x${rows}`));
  }
  if (LOSSY_JPEG.includes(syntax) && stated.precision !== 8) throw new ImageError(DICOM.twelveBits);
}

type Loaders = Readonly<Record<string, () => Promise<Decode>>>;

/** Each decoder is loaded when the first of its images comes. */
const LOADERS: Loaders = {
  [SYNTAX.jpegLossless]: async () => (await import("./codecs/jpeg_lossless")).decodeJpegLossless,
  [SYNTAX.jpegLosslessFirstOrder]: async () =>
    (await import("./codecs/jpeg_lossless")).decodeJpegLossless,
  [SYNTAX.jpegBaseline]: async () => (await import("./codecs/jpeg")).load(),
  [SYNTAX.jpegExtended]: async () => (await import("./codecs/jpeg")).load(),
  [SYNTAX.jpegLsLossless]: async () => (await import("./codecs/jpeg_ls")).load(),
  [SYNTAX.jpegLs]: async () => (await import("./codecs/jpeg_ls")).load(),
  [SYNTAX.jpeg2000Lossless]: async () => (await import("./codecs/jpeg_2000")).load(),
  [SYNTAX.jpeg2000]: async () => (await import("./codecs/jpeg_2000")).load(),
};

async function decoderFor(
  syntax: string,
  layout: Layout,
): Promise<(stream: Uint8Array) => StoredFrame> {
  if (syntax === SYNTAX.rle) return await rleDecoder(layout);
  const load = LOADERS[syntax];
  if (load === undefined) throw new ImageError(DICOM.syntax(syntaxName(syntax)));
  const decode = await load();
  const mark = await colourMark(syntax, layout);
  return (stream) => {
    const frame = orBroken(() => decode(mark(stream)));
    const { rows, columns, channels } = layout;
    if (frame.rows !== rows || frame.columns !== columns) {
      const found = `${frame.columns}x${frame.rows}`;
      throw new ImageError(DICOM.frameSize(found, `${columns}x${rows}`));
    }
    if (frame.channels !== channels) throw new ImageError(DICOM.samples(frame.channels));
    return arranged(withSign(frame, layout), layout, false, isDecodedToRgb(syntax, layout));
  };
}

/** What has to be done to a stream so that its decoder gives the colours that the header names. */
async function colourMark(
  syntax: string,
  { channels, meaning }: Layout,
): Promise<(stream: Uint8Array) => Uint8Array> {
  if (channels === 1 || meaning !== "RGB" || !LOSSY_JPEG.includes(syntax)) return (stream) => stream;
  return (await import("./codecs/jpeg")).markedAsRgb;
}

async function rleDecoder(layout: Layout): Promise<(stream: Uint8Array) => StoredFrame> {
  const { decodeRle } = await import("./codecs/rle");
  const { rows, columns, channels, bitsAllocated } = layout;
  if (![8, 16, 32].includes(bitsAllocated)) throw new ImageError(DICOM.bits(bitsAllocated));
  return (stream) => {
    const bytes = orBroken(() => decodeRle(stream, rows * columns, channels, bitsAllocated / 8));
    const samples = wordSamples(bytes, { ...layout, littleEndian: true }, rows * columns * channels);
    return arranged(samples, layout, false);
  };
}

function orBroken<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw new ImageError(DICOM.undecodable(error instanceof Error ? error.message : "damaged"));
  }
}

/** Samples with or without a sign as the header says, whatever the stream believed of itself. */
function withSign(frame: DecodedFrame, { bitsStored, signed }: Layout): ArrayLike<number> {
  const { samples, precision } = frame;
  const streamSigned = samples instanceof Int8Array || samples instanceof Int16Array;
  if (streamSigned === signed && precision <= bitsStored) return samples;
  const used = usedBits(streamSigned === signed ? bitsStored : Math.min(precision, bitsStored), signed);
  return Int32Array.from(samples, used);
}

/** Whether a decoder makes RGB of what the header calls YBR. */
function isDecodedToRgb(syntax: string, { channels, meaning }: Layout): boolean {
  return channels === 3 && (LOSSY_JPEG.includes(syntax) || ["YBR_ICT", "YBR_RCT"].includes(meaning));
}

/** Samples pixel by pixel, and with a colour for each pixel. */
function arranged(
  samples: ArrayLike<number>,
  layout: Layout,
  planar: boolean,
  isRgb = false,
): StoredFrame {
  const { channels, rows, columns } = layout;
  const meaning = isRgb ? "RGB" : layout.meaning;
  if (channels === 1) return { samples, channels, meaning };
  const pixels = rows * columns;
  if (meaning === "YBR_FULL_422" && samples.length < 3 * pixels) {
    return { samples: sharedColours(samples, pixels), channels, meaning };
  }
  if (!planar) return { samples, channels, meaning };
  const mixed = new Float64Array(3 * pixels);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) mixed[3 * i + c] = samples[c * pixels + i] ?? 0;
  }
  return { samples: mixed, channels, meaning };
}

/** YBR_FULL_422: two brightnesses, then the colour of both. */
function sharedColours(samples: ArrayLike<number>, pixels: number): Float64Array {
  const whole = new Float64Array(3 * pixels);
  for (let i = 0; i < pixels; i++) {
    const pair = 4 * (i >> 1);
    whole[3 * i] = samples[pair + (i & 1)] ?? 0;
    whole[3 * i + 1] = samples[pair + 2] ?? 0;
    whole[3 * i + 2] = samples[pair + 3] ?? 0;
  }
  return whole;
}
