/**
 * A new NIfTI header, field by field as Python writes it.
 *
 * Of an image that was NIfTI, a mask's transforms, voxel sizes and unit are taken as they are, so
 * that every program puts both at the same place. Else the affine is written as sform and qform.
 */

import { type Vector, closestRotation, column, determinant, difference, length, scaled } from "../matrix";
import { LAYOUTS, type NiftiPlace } from "./header";
import { UNIT_BITS } from "./place";

/** Number and bits of the voxels' type. */
const TYPES = { uint8: [2, 8], float32: [16, 32] } as const;
const MILLIMETRES = 2;
/** Voxels along an axis that version 1 can count. */
const MOST_IN_VERSION_1 = 2 ** 15 - 1;
/** How far the quaternion's matrix may be from the affine, in mm. */
const TOLERANCE = 1e-3;

/**
 * @param shape of the voxels; of a mask, with all axes of length 1 that the image's file has.
 * @returns the header and the four bytes that say that nothing follows before the voxels.
 */
export function makeHeader(
  shape: readonly number[],
  type: keyof typeof TYPES,
  place: NiftiPlace,
  version: 1 | 2,
): Uint8Array {
  const layout = LAYOUTS[version];
  const bytes = new Uint8Array(layout.voxels);
  const view = new DataView(bytes.buffer);
  const real = (at: number, value: number): void =>
    version === 1 ? view.setFloat32(at, value, true) : view.setFloat64(at, value, true);
  const reals = (at: number, values: readonly number[]): void =>
    values.forEach((value, index) => real(at + index * (version === 1 ? 4 : 8), value));
  const code = (at: number, value: number): void =>
    version === 1 ? view.setInt16(at, value, true) : view.setInt32(at, value, true);
  const counts = [shape.length, ...shape, ...Array<number>(7 - shape.length).fill(1)];
  view.setInt32(0, layout.size, true);
  counts.forEach((count, index) => {
    if (version === 1) view.setInt16(layout.dim + 2 * index, count, true);
    else view.setBigInt64(layout.dim + 8 * index, BigInt(count), true);
  });
  view.setInt16(layout.datatype, TYPES[type][0], true);
  view.setInt16(layout.bitpix, TYPES[type][1], true);
  reals(layout.pixdim, place.pixdim);
  if (version === 1) view.setFloat32(layout.offset, layout.voxels, true);
  else view.setBigInt64(layout.offset, BigInt(layout.voxels), true);
  real(layout.slope, 1);
  if (version === 1) view.setUint8(layout.units, place.xyztUnits & UNIT_BITS);
  else view.setInt32(layout.units, place.xyztUnits & UNIT_BITS, true);
  code(layout.qformCode, place.qformCode);
  code(layout.sformCode, place.sformCode);
  reals(layout.quaternion, place.quaternion);
  reals(layout.qoffset, place.qoffset);
  reals(layout.srows, place.srows);
  const mark = version === 1 ? "n+1\0" : "n+2\0\r\n\x1a\n";
  bytes.set(new TextEncoder().encode(mark), layout.magic);
  return bytes;
}

/** The version that can count the voxels along each axis. */
export function versionFor(shape: readonly number[]): 1 | 2 {
  return Math.max(...shape) <= MOST_IN_VERSION_1 ? 1 : 2;
}

/**
 * An affine as both of NIfTI's transforms, with the code of scanner coordinates.
 *
 * Where the affine shears, the quaternion cannot hold it and is marked unused.
 */
export function placeOf(affine: Float64Array): NiftiPlace {
  const steps = [column(affine, 0), column(affine, 1), column(affine, 2)] as const;
  const sizes = steps.map(length);
  let [a, b, c] = steps.map((step, axis) => scaled(step, 1 / (sizes[axis] ?? 1))) as [
    Vector,
    Vector,
    Vector,
  ];
  const handed = determinant(a, b, c) > 0 ? 1 : -1;
  c = scaled(c, handed);
  const rotation = closestRotation([a, b, c]);
  const turned = rotation.map((direction, axis) =>
    scaled(direction, (sizes[axis] ?? 1) * (axis === 2 ? handed : 1)),
  );
  const off = turned.map((step, axis) => length(difference(step, steps[axis] ?? step)));
  const fits = Math.max(...off) <= TOLERANCE;
  return {
    pixdim: [handed, ...sizes, 1, 1, 1, 1],
    qformCode: fits ? 1 : 0,
    sformCode: 1,
    quaternion: quaternionOf(rotation as [Vector, Vector, Vector]),
    qoffset: column(affine, 3),
    srows: [...affine.subarray(0, 12)],
    xyztUnits: MILLIMETRES,
  };
}

/** The last three numbers of a rotation's quaternion, whose first is not below 0. */
function quaternionOf([x, y, z]: readonly [Vector, Vector, Vector]): [number, number, number] {
  // Each square from the diagonal; the largest one gives the others without cancelling digits.
  const squares = [
    1 + x[0] + y[1] + z[2],
    1 + x[0] - y[1] - z[2],
    1 - x[0] + y[1] - z[2],
    1 - x[0] - y[1] + z[2],
  ];
  const largest = squares.indexOf(Math.max(...squares));
  const root = Math.sqrt(squares[largest] ?? 1);
  const rows = [
    [root, (y[2] - z[1]) / root, (z[0] - x[2]) / root, (x[1] - y[0]) / root],
    [(y[2] - z[1]) / root, root, (y[0] + x[1]) / root, (z[0] + x[2]) / root],
    [(z[0] - x[2]) / root, (y[0] + x[1]) / root, root, (z[1] + y[2]) / root],
    [(x[1] - y[0]) / root, (z[0] + x[2]) / root, (z[1] + y[2]) / root, root],
  ];
  const [w = 1, b = 0, c = 0, d = 0] = rows[largest] ?? [];
  const half = w < 0 ? -0.5 : 0.5;
  return [b * half, c * half, d * half];
}
