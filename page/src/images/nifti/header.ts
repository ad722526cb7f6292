/**
 * A NIfTI header, field by field as it is in the file, or refused.
 *
 * The same rules and words as Python's `imaging/nifti_header.py`.
 */

import { NIFTI } from "../../app/volume_texts";
import { ImageError } from "../image";
import { bytesText, short, tuple } from "../python_text";

/** Bytes of the longer header, NIfTI-2's. */
export const LONGEST_HEADER = 540;

/** A type of voxel: how many bytes, and how they are read. */
export interface VoxelType {
  /** As numpy writes it: `int16`, `>i2`. */
  readonly name: string;
  readonly bytes: number;
  readonly kind: "int" | "uint" | "float";
}

export interface NiftiHeader {
  readonly version: 1 | 2;
  readonly littleEndian: boolean;
  /** Sizes along all axes, those of length 1 too. */
  readonly shape: readonly number[];
  readonly type: VoxelType;
  /** Bytes before the first voxel. */
  readonly offset: number;
  readonly slope: number;
  readonly intercept: number;
  readonly place: NiftiPlace;
}

/** The fields that say where voxels lie; a mask is written with the same. */
export interface NiftiPlace {
  /** Eight numbers; the first is the handedness of the qform's grid, then sizes along the axes. */
  readonly pixdim: readonly number[];
  readonly qformCode: number;
  readonly sformCode: number;
  readonly quaternion: readonly [number, number, number];
  readonly qoffset: readonly [number, number, number];
  /** Three rows of four. */
  readonly srows: readonly number[];
  readonly xyztUnits: number;
}

/** Where the fields lie. Numbers are `short`s and floats in version 1, and wider in version 2. */
export const LAYOUTS = {
  1: {
    size: 348,
    magic: 344,
    dim: 40,
    datatype: 70,
    bitpix: 72,
    pixdim: 76,
    offset: 108,
    slope: 112,
    intercept: 116,
    units: 123,
    qformCode: 252,
    sformCode: 254,
    quaternion: 256,
    qoffset: 268,
    srows: 280,
    voxels: 352,
  },
  2: {
    size: 540,
    magic: 4,
    dim: 16,
    datatype: 12,
    bitpix: 14,
    pixdim: 104,
    offset: 168,
    slope: 176,
    intercept: 184,
    units: 500,
    qformCode: 344,
    sformCode: 348,
    quaternion: 352,
    qoffset: 376,
    srows: 400,
    voxels: 544,
  },
} as const;

/**
 * Reads the header at the beginning of a NIfTI-1 or NIfTI-2 file.
 *
 * @param block the file's first 540 bytes, or fewer if it has not so many.
 * @throws ImageError no NIfTI header, or one whose shape, number type or offset cannot be.
 */
export function parseHeader(block: Uint8Array): NiftiHeader {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const sizes = block.length < 4 ? [] : [view.getInt32(0, true), view.getInt32(0, false)];
  const order = sizes.findIndex((size) => size === 348 || size === 540);
  const version = sizes[order] === 348 ? 1 : 2;
  const layout = LAYOUTS[version];
  if (order < 0 || block.length < layout.size) {
    throw new ImageError(NIFTI.noHeader);
  }
  checkMagic(block.subarray(layout.magic, layout.magic + 4), version);
  const fields = new Fields(view, version, order === 0);
  return {
    version,
    littleEndian: order === 0,
    shape: shapeOf(fields),
    type: typeOf(fields),
    offset: offsetOf(fields),
    slope: fields.real(layout.slope),
    intercept: fields.real(layout.intercept),
    place: {
      pixdim: fields.reals(layout.pixdim, 8),
      qformCode: fields.code(layout.qformCode),
      sformCode: fields.code(layout.sformCode),
      quaternion: fields.reals(layout.quaternion, 3) as [number, number, number],
      qoffset: fields.reals(layout.qoffset, 3) as [number, number, number],
      srows: fields.reals(layout.srows, 12),
      xyztUnits: version === 1 ? view.getUint8(layout.units) : fields.code(layout.units),
    },
  };
}

