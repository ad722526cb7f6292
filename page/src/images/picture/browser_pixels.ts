/** The browser's own decoders, for lossy pictures of 8 bits. */

import { IMAGES } from "../../app/texts";
import { BrokenFile } from "../broken_file";
import { ImageError } from "../image";

/** Rows that are read at once, so that the copies stay small. */
const STRIP_ROWS = 256;

/**
 * Decodes a picture.
 *
 * @returns red, green, blue and opacity of each pixel, (height, width, 4).
 */
export async function browserPixels(
  file: Blob,
  width: number,
  height: number,
): Promise<Uint8ClampedArray> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new BrokenFile("the browser cannot decode it");
  }
  try {
    if (bitmap.width !== width || bitmap.height !== height) {
      throw new BrokenFile("it is not as large as its header says");
    }
    const canvas = new OffscreenCanvas(width, Math.min(height, STRIP_ROWS));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new ImageError(IMAGES.noMemory);
    checkThatPixelsAreTrue(context);
    const pixels = new Uint8ClampedArray(width * height * 4);
    for (let y = 0; y < height; y += STRIP_ROWS) {
      const rows = Math.min(STRIP_ROWS, height - y);
      context.clearRect(0, 0, width, rows);
      context.drawImage(bitmap, 0, y, width, rows, 0, 0, width, rows);
      pixels.set(context.getImageData(0, 0, width, rows).data, y * width * 4);
    }
    return pixels;
  } finally {
    bitmap.close();
  }
}

/** Some browsers change what a page reads from a canvas, against being recognised by it. */
function checkThatPixelsAreTrue(context: OffscreenCanvasRenderingContext2D): void {
  const probe = new ImageData(Math.min(64, context.canvas.width), 1);
  for (let i = 0; i < probe.data.length; i++) probe.data[i] = i % 4 === 3 ? 255 : (i * 37) & 255;
  context.putImageData(probe, 0, 0);
  const { data } = context.getImageData(0, 0, probe.width, 1);
  if (probe.data.some((value, i) => value !== data[i])) throw new ImageError(IMAGES.changedPixels);
}
