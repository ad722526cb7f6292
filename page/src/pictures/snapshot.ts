/** A picture of the view with what its colours mean below it, so that it can stand alone. */

import { APP } from "../app/texts";
import type { ModelDescription } from "../engine/engine";
import { css, onGrey } from "./palette";

const LINE = 26;
const MARGIN = 14;

export function withLegend(
  view: HTMLCanvasElement,
  labels: ModelDescription["labels"],
  density: number,
): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = view.width;
  canvas.height = view.height + Math.round((2 * LINE + MARGIN) * density);
  const context = canvas.getContext("2d");
  if (!context) return Promise.reject(new Error("the browser gives no memory for drawing"));
  context.fillStyle = "#0b0d10";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(view, 0, 0);
  context.setTransform(density, 0, 0, density, 0, view.height);
  context.font = "15px system-ui, sans-serif";
  context.textBaseline = "middle";
  const width = view.width / density - 2 * MARGIN;
  let x = MARGIN;
  for (const { name, colour } of labels) {
    context.fillStyle = css(onGrey(colour));
    context.fillRect(x, LINE / 2 + 2, 14, 10);
    context.fillStyle = "#e8ecf1";
    context.fillText(name, x + 20, LINE / 2 + 7, width);
    x += 20 + context.measureText(name).width + 18;
  }
  context.fillStyle = "#9aa6b4";
  context.font = "12px system-ui, sans-serif";
  context.fillText(APP.notice, MARGIN, LINE * 1.5 + 6, width);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob) resolve(blob);
      else reject(new Error("the browser cannot write the picture"));
    }, "image/png");
  });
}
