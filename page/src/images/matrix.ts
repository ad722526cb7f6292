/** 3x3 matrices, row-major, as far as positions in space need them. */

export type Vector = readonly [number, number, number];

export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a: Vector): number => Math.hypot(...a);
export const scaled = (a: Vector, by: number): Vector => [a[0] * by, a[1] * by, a[2] * by];
export const difference = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** The determinant of the matrix with these columns. */
export const determinant = (a: Vector, b: Vector, c: Vector): number => dot(a, cross(b, c));

/** Column `axis` of a 4x4 row-major affine, without its last row. */
export function column(affine: ArrayLike<number>, axis: number): Vector {
  return [affine[axis] ?? NaN, affine[4 + axis] ?? NaN, affine[8 + axis] ?? NaN];
}

/** An affine of four columns, the last one the origin's position. */
export function affineOf(columns: readonly [Vector, Vector, Vector, Vector]): Float64Array {
  const affine = new Float64Array(16);
  columns.forEach((values, axis) => values.forEach((value, row) => (affine[4 * row + axis] = value)));
  affine[15] = 1;
  return affine;
}

/**
 * The closest axes at right angles to three unit directions, given and returned as columns.
 *
 * Newton's iteration for the polar factor: the mean of a matrix and the transpose of its inverse.
 * It doubles the digits each time; the determinant of what is given is at least 1e-4.
 */
export function closestRotation(directions: readonly [Vector, Vector, Vector]): Vector[] {
  let [a, b, c] = directions;
  for (let step = 0; step < 60; step++) {
    const volume = determinant(a, b, c);
    // The rows of the inverse are these cross products; as columns they are its transpose.
    const inverse = [cross(b, c), cross(c, a), cross(a, b)].map((v) => scaled(v, 1 / volume));
    const next = [a, b, c].map((v, axis): Vector => {
      const other = inverse[axis] ?? v;
      return [(v[0] + other[0]) / 2, (v[1] + other[1]) / 2, (v[2] + other[2]) / 2];
    });
    const change = next.map((v, axis) => length(difference(v, [a, b, c][axis] ?? v)));
    [a = a, b = b, c = c] = next;
    if (Math.max(...change) < 1e-15) break;
  }
  return [a, b, c];
}
