/** Which intensities are shown as black and as white. */

export interface Limits {
  readonly low: number;
  readonly high: number;
}

/** What soft tissue is read in: level 40, width 400. */
const CT_WINDOW_HU: Limits = { low: -160, high: 240 };
const SAMPLED = 20_000;

/** Limits over the whole image, as in the Python package's reports. */
export function usualLimits(values: Float32Array): Limits {
  const step = Math.max(1, Math.floor(values.length / SAMPLED));
  const sample = Float32Array.from(
    { length: Math.ceil(values.length / step) },
    (_, i) => values[i * step]!,
  ).sort();
  // CT tells itself by its air: no other modality has much below -500.
  if ((sample[Math.floor(0.01 * sample.length)] ?? 0) < -500) return CT_WINDOW_HU;
  return { low: quantile(sample, 0.005), high: quantile(sample, 0.995) };
}

/** Limits after the user's changes, each from -1 to 1; 0 leaves them as they are. */
export function adjusted({ low, high }: Limits, brightness: number, contrast: number): Limits {
  const width = Math.max(high - low, 1e-6);
  const centre = (low + high) / 2 - brightness * width;
  const half = (width / 2) * 4 ** -contrast;
  return { low: centre - half, high: centre + half };
}

/** Of sorted values, between neighbours where it falls between them. */
function quantile(sorted: Float32Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const [left = 0, right = left] = [sorted[below], sorted[below + 1]];
  return left + (place - below) * (right - left);
}
