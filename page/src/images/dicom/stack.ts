/**
 * Frames sorted into a volume, or refused: a wrong place of a slice must not go unnoticed.
 *
 * The same rules and words as Python's `imaging/dicom/stack.py`. Slices are sorted by their
 * position along the normal of their plane, never by number or name. They must lie on one even
 * line: where slices are missing, doubled or unevenly spaced the series is refused, as no affine
 * could say where they lie.
 */

import { DICOM } from "../../app/volume_texts";
import { type Geometry, asSlice } from "../geometry";
import { ImageError } from "../image";
import { type Vector, affineOf, cross, difference, dot, length, scaled } from "../matrix";
import { short } from "../python_text";
import type { Frame } from "./frames";

export interface Stack {
  readonly geometry: Geometry;
  /** The frames in the order of their slices. */
  readonly frames: readonly Frame[];
  readonly remarks: readonly string[];
}

/** By which directions may differ from each other, from length 1 and from a right angle. */
const ROUNDING = 1e-3;
/** Share of a step, or of a pixel, by which a slice may lie beside its place: files round. */
const APART = 0.1;

/** A frame with the numbers that `checkEqual` has found in it. */
interface Placed {
  readonly frame: Frame;
  readonly position: Vector;
  /** Position along the normal of the slices. */
  readonly along: number;
}

/**
 * The grid of a volume `(columns, rows, slices)`, or of a flat image where there is one slice.
 *
 * @throws ImageError frames without a place, of several sizes, directions or pixel sizes; two at
 *   one position, one missing, or uneven steps.
 */
export function stack(frames: readonly Frame[]): Stack {
  const first = checkEqual(frames);
  const [alongRow, alongColumn] = directions(first.orientation);
  const normal = cross(alongRow, alongColumn);
  const placed = frames
    .map((frame): Placed => {
      const position = frame.position ?? [0, 0, 0]; // checked above
      return { frame, position, along: dot(position, normal) };
    })
    .sort((a, b) => a.along - b.along);
  const [rowMm, columnMm] = spacingOf(first.spacing);
  const remarks: string[] = [];
  let step = scaled(normal, first.thickness ?? 1);
  if (placed.length > 1) {
    step = evenStep(placed, Math.min(rowMm, columnMm));
    const alongStep = dot(step, normal) / length(step);
    const tilt = (Math.acos(Math.min(1, Math.max(-1, alongStep))) * 180) / Math.PI;
    if (tilt > 0.1) remarks.push(DICOM.tilted(tilt.toFixed(1)));
  }
  const columns = [scaled(alongRow, columnMm), scaled(alongColumn, rowMm), step] as const;
  const origin = placed[0]?.position ?? [0, 0, 0];
  const affine = affineOf([...columns, origin].map(toRas) as [Vector, Vector, Vector, Vector]);
  const shape = [first.columns, first.rows, placed.length];
  return { geometry: asSlice({ shape, affine }), frames: placed.map(({ frame }) => frame), remarks };
}

/** DICOM counts to the left, to the back and upwards; an affine to the right, to the front, up. */
function toRas([x, y, z]: Vector): Vector {
  return [0 - x, 0 - y, z + 0]; // no minus zeros
}

/** Refuses frames that cannot be slices of one volume; returns the first one. */
function checkEqual(frames: readonly Frame[]): Frame {
  const [first] = frames;
  if (first === undefined) throw new ImageError(DICOM.noAttribute);
  for (const frame of frames) {
    for (const what of ["position", "orientation"] as const) {
      if (frame[what] === null) {
        throw new ImageError(DICOM.without(frame.shown, what, frames.length));
      }
    }
    const pairs = [
      ["rows and columns", [frame.rows, frame.columns], [first.rows, first.columns]],
      ["orientation", frame.orientation, first.orientation],
      ["pixel spacing", frame.spacing, first.spacing],
    ] as const;
    for (const [what, mine, other] of pairs) {
      if (alike(mine, other)) continue;
      const message = DICOM.unequal(what, shown(mine), shown(other), first.shown);
      throw new ImageError(DICOM.inFile(frame.shown, message));
    }
  }
  return first;
}

type Numbers = readonly number[] | null;

