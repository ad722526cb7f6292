/**
 * NIfTI files, read whole and checked; the same numbers, places and words as Python's reader.
 *
 * The voxels are counted against the file's size before memory is taken for them, and a compressed
 * file is read to its end: the checksum there turns a flipped bit into an error.
 */

import { NIFTI } from "../../app/volume_texts";
import { type ByteStream, DamagedGzip, GzipBytes, LARGEST_RATIO, StoredBytes, isGzip } from "../gzip";
import { asSlice, spacing } from "../geometry";
import { ImageError, type MedicalImage } from "../image";
import { takeMemory } from "../memory";
import { LONGEST_HEADER, type NiftiHeader, parseHeader, voxelBytes } from "./header";
import { readPlace } from "./place";
import { short, tuple } from "../python_text";
import { readVoxels } from "./voxels";

/** A compressed file that becomes larger than the one and grows more than by the other is refused. */
const BOMB_BYTES = 2 ** 30;
const BOMB_RATIO = 200;
/** Bytes after the voxels that are read in search of the checksum. */
const MOST_LEFT_OVER = 2 ** 26;

/** What a mask's writer needs to know of the file. */
export interface NiftiSource {
  readonly header: NiftiHeader;
  /** Spatial shape in the file, with all axes of length 1. */
  readonly storedShape: readonly number[];
}

/**
 * Reads one NIfTI-1 or NIfTI-2 file, compressed or not.
 *
 * @param bytes the whole file.
 * @param name its name.
 * @param channels how many the model takes: a fourth axis of that length is taken as channels.
 * @throws ImageError unreadable, truncated, a wrong checksum, a broken header, an affine that is
 *   not finite or not invertible, voxels that are no finite real numbers, several volumes.
 */
export function readNifti(bytes: Uint8Array, name: string, channels: number): MedicalImage {
  const stream = isGzip(bytes) ? new GzipBytes(bytes) : new StoredBytes(bytes);
  try {
    return readStream(stream, name, channels);
  } catch (error) {
    if (!(error instanceof DamagedGzip)) throw error;
    throw new ImageError(NIFTI.gzip(error.message));
  }
}

function readStream(stream: ByteStream, name: string, channels: number): MedicalImage {
  try {
    const start = new Uint8Array(LONGEST_HEADER);
    const block = start.subarray(0, stream.read(start));
    const header = parseHeader(block);
    const place = readPlace(header);
    const scaling = scalingOf(header);
    checkSize(stream, header);
    const raw = readRaw(stream, block, header);
    finish(stream);
    const stored = withoutLastOnes(header.shape);
    const inChannels = stored.length === 4 && stored[3] === channels;
    const shape = inChannels ? stored.slice(0, 3) : stored;
    if (shape.length < 2 || shape.length > 3) {
      throw new ImageError(NIFTI.series(tuple(header.shape)));
    }
    const count = inChannels ? channels : 1;
    const values = readVoxels(raw, header, { shape, channels: count, scaling });
    const geometry = asSlice({ shape, affine: place.affine });
    const source: NiftiSource = { header, storedShape: inChannels ? shape : header.shape };
    return {
      name,
      kind: "nifti",
      shape: geometry.shape,
      channels: count,
      values,
      affine: geometry.affine,
      spacingMm: spacing(geometry),
      source,
      remarks: place.remarks,
    };
  } catch (error) {
    if (error instanceof ImageError) finish(stream); // a wrong checksum explains the rest
    throw error;
  }
}

/** A shape of more than three axes without those of length 1 at its end. */
function withoutLastOnes(shape: readonly number[]): readonly number[] {
  let axes = shape.length;
  while (axes > 3 && shape[axes - 1] === 1) axes--;
  return shape.slice(0, axes);
}

/** Refuses a header that asks for more voxels than the file can hold. */
function checkSize(stream: ByteStream, header: NiftiHeader): void {
  const needed = header.offset + voxelBytes(header);
  if (needed > stream.most) throw cutOff(header, Math.max(0, stream.most - header.offset));
  const ratio = Math.floor((needed * LARGEST_RATIO) / stream.most);
  if (needed > BOMB_BYTES && ratio > BOMB_RATIO && stream.compressed) {
    throw new ImageError(NIFTI.bomb((needed / 1e9).toFixed(1), ratio, BOMB_RATIO));
  }
}

/** The voxels' bytes. `block` is what was read for the header; voxels may begin within it. */
function readRaw(
  stream: ByteStream,
  block: Uint8Array,
  header: NiftiHeader
): Uint8Array {
  skip(stream, header.offset - block.length);
  const raw = takeMemory(voxelBytes(header), (bytes) => new Uint8Array(bytes));
  const begun = block.subarray(header.offset).subarray(0, raw.length);
  raw.set(begun);
  const present = begun.length + stream.read(raw.subarray(begun.length));
  if (present < raw.length) throw cutOff(header, present);
  return raw;
}

function skip(stream: ByteStream, bytes: number): void {
  const waste = new Uint8Array(Math.min(Math.max(bytes, 0), 1 << 20));
  for (let left = bytes; left > 0; ) {
    const got = stream.read(waste.subarray(0, Math.min(left, waste.length)));
    if (got === 0) return;
    left -= got;
  }
}

function cutOff(header: NiftiHeader, present: number): ImageError {
  const { shape, type } = header;
  // Exactly, however many an absurd header asks for.
  const needed = shape.reduce((product, count) => product * BigInt(count), BigInt(type.bytes));
  return new ImageError(NIFTI.cutOff(present, needed, tuple(shape), type.name));
}

/** Reads a compressed stream to its end, where its checksum is compared. */
function finish(stream: ByteStream): void {
  if (!stream.compressed) return;
  const waste = new Uint8Array(1 << 20);
  for (let read = 0; read < MOST_LEFT_OVER; read += waste.length) {
    if (stream.read(waste) === 0) return;
  }
  throw new ImageError(NIFTI.leftOver);
}

/** Slope and intercept; null where voxels are to be taken as they are. */
function scalingOf({ slope, intercept }: NiftiHeader): [number, number] | null {
  if (slope === 0 || Number.isNaN(slope)) return null; // how the standard says "none"
  if (!Number.isFinite(slope) || !Number.isFinite(intercept)) {
    throw new ImageError(NIFTI.scaling(short(slope), short(intercept)));
  }
  return slope === 1 && intercept === 0 ? null : [slope, intercept];
}
