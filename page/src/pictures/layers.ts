/** What is drawn: the image, the labels' tint and their outlines. */

import type { ModelDescription } from "../engine/engine";
import type { MedicalImage } from "../images/image";
import type { Limits } from "./brightness";
import { outlineOf } from "./outline";
import { css, onGrey } from "./palette";

/** Larger images are drawn from every second, third, ... row and column. */
const MOST_DRAWN = 16_000_000;

/** The size at which an image is drawn: one of its pixels for each `step` rows and columns. */
export interface Grid {
  readonly width: number;
  readonly height: number;
  readonly step: number;
}

export function gridOf([height = 0, width = 0]: readonly number[]): Grid {
  const step = Math.max(1, Math.ceil(Math.sqrt((width * height) / MOST_DRAWN)));
  return { width: Math.ceil(width / step), height: Math.ceil(height / step), step };
}

/** The intensities between `limits` as greys, or as colours where there are three channels. */
export function drawImage(target: OffscreenCanvas, image: MedicalImage, grid: Grid, limits: Limits): void {
  const [height = 0, width = 0] = image.shape;
  const pixels = new ImageData(grid.width, grid.height);
  const planes = [0, 1, 2].map((c) => (image.channels === 3 ? c * width * height : 0));
  const scale = 255 / Math.max(limits.high - limits.low, 1e-6);
  let to = 0;
  for (let y = 0; y < height; y += grid.step) {
    for (let x = 0; x < width; x += grid.step) {
      for (const plane of planes) {
        // The array clips to 0 and 255 and rounds.
        pixels.data[to++] = (image.values[plane + y * width + x]! - limits.low) * scale;
      }
      pixels.data[to++] = 255;
    }
  }
  context2d(target).putImageData(pixels, 0, 0);
}

/** Each label in its colour; the background stays clear. */
export function drawLabels(
  target: OffscreenCanvas,
  labels: Uint8Array,
  width: number,
  grid: Grid,
  model: ModelDescription,
): void {
  const pixels = new ImageData(grid.width, grid.height);
  const colours = model.labels.map(({ colour }) => onGrey(colour));
  for (let y = 0; y < grid.height; y++) {
    for (let x = 0; x < grid.width; x++) {
      const label = labels[y * grid.step * width + x * grid.step]!;
      const colour = colours[label];
      if (label > 0 && colour) pixels.data.set([...colour, 255], 4 * (y * grid.width + x));
    }
  }
  context2d(target).putImageData(pixels, 0, 0);
}

export interface Outline {
  readonly path: Path2D;
  readonly colour: string;
}

export function outlinesOf(
  labels: Uint8Array,
  [height = 0, width = 0]: readonly number[],
  model: ModelDescription,
): readonly Outline[] {
  return model.labels.flatMap(({ colour }, label) =>
    label > 0 && labels.includes(label)
      ? [{ path: outlineOf(labels, width, height, label), colour: css(onGrey(colour)) }]
      : [],
  );
}

export function context2d(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("the browser gives no memory for drawing");
  return context;
}
