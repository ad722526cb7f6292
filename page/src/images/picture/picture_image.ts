/** From a picture's stored samples to the network's channels. */

import { IMAGES } from "../../app/texts";
import { ColourError, ImageError, type MedicalImage } from "../image";
import type { Wanted } from "../reader";
import type { Samples, StoredPicture } from "./stored_picture";

interface Levels {
  readonly levels: Samples;
  readonly channels: 1 | 3;
}

/** The image, with a remark for whatever was left out. */
export function imageOf(
  stored: StoredPicture,
  file: File,
  wanted: Wanted,
  colours: "as stored" | "to grey",
): MedicalImage {
  const remarks: string[] = [];
  const shown = levelsOf(stored);
  if (stored.orientation !== 1) remarks.push(IMAGES.notTurned(stored.orientation));
  if (stored.varyingOpacity) {
    if (isFlat(shown)) throw new ImageError(IMAGES.onlyOpacity);
    remarks.push(IMAGES.opacityLeftOut);
  }
  let values: Float32Array;
  if (wanted.channels !== 1 || shown.channels === 1) {
    values = planes(shown);
  } else if (hasEqualChannels(shown)) {
    values = planes(shown).subarray(0, stored.height * stored.width).slice();
    remarks.push(IMAGES.greyInColour);
  } else if (colours === "to grey") {
    values = luma(shown);
    remarks.push(IMAGES.madeGrey);
  } else {
    throw new ColourError(IMAGES.colourPicture, file);
  }
  const channels = values.length / (stored.height * stored.width);
  if (channels !== wanted.channels) {
    throw new ImageError(IMAGES.otherChannels(channels, wanted.channels));
  }
  return {
    name: file.name,
    kind: "picture",
    shape: [stored.height, stored.width],
    channels,
    values,
    affine: null,
    spacingMm: null,
    source: file,
    remarks,
  };
}

/** Grey levels or red, green and blue; a palette's indices become its colours. */
function levelsOf({ samples, channels, palette }: StoredPicture): Levels {
  if (!palette) return { levels: samples, channels };
  const entries = palette.length / 3;
  const isGrey = everyPixel({ levels: palette, channels: 3 }, (r, g, b) => r === g && g === b);
  const wide = isGrey ? 1 : 3;
  const levels = new Uint8Array(samples.length * wide);
  for (let i = 0; i < samples.length; i++) {
    const index = samples[i]!;
    if (index >= entries) throw new ImageError(IMAGES.noEntry(index, entries));
    for (let c = 0; c < wide; c++) levels[i * wide + c] = palette[3 * index + c]!;
  }
  return { levels, channels: wide };
}

/** From (height, width, channels) to (channels, height, width). */
function planes({ levels, channels }: Levels): Float32Array {
  if (channels === 1) return Float32Array.from(levels);
  const pixels = levels.length / channels;
  const values = new Float32Array(levels.length);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < pixels; i++) values[c * pixels + i] = levels[i * channels + c]!;
  }
  return values;
}

function everyPixel(
  { levels }: Levels,
  holds: (red: number, green: number, blue: number) => boolean,
): boolean {
  for (let i = 0; i < levels.length; i += 3) {
    if (!holds(levels[i]!, levels[i + 1]!, levels[i + 2]!)) return false;
  }
  return true;
}

function hasEqualChannels(colour: Levels): boolean {
  return everyPixel(colour, (red, green, blue) => red === green && green === blue);
}

/** Whether all pixels have one colour, so that the picture lies in its opacity. */
function isFlat({ levels, channels }: Levels): boolean {
  return levels.every((level, i) => level === levels[i % channels]);
}

/** Brightness as ITU-R BT.601 weighs the colours, rounded as Pillow's `convert("L")` rounds it. */
function luma({ levels }: Levels): Float32Array {
  const values = new Float32Array(levels.length / 3);
  for (let i = 0; i < values.length; i++) {
    const [red, green, blue] = [levels[3 * i]!, levels[3 * i + 1]!, levels[3 * i + 2]!];
    values[i] = Math.floor((19595 * red + 38470 * green + 7471 * blue + 0x8000) / 65536);
  }
  return values;
}
