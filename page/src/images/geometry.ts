/** The positions of an image's voxels; the same rules as Python's `imaging/geometry.py`. */

import {
  type Vector,
  affineOf,
  closestRotation,
  column,
  cross,
  determinant,
  length,
  scaled,
} from "./matrix";
import { short, tuple } from "./python_text";

export interface Geometry {
  /** `(i, j)` or `(i, j, k)`. */
  readonly shape: readonly number[];
  /** 4x4 row-major, voxel to world, mm, RAS+; its first columns belong to the axes of `shape`. */
  readonly affine: Float64Array;
}

/** Size of a voxel along each axis of `shape`, in mm. */
export function spacing({ shape, affine }: Geometry): number[] {
  return shape.map((_, axis) => length(column(affine, axis)));
}

/**
 * The volume of a voxel in mm3, or the area of a pixel in mm2; null where its size is not known.
 *
 * Of the whole matrix: where slices are tilted against their stack, the edges' product is too large.
 */
export function voxelSize(image: {
  readonly shape: readonly number[];
  readonly affine: Float64Array | null;
  readonly spacingMm: readonly number[] | null;
}): number | null {
  const { shape, affine, spacingMm } = image;
  if (affine === null) return spacingMm?.reduce((product, mm) => product * mm, 1) ?? null;
  const [a, b, c] = [column(affine, 0), column(affine, 1), column(affine, 2)];
  return shape.length === 2 ? length(cross(a, b)) : Math.abs(determinant(a, b, c));
}

/**
 * A volume of one slice as a flat image; anything else as it is.
 *
 * Of several axes with one voxel the one closest to upwards is left out, else to the front.
 */
export function asSlice(geometry: Geometry): Geometry {
  const { shape, affine } = geometry;
  const thin = shape.flatMap((count, axis) => (count === 1 ? [axis] : []));
  if (shape.length !== 3 || thin.length === 0) return geometry;
  const world = thin.length > 1 ? worldAxes(affine) : [0, 1, 2];
  const leftOut = thin.reduce((best, axis) => ((world[axis] ?? 0) > (world[best] ?? 0) ? axis : best));
  const kept = [0, 1, 2].filter((axis) => axis !== leftOut);
  const columns = [...kept, leftOut, 3].map((axis) => column(affine, axis));
  return {
    shape: kept.map((axis) => shape[axis] ?? 1),
    affine: affineOf(columns as [Vector, Vector, Vector, Vector]),
  };
}

/**
 * The difference between another affine on the same grid and this one, in a few words.
 *
 * Two affines agree, which gives null, when they put every corner of the grid within a tenth of
 * the smallest voxel edge: files round their affines differently.
 */
export function affineDifference(geometry: Geometry, other: Float64Array): string | null {
  const ends = [0, 1, 2].map((axis) => [0, (geometry.shape[axis] ?? 1) - 1]);
  let apartMm = 0;
  for (let corner = 0; corner < 8; corner++) {
    const at = [0, 1, 2].map((axis) => ends[axis]?.[(corner >> axis) & 1] ?? 0);
    const shift = [0, 1, 2].map((row) =>
      [...at, 1].reduce((sum, position, axis) => {
        const index = 4 * row + axis;
        return sum + position * ((other[index] ?? 0) - (geometry.affine[index] ?? 0));
      }, 0),
    );
    apartMm = Math.max(apartMm, Math.hypot(...shift));
  }
  if (apartMm <= 0.1 * Math.min(...spacing(geometry))) return null;
  return `an affine that puts voxels up to ${short(apartMm, 3)} mm away`;
}

/** A shape and another, in a few words, where they differ. */
export function shapeDifference(shape: readonly number[], other: readonly number[]): string | null {
  return tuple(shape) === tuple(other) ? null : `shape ${tuple(other)} against ${tuple(shape)}`;
}

const PERMUTATIONS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

/**
 * The world axis that each of three array axes is closest to, each taken once.
 *
 * All assignments are compared, and equally good ones by the directions that they lead to, so that
 * the answer does not depend on the order or direction in which a file keeps its axes.
 */
export function worldAxes(affine: Float64Array): readonly number[] {
  const unit = [0, 1, 2].map((axis) => {
    const step = column(affine, axis);
    return scaled(step, 1 / length(step));
  });
  const directions = closestRotation(unit as [Vector, Vector, Vector]);
  let best: { world: readonly number[]; rank: number[] } | undefined;
  for (const world of PERMUTATIONS) {
    const along = directions.map((direction, axis) => direction[world[axis] ?? 0] ?? 0);
    const order = [0, 1, 2].sort((a, b) => (world[a] ?? 0) - (world[b] ?? 0));
    const frame = [0, 1, 2].flatMap((row) =>
      order.map((axis) => rounded((directions[axis]?.[row] ?? 0) * ((along[axis] ?? 0) < 0 ? -1 : 1), 5)),
    );
    const rank = [rounded(along.reduce((sum, value) => sum + Math.abs(value), 0), 6), ...frame];
    if (best === undefined || isGreater(rank, best.rank)) best = { world, rank };
  }
  return best?.world ?? [0, 1, 2];
}

function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

function isGreater(a: readonly number[], b: readonly number[]): boolean {
  const index = a.findIndex((value, at) => value !== b[at]);
  return index >= 0 && (a[index] ?? 0) > (b[index] ?? 0);
}
