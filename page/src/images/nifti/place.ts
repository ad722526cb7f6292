/**
 * What a NIfTI header says about where the voxels lie, taken at its word or refused.
 *
 * The same order, rules and words as Python's `imaging/nifti_place.py`: the sform if there is one,
 * else the qform, else the voxel sizes alone, with the first axis running to the left and the
 * centre as the origin.
 */

import { NIFTI } from "../../app/volume_texts";
import { affineDifference } from "../geometry";
import { ImageError } from "../image";
import { affineOf, column, determinant, length, scaled } from "../matrix";
import type { NiftiHeader } from "./header";
import { short } from "../python_text";

/** mm in one of the header's units: metre, mm, micron. Without a known unit it is mm. */
const UNIT_MM: Readonly<Record<number, number>> = { 1: 1000, 2: 1, 3: 0.001 };
/** The part of `xyzt_units` that is about space. */
export const UNIT_BITS = 0b111;
/** Largest number that an affine may hold: no scanner's, and its square can be counted with. */
const FARTHEST = 1e12;

/** A place, and what the user must know about how it was found. */
export interface Place {
  readonly affine: Float64Array;
  readonly remarks: readonly string[];
}

/**
 * Voxel to world, mm, RAS+.
 *
 * @throws ImageError numbers that are not finite, a voxel size that is not positive where it is
 *   needed, a matrix that cannot be inverted.
 */
export function readPlace(header: NiftiHeader): Place {
  const { qformCode, sformCode, xyztUnits } = header.place;
  const remarks: string[] = [];
  let affine: Float64Array;
  if (sformCode > 0) affine = sform(header);
  else if (qformCode > 0) affine = qform(header);
  else affine = centred(header);
  checkAffine(affine);
  if (sformCode > 0 && qformCode > 0) {
    remarks.push(...formsThatDisagree(header, affine));
  } else if (sformCode <= 0 && qformCode <= 0) {
    remarks.push(NIFTI.unplaced);
  }
  const unit = UNIT_MM[xyztUnits & UNIT_BITS] ?? 1;
  for (let index = 0; index < 12; index++) affine[index] = (affine[index] ?? 0) * unit;
  return { affine, remarks };
}

function sform({ place }: NiftiHeader): Float64Array {
  return Float64Array.from([...place.srows, 0, 0, 0, 1]);
}

function qform(header: NiftiHeader): Float64Array {
  const { quaternion, qoffset, pixdim } = header.place;
  const rest = 1 - quaternion.reduce((sum, number) => sum + number * number, 0);
  if (!(rest > -1e-3)) throw new ImageError(NIFTI.noRotation); // NaN too; a little is rounding
  const sizes = voxelSizes(header);
  const handed = (pixdim[0] ?? 1) < 0 ? -1 : 1; // a left-handed grid
  const rotation = rotationOf([Math.sqrt(Math.max(rest, 0)), ...quaternion]);
  return affineOf([
    scaled(column(rotation, 0), sizes[0]),
    scaled(column(rotation, 1), sizes[1]),
    scaled(column(rotation, 2), sizes[2] * handed),
    qoffset,
  ]);
}

/** The rotation of a quaternion, in the upper left of a 4x4 row-major matrix. */
function rotationOf([w, x, y, z]: readonly [number, number, number, number]): number[] {
  const scale = 2 / (w * w + x * x + y * y + z * z);
  const [X, Y, Z] = [x * scale, y * scale, z * scale];
  const [wX, wY, wZ, xX, xY, xZ] = [w * X, w * Y, w * Z, x * X, x * Y, x * Z];
  const [yY, yZ, zZ] = [y * Y, y * Z, z * Z];
  return [
    ...[1 - (yY + zZ), xY - wZ, xZ + wY, 0],
    ...[xY + wZ, 1 - (xX + zZ), yZ - wX, 0],
    ...[xZ - wY, yZ + wX, 1 - (xX + yY), 0],
    ...[0, 0, 0, 1],
  ];
}

function centred(header: NiftiHeader): Float64Array {
  const sizes = voxelSizes(header);
  const steps = [-sizes[0], sizes[1], sizes[2]] as const;
  const middle = (axis: 0 | 1 | 2): number => (-steps[axis] * ((header.shape[axis] ?? 1) - 1)) / 2;
  return affineOf([
    [steps[0], 0, 0],
    [0, steps[1], 0],
    [0, 0, steps[2]],
    [middle(0), middle(1), middle(2)],
  ]);
}

/** Of three axes; 1 for those that the image has not. */
function voxelSizes(header: NiftiHeader): [number, number, number] {
  return [1, 2, 3].map((axis) => {
    const size = header.place.pixdim[axis] ?? NaN;
    if (Number.isFinite(size) && size > 0) return size;
    if (axis > header.shape.length) return 1;
    throw new ImageError(NIFTI.voxelSize(short(size), axis));
  }) as [number, number, number];
}

/** @throws ImageError an affine that is not finite or cannot be inverted. */
export function checkAffine(affine: Float64Array): void {
  if (!affine.every(Number.isFinite)) {
    throw new ImageError(NIFTI.affine("an affine with NaN or infinite numbers"));
  }
  const largest = affine.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest > FARTHEST) throw new ImageError(NIFTI.affine(`an affine with ${short(largest)}`));
  // The determinant of the unit directions: 1 for right angles, 0 for a flattened grid, whatever
  // the voxel size is.
  const columns = [column(affine, 0), column(affine, 1), column(affine, 2)] as const;
  const lengths = columns.map(length);
  const [a, b, c] = columns.map((step) => scaled(step, 1 / length(step)));
  const flat = !a || !b || !c || Math.abs(determinant(a, b, c)) < 1e-4;
  if (Math.min(...lengths) < 1 / FARTHEST || flat) {
    throw new ImageError(NIFTI.singular);
  }
}

/** Says which form is used where a qform and an sform disagree. */
function formsThatDisagree(header: NiftiHeader, affine: Float64Array): string[] {
  const { qformCode, sformCode } = header.place;
  let other: Float64Array;
  try {
    other = qform(header);
    checkAffine(other);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    const reason = /^Found (.*?); expected /.exec(error.message)?.[1] ?? error.message;
    return [NIFTI.unusableQform(qformCode, sformCode, reason)];
  }
  const shape = [0, 1, 2].map((axis) => header.shape[axis] ?? 1);
  const difference = affineDifference({ shape, affine }, other);
  return difference === null ? [] : [NIFTI.differentForms(qformCode, sformCode, difference)];
}
