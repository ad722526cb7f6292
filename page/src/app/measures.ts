/** How much of an image each label covers. */

import type { ModelDescription } from "../engine/engine";
import { voxelSize } from "../images/geometry";
import type { MedicalImage } from "../images/image";
import { APP } from "./texts";

export interface Measure {
  readonly name: string;
  readonly colour: readonly [number, number, number];
  /** Pixels or voxels. */
  readonly count: number;
  /** Of all pixels or voxels. */
  readonly share: number;
  /** cm2 of a flat image, ml of a volume; null where the size of a pixel is not known. */
  readonly size: number | null;
}

/** One for each label but the background. */
export function measure(
  image: MedicalImage,
  labels: Uint8Array,
  model: ModelDescription,
): readonly Measure[] {
  const counts = new Float64Array(256);
  for (let i = 0; i < labels.length; i++) counts[labels[i]!]!++;
  const voxelMm = voxelSize(image);
  const perUnit = image.shape.length === 2 ? 100 : 1000;
  return model.labels.slice(1).map(({ name, colour }, index) => {
    const count = counts[index + 1]!;
    return {
      name,
      colour,
      count,
      share: count / labels.length,
      size: voxelMm === null ? null : (count * voxelMm) / perUnit,
    };
  });
}

/** The size in its unit, or the count and the share where there is none. */
export function sizeText({ size, count, share }: Measure, dims: number): string {
  const { squareCm, ml, pixels, voxels, share: percent } = APP.units;
  if (size !== null) return dims === 2 ? squareCm(size) : ml(size);
  return `${dims === 2 ? pixels(count) : voxels(count)} (${percent(share)})`;
}
