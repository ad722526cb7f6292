/** What a picture file holds before anything is made of it, and how large it may be. */

import { IMAGES } from "../../app/texts";
import { ImageError } from "../image";

export type Samples = Uint8Array | Uint8ClampedArray | Uint16Array;

/** A picture's samples, row by row as they lie in the file. */
export interface StoredPicture {
  readonly height: number;
  readonly width: number;
  /** 1: grey levels, or indices of a palette; 3: red, green and blue. */
  readonly channels: 1 | 3;
  /** (height, width, channels). */
  readonly samples: Samples;
  /** (entries, 3), the colour that each index stands for; null where samples are levels. */
  readonly palette: Uint8Array | null;
  /** Whether some pixels are not opaque. */
  readonly varyingOpacity: boolean;
  /** How a viewer turns the picture, 1 to 8 as in EXIF; the samples are not turned. */
  readonly orientation: number;
}

/** Pixels times channels of the largest picture that is read, as in the Python package. */
const MOST_VALUES = 150_000_000;
/** Size of the largest picture, decoded. */
const MOST_BYTES = 300_000_000;

/** Refuses a picture that is empty or too large, before memory is taken for it. */
export function checkSize(width: number, height: number, channels: number, bytes: number): void {
  if (width < 1 || height < 1) throw new ImageError(IMAGES.noPixels(width, height));
  const values = width * height * channels;
  if (values > MOST_VALUES || values * bytes > MOST_BYTES) {
    throw new ImageError(IMAGES.tooManyPixels(width, height, MOST_VALUES));
  }
}
