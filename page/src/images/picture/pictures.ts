/**
 * Flat pictures: PNG, JPEG and WebP.
 *
 * The rules are those of the Python package (docs/formats.md): every level is kept or the file is
 * refused; pixels lie as they are stored; the rest is said in a remark.
 */

import { IMAGES } from "../../app/texts";
import { BrokenFile } from "../broken_file";
import { ImageError, type MedicalImage } from "../image";
import { headerOf, SIGNATURE } from "../png/chunks";
import { decodePng } from "../png/decode";
import { encodePng } from "../png/encode";
import type { ImageReader, ImageSource, Wanted } from "../reader";
import { browserPixels } from "./browser_pixels";
import { isJpeg, jpegHeader } from "./jpeg";
import { imageOf } from "./picture_image";
import { checkSize, type StoredPicture } from "./stored_picture";
import { isWebp, webpHeader } from "./webp";

const MOST_FILE_BYTES = 1_000_000_000;
/** More than any header of a PNG takes. */
const PNG_HEADER_BYTES = 64;

export const pictures: ImageReader = {
  recognises: (start) => isPng(start) || isJpeg(start) || isWebp(start),
  sources: (files, wanted) =>
    Promise.resolve(
      files.map((file) => ({
        name: file.name,
        load: () => readPicture(file, wanted, "as stored"),
        upload: () => Promise.resolve(file),
      })),
    ),
};

/** A picture in colour, made grey; a server is sent it as a grey PNG. */
export function greySource(name: string, file: File, wanted: Wanted): ImageSource {
  const load = (): Promise<MedicalImage> => readPicture(file, wanted, "to grey");
  const upload = async (): Promise<Blob> => {
    const { values, shape } = await load();
    const [height = 0, width = 0] = shape;
    return encodePng(levelsAsStored(values), width, height, null);
  };
  return { name, load, upload };
}

function levelsAsStored(values: Float32Array): Uint8Array | Uint16Array {
  const isWide = values.some((value) => value > 255);
  return isWide ? Uint16Array.from(values) : Uint8Array.from(values);
}

/**
 * Reads one picture.
 *
 * @param colours whether a picture in colour becomes grey for a model of one channel, which only
 *   the user can ask for.
 * @throws ImageError for one that cannot be used.
 */
export async function readPicture(
  file: File,
  wanted: Wanted,
  colours: "as stored" | "to grey",
): Promise<MedicalImage> {
  if (file.size > MOST_FILE_BYTES) throw new ImageError(IMAGES.tooManyBytes(MOST_FILE_BYTES));
  try {
    const start = await bytesOf(file.slice(0, PNG_HEADER_BYTES));
    const stored = await decode(file, start);
    return imageOf(stored, file, wanted, colours);
  } catch (error) {
    if (error instanceof BrokenFile) throw new ImageError(IMAGES.broken(error.message));
    // What the browser throws when there is no room for an array.
    if (error instanceof RangeError) throw new ImageError(IMAGES.noMemory);
    throw error;
  }
}

async function decode(file: File, start: Uint8Array): Promise<StoredPicture> {
  if (isPng(start)) {
    const { width, height, samples, bits } = headerOf(start);
    checkSize(width, height, samples, bits / 8);
    return decodePng(await bytesOf(file));
  }
  const bytes = await bytesOf(file);
  if (isJpeg(start)) {
    const { width, height, channels, orientation, plain } = jpegHeader(bytes);
    if (channels !== 1 && channels !== 3) throw new ImageError(IMAGES.jpegChannels(channels));
    checkSize(width, height, channels, 2);
    const pixels = await browserPixels(plain, width, height);
    return { ...levelsOf(pixels, channels), width, height, orientation };
  }
  const { width, height, orientation, isAnimated, plain } = webpHeader(bytes);
  if (isAnimated) throw new ImageError(IMAGES.animation);
  checkSize(width, height, 4, 1);
  const pixels = await browserPixels(plain, width, height);
  return { ...levelsOf(pixels, 3), width, height, orientation };
}

/** What the browser decoded, as grey levels or as red, green and blue. */
function levelsOf(
  pixels: Uint8ClampedArray,
  channels: 1 | 3,
): Pick<StoredPicture, "samples" | "channels" | "palette" | "varyingOpacity"> {
  const samples = new Uint8Array((pixels.length / 4) * channels);
  let varyingOpacity = false;
  for (let from = 0, to = 0; from < pixels.length; from += 4) {
    for (let c = 0; c < channels; c++) samples[to++] = pixels[from + c]!;
    varyingOpacity ||= pixels[from + 3] !== 255;
  }
  return { samples, channels, palette: null, varyingOpacity };
}

function isPng(start: Uint8Array): boolean {
  return SIGNATURE.every((byte, i) => start[i] === byte);
}

async function bytesOf(file: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new ImageError(IMAGES.unreadable); // moved or removed since it was chosen
  }
}
