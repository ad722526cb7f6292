/**
 * A slice with a place in the patient, as rows and columns that a radiologist looks at.
 *
 * The same rule as Python's `imaging.geometry.canonical_axes`: an axial slice from the feet with the
 * front above, a coronal one from the front, a sagittal one with the face to the left.
 */

import { worldAxes } from "../images/geometry";
import type { MedicalImage } from "../images/image";

interface Turn {
  /** Which array axis becomes the rows, and which the columns. */
  readonly axes: readonly [number, number];
  /** Whether each runs backwards. */
  readonly flips: readonly [boolean, boolean];
}

/** The image itself where it is a picture, which has no place. */
export function imageAsSeen(image: MedicalImage): MedicalImage {
  const turn = turnOf(image);
  if (!turn) return image;
  const [rows, columns] = turn.axes;
  return {
    ...image,
    shape: [image.shape[rows]!, image.shape[columns]!],
    values: turned(image.values, image, turn),
    spacingMm: image.spacingMm && [image.spacingMm[rows]!, image.spacingMm[columns]!],
  };
}

export function labelsAsSeen(labels: Uint8Array, image: MedicalImage): Uint8Array {
  const turn = turnOf(image);
  return turn ? turned(labels, image, turn) : labels;
}

function turnOf({ affine }: MedicalImage): Turn | null {
  if (!affine) return null;
  const world = worldAxes(affine);
  const axes = world[0]! > world[1]! ? ([0, 1] as const) : ([1, 0] as const);
  const runsAlong = (axis: number): boolean => affine[4 * world[axis]! + axis]! >= 0;
  return { axes, flips: [runsAlong(axes[0]), runsAlong(axes[1])] };
}

function turned<Values extends Float32Array | Uint8Array>(
  values: Values,
  { shape: [first = 1, second = 1] }: MedicalImage,
  { axes, flips }: Turn,
): Values {
  const isTransposed = axes[0] === 1;
  const [rows, columns] = isTransposed ? [second, first] : [first, second];
  const [down, across] = isTransposed ? [1, second] : [second, 1];
  const result = values.slice() as Values;
  for (let plane = 0; plane < values.length; plane += first * second) {
    for (let row = 0, to = plane; row < rows; row++) {
      const y = flips[0] ? rows - 1 - row : row;
      for (let column = 0; column < columns; column++) {
        const x = flips[1] ? columns - 1 - column : column;
        result[to++] = values[plane + y * down + x * across]!;
      }
    }
  }
  return result;
}
