/**
 * Stored numbers to intensities.
 *
 * What is applied: the rescale of the modality, for each frame its own (in CT it gives Hounsfield
 * units), and MONOCHROME1, in which white is 0. What is not: the window, which only says how a
 * screen shows the image.
 */

import { DICOM } from "../../app/volume_texts";
import { ImageError } from "../image";
import type { DataSet } from "./data_set";
import type { Attributes } from "./frames";
import type { StoredFrame } from "./stored_frames";
import type { TagName } from "./tags";

export interface Intensities {
  /** (channels, rows, columns), row-major. */
  readonly values: Float32Array;
  readonly channels: 1 | 3;
  readonly remarks: readonly string[];
}

/** Modalities whose values have units, which MONOCHROME1 does not turn. */
const WITH_UNITS = ["CT", "PT"];

/** @throws ImageError a meaning of the pixels or a rescale that cannot be used. */
export function intensitiesOf(
  frame: StoredFrame,
  data: DataSet,
  attributes: Attributes,
): Intensities {
  if (frame.meaning === "PALETTE COLOR") return planes(withPalette(frame.samples, data));
  if (frame.channels === 3) {
    return planes(frame.meaning.startsWith("YBR") ? rgbOfYbr(frame.samples) : frame.samples);
  }
  const remarks: string[] = [];
  let samples = frame.samples;
  if (frame.meaning === "MONOCHROME1" && !WITH_UNITS.includes(data.text("Modality"))) {
    samples = turned(samples, data);
    remarks.push(DICOM.whiteIsZero);
  }
  return { values: rescaled(samples, data, attributes), channels: 1, remarks };
}

/** Stored numbers with white at their highest level. */
function turned(samples: ArrayLike<number>, data: DataSet): Float64Array {
  const float = data.has("FloatPixelData") || data.has("DoubleFloatPixelData");
  const signed = data.number("PixelRepresentation", 0) === 1;
  const highest = float ? 0 : signed ? -1 : 2 ** data.count("BitsStored") - 1;
  return Float64Array.from(samples, (value) => highest - value);
}

function rescaled(
  samples: ArrayLike<number>,
  data: DataSet,
  attributes: Attributes,
): Float32Array {
  const [table] = data.items("ModalityLUTSequence");
  if (table !== undefined) return throughTable(samples, table);
  const slope = attributes.numbers("RescaleSlope", 1)?.[0] ?? 1;
  const intercept = attributes.numbers("RescaleIntercept", 1)?.[0] ?? 0;
  if (slope === 0) throw new ImageError(DICOM.slopeZero);
  if (slope === 1 && intercept === 0) return Float32Array.from(samples);
  return Float32Array.from(samples, (value) => value * slope + intercept);
}

function throughTable(samples: ArrayLike<number>, table: DataSet): Float32Array {
  const [entries = 0, first = 0] = table.numbers("LUTDescriptor", 3) ?? [];
  const levels = table.words("LUTData");
  const last = Math.min(entries || 2 ** 16, levels.length) - 1;
  if (last < 0) throw new ImageError(DICOM.broken("a ModalityLUTSequence without levels"));
  // The first level is stored as a number without a sign, but may be meant with one.
  const start = table.get("LUTDescriptor")?.type !== "SS" && first > 2 ** 15 ? first - 2 ** 16 : first;
  return Float32Array.from(samples, (value) => {
    const index = Math.min(Math.max(value - start, 0), last);
    return levels[index] ?? 0;
  });
}

/** Pixel by pixel to channel by channel. */
function planes(samples: ArrayLike<number>): Intensities {
  const pixels = samples.length / 3;
  const values = new Float32Array(samples.length);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) values[c * pixels + i] = samples[3 * i + c] ?? 0;
  }
  return { values, channels: 3, remarks: [] };
}

const PALETTE = [
  ["RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"],
  ["GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"],
  ["BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"],
] as const satisfies readonly (readonly [TagName, TagName])[];

/** Indices to red, green and blue. */
function withPalette(samples: ArrayLike<number>, data: DataSet): Float64Array {
  const colours = new Float64Array(3 * samples.length);
  PALETTE.forEach(([descriptor, levelsName], channel) => {
    const [entries = 0, first = 0, bits = 16] = data.numbers(descriptor, 3) ?? [];
    const value = data.get(levelsName)?.value;
    if (value === undefined) throw new ImageError(DICOM.meaning("PALETTE COLOR"));
    const count = entries || 2 ** 16;
    const levels = bits === 8 && value.length < 2 * count ? [...value] : data.words(levelsName);
    for (let i = 0; i < samples.length; i++) {
      const index = Math.min(Math.max((samples[i] ?? 0) - first, 0), count - 1);
      colours[3 * i + channel] = levels[index] ?? 0;
    }
  });
  return colours;
}

/** DICOM's formula, in single precision and rounded as pydicom does. */
function rgbOfYbr(samples: ArrayLike<number>): Float64Array {
  const f = Math.fround;
  const [toRed, toBlue] = [f(1.402), f(1.772)];
  const [blueToGreen, redToGreen] = [f((-0.114 * 1.772) / 0.587), f((-0.299 * 1.402) / 0.587)];
  const level = (value: number): number => Math.min(255, Math.max(0, Math.floor(f(value + 0.5))));
  const colours = new Float64Array(samples.length);
  for (let at = 0; at + 2 < samples.length; at += 3) {
    const y = samples[at] ?? 0;
    const blue = (samples[at + 1] ?? 0) - 128;
    const red = (samples[at + 2] ?? 0) - 128;
    colours[at] = level(f(y + f(red * toRed)));
    colours[at + 1] = level(f(f(y + f(blue * blueToGreen)) + f(red * redToGreen)));
    colours[at + 2] = level(f(y + f(blue * toBlue)));
  }
  return colours;
}