function alike(mine: Numbers, other: Numbers): boolean {
  if (mine === null || other === null) return mine === other;
  return mine.every((value, index) => {
    const expected = other[index] ?? NaN;
    return Math.abs(value - expected) <= ROUNDING + ROUNDING * Math.abs(expected);
  });
}

function shown(values: Numbers): string {
  return values === null ? "none" : values.map((value) => short(value)).join(" ");
}

/** Along a row and along a column: unit vectors at right angles. */
function directions(orientation: Numbers): [Vector, Vector] {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = orientation ?? [];
  const vectors: [Vector, Vector] = [
    [a, b, c],
    [d, e, f],
  ];
  const lengths = vectors.map(length);
  const isWrong = lengths.some((each) => Math.abs(each - 1) > 10 * ROUNDING);
  if (isWrong || Math.abs(dot(...vectors)) > ROUNDING) {
    throw new ImageError(DICOM.orientation(shown(orientation)));
  }
  const [first, second] = vectors;
  return [over(first, length(first)), over(second, length(second))];
}

/** A vector divided by a number: exact where the number is 1, unlike the product by its inverse. */
function over([x, y, z]: Vector, by: number): Vector {
  return [x / by, y / by, z / by];
}

function spacingOf(spacing: Numbers): [number, number] {
  if (spacing === null || Math.min(...spacing) <= 0) {
    throw new ImageError(DICOM.sliceSpacing(shown(spacing)));
  }
  return [spacing[0] ?? 1, spacing[1] ?? 1];
}

/** The vector from each slice to the next; slices are given in order. */
function evenStep(placed: readonly Placed[], pixelMm: number): Vector {
  const first = placed[0] as Placed; // there are two at least
  const last = placed.at(-1) as Placed;
  const steps = placed.length - 1;
  const gaps = placed.slice(1).map((next, index) => next.along - (placed[index] ?? next).along);
  const usual = median(gaps);
  checkDoubled(placed, gaps, usual);
  const step = over(difference(last.position, first.position), steps);
  const along = (last.along - first.along) / steps;
  const off = placed.map((each, index) => Math.abs(each.along - (first.along + along * index)));
  if (Math.max(...off) > APART * along || Math.max(...gaps) > 1.5 * usual) {
    throw uneven(placed, gaps, usual);
  }
  const beside = placed.map(({ position }, index) =>
    length(difference(position, sum(first.position, scaled(step, index)))),
  );
  const worst = indexOfMost(beside);
  const mm = beside[worst] ?? 0;
  if (mm > APART * Math.max(pixelMm, along)) {
    throw new ImageError(DICOM.beside(placed[worst]?.frame.shown ?? "", short(mm, 3)));
  }
  return step;
}

function sum(a: Vector, b: Vector): Vector {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

function indexOfMost(values: readonly number[]): number {
  return values.reduce((best, value, index) => (value > (values[best] ?? 0) ? index : best), 0);
}

function checkDoubled(placed: readonly Placed[], gaps: readonly number[], usual: number): void {
  const least = APART * Math.max(usual, 1e-3);
  const same = gaps.flatMap((gap, index) => (gap <= least ? [index] : []));
  const [at] = same;
  if (at === undefined) return;
  const [one, other] = [placed[at], placed[at + 1]];
  throw new ImageError(
    DICOM.doubled(
      one?.along.toFixed(2) ?? "",
      one?.frame.shown ?? "",
      other?.frame.shown ?? "",
      same.length - 1,
    ),
  );
}

function uneven(placed: readonly Placed[], gaps: readonly number[], usual: number): ImageError {
  const off = gaps.map((gap) => Math.abs(gap - usual));
  const places = off.filter((each) => each > APART * usual).length;
  const worst = places > 0 ? indexOfMost(off) : indexOfMost(gaps);
  const gap = gaps[worst] ?? 0;
  const times = gap / usual;
  const missing = Math.round(times) - 1;
  const isMissing = missing >= 1 && Math.abs(times - Math.round(times)) < 2 * APART;
  const [from, to] = [placed[worst], placed[worst + 1]];
  return new ImageError(
    DICOM.uneven(
      isMissing ? DICOM.missingSlices(missing) : DICOM.unevenSlices,
      short(gap, 4),
      from?.frame.shown ?? "",
      from?.along.toFixed(2) ?? "",
      to?.frame.shown ?? "",
      short(usual, 4),
      places,
    ),
  );
}