/** How many voxels, and bytes of them. */
export function voxelBytes({ shape, type }: NiftiHeader): number {
  return shape.reduce((product, count) => product * count, type.bytes);
}

/** The numbers of a header, in its version's widths and its byte order. */
class Fields {
  constructor(
    readonly view: DataView,
    readonly version: 1 | 2,
    readonly littleEndian: boolean,
  ) {}

  real(at: number): number {
    return this.version === 1
      ? this.view.getFloat32(at, this.littleEndian)
      : this.view.getFloat64(at, this.littleEndian);
  }

  reals(at: number, count: number): number[] {
    const width = this.version === 1 ? 4 : 8;
    return Array.from({ length: count }, (_, index) => this.real(at + width * index));
  }

  code(at: number): number {
    return this.version === 1
      ? this.view.getInt16(at, this.littleEndian)
      : this.view.getInt32(at, this.littleEndian);
  }

  count(at: number): number {
    return this.version === 1
      ? this.view.getInt16(at, this.littleEndian)
      : Number(this.view.getBigInt64(at, this.littleEndian));
  }
}

function checkMagic(magic: Uint8Array, version: 1 | 2): void {
  const text = String.fromCharCode(...magic);
  if (text.startsWith(`n+${version}`)) return;
  const pair = text.startsWith("ni1") || text.startsWith("ni2");
  throw new ImageError(pair ? NIFTI.pair : NIFTI.mark(bytesText(magic)));
}

function shapeOf(fields: Fields): number[] {
  const { dim } = LAYOUTS[fields.version];
  const width = fields.version === 1 ? 2 : 8;
  const axes = fields.count(dim);
  if (!(axes >= 1 && axes <= 7)) throw new ImageError(NIFTI.axes(axes));
  const shape = Array.from({ length: axes }, (_, axis) => fields.count(dim + width * (axis + 1)));
  if (Math.min(...shape) < 1) throw new ImageError(NIFTI.emptyAxis(tuple(shape)));
  return shape;
}

const TYPES: Readonly<Record<number, readonly [VoxelType["kind"], number]>> = {
  2: ["uint", 1],
  4: ["int", 2],
  8: ["int", 4],
  16: ["float", 4],
  64: ["float", 8],
  256: ["int", 1],
  512: ["uint", 2],
  768: ["uint", 4],
  1024: ["int", 8],
  1280: ["uint", 8],
};
/** Types that NIfTI knows but which are no real numbers, as numpy writes them. */
const NOT_REAL: Readonly<Record<number, readonly [string, string]>> = {
  0: ["|V0", "|V0"],
  1: ["|V0", "|V0"],
  32: ["complex64", ">c8"],
  255: ["|V0", "|V0"],
  1536: ["|V0", "|V0"],
  1792: ["complex128", ">c16"],
  2048: ["|V0", "|V0"],
};
const COLOURS = [128, 2304];

function typeOf(fields: Fields): VoxelType {
  const number = fields.view.getInt16(LAYOUTS[fields.version].datatype, fields.littleEndian);
  const type = TYPES[number];
  if (type !== undefined) {
    const [kind, bytes] = type;
    const swapped = bytes > 1 && !fields.littleEndian;
    return { name: swapped ? `>${kind[0]}${bytes}` : `${kind}${8 * bytes}`, bytes, kind };
  }
  const other = NOT_REAL[number];
  if (other === undefined && !COLOURS.includes(number)) {
    throw new ImageError(NIFTI.unknownType(number));
  }
  const shown = other?.[fields.littleEndian ? 0 : 1];
  throw new ImageError(shown === undefined ? NIFTI.colour : NIFTI.notReal(shown));
}

function offsetOf(fields: Fields): number {
  const { offset, voxels } = LAYOUTS[fields.version];
  const value = fields.version === 1 ? fields.real(offset) : fields.count(offset);
  if (value === 0) return voxels; // written by some programs for "right after the header"
  if (!(value >= voxels) || !Number.isInteger(value) || value > 2 ** 62) {
    throw new ImageError(NIFTI.offset(short(value), voxels));
  }
  return value;
}
