/** Voxels as a NIfTI file stores them, first axis fastest, to float32 with the last axis fastest. */

import { FILES } from "../../app/volume_texts";
import { ImageError } from "../image";
import { takeMemory } from "../memory";
import type { NiftiHeader, VoxelType } from "./header";

interface Wanted {
  /** Two or three spatial axes. */
  readonly shape: readonly number[];
  /** Volumes one after another in the file. */
  readonly channels: number;
  /** Slope and intercept, applied in double precision. */
  readonly scaling: readonly [number, number] | null;
}

/** Gives one voxel by its place in the file. */
type Reader = (index: number) => number;

/**
 * @returns (channels, ...shape), row-major.
 * @throws ImageError NaN or infinite voxels, or numbers too large for float32.
 */
export function readVoxels(raw: Uint8Array, header: NiftiHeader, wanted: Wanted): Float32Array {
  const { shape, channels, scaling } = wanted;
  const read = readerOf(raw, header, scaling !== null);
  const [ni = 1, nj = 1, nk = 1] = shape;
  const values = takeMemory(channels * ni * nj * nk, (size) => new Float32Array(size));
  const [slope, intercept] = scaling ?? [1, 0];
  let notFinite = 0;
  for (let channel = 0; channel < channels; channel++) {
    const start = channel * ni * nj * nk;
    for (let j = 0; j < nj; j++) {
      // In tiles along i and k: each cache line of either array is used whole while it is there.
      for (let i0 = 0; i0 < ni; i0 += TILE) {
        const i1 = Math.min(i0 + TILE, ni);
        for (let k = 0; k < nk; k++) {
          for (let i = i0; i < i1; i++) {
            const stored = read(start + i + ni * (j + nj * k));
            const value = Math.fround(scaling === null ? stored : stored * slope + intercept);
            if (!Number.isFinite(value)) notFinite++;
            values[start + (i * nj + j) * nk + k] = value;
          }
        }
      }
    }
  }
  if (notFinite > 0) throw new ImageError(FILES.notFinite(notFinite));
  return values;
}

const TILE = 16;

/**
 * The other way round: from the last axis fastest to the first axis fastest.
 *
 * @param shape of a volume; axes after the third have length 1.
 * @param target as long as `values`; returned.
 */
export function firstAxisFastest<A extends Uint8Array | Float32Array>(
  values: A,
  shape: readonly number[],
  target: A,
): A {
  const [ni = 1, nj = 1, nk = 1] = shape;
  for (let j = 0; j < nj; j++) {
    for (let i0 = 0; i0 < ni; i0 += TILE) {
      const i1 = Math.min(i0 + TILE, ni);
      for (let k = 0; k < nk; k++) {
        for (let i = i0; i < i1; i++) {
          target[i + ni * (j + nj * k)] = values[(i * nj + j) * nk + k] ?? 0;
        }
      }
    }
  }
  return target;
}

function readerOf(raw: Uint8Array, header: NiftiHeader, toDouble: boolean): Reader {
  const { type, littleEndian } = header;
  if (type.bytes === 1 || (littleEndian && type.bytes < 8)) {
    // Typed arrays have the machine's byte order, which is little-endian wherever browsers run.
    const array = new (ARRAYS[`${type.kind}${type.bytes}`] ?? Uint8Array)(raw.buffer);
    return (index) => array[index] ?? NaN;
  }
  const view = new DataView(raw.buffer);
  return (index) => readOne(view, index * type.bytes, type, littleEndian, toDouble);
}

const ARRAYS: Readonly<
  Record<string, new (buffer: ArrayBufferLike) => ArrayLike<number>>
> = {
  uint1: Uint8Array,
  int1: Int8Array,
  uint2: Uint16Array,
  int2: Int16Array,
  uint4: Uint32Array,
  int4: Int32Array,
  float4: Float32Array,
};

function readOne(
  view: DataView,
  at: number,
  { kind, bytes }: VoxelType,
  little: boolean,
  toDouble: boolean,
): number {
  switch (`${kind}${bytes}`) {
    case "int2":
      return view.getInt16(at, little);
    case "uint2":
      return view.getUint16(at, little);
    case "int4":
      return view.getInt32(at, little);
    case "uint4":
      return view.getUint32(at, little);
    case "float4":
      return view.getFloat32(at, little);
    case "float8":
      return view.getFloat64(at, little);
    case "int8":
      return toDouble ? Number(view.getBigInt64(at, little)) : forFloat(view.getBigInt64(at, little));
    default:
      return toDouble
        ? Number(view.getBigUint64(at, little))
        : forFloat(view.getBigUint64(at, little));
  }
}

/**
 * A whole number of 64 bits, ready to be rounded to float32 once.
 *
 * Rounded to a double first, it could come to lie between two floats and then go the wrong way. So
 * its last bits are folded into one that a double still holds.
 */
function forFloat(value: bigint): number {
  const size = value < 0n ? -value : value;
  if (size < 1n << 53n) return Number(value);
  const folded = ((size >> 12n) << 12n) | ((size & 0xfffn) === 0n ? 0n : 1n << 12n);
  return Number(value < 0n ? -folded : folded);
}
