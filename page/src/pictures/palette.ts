/** Label colours that show on the dark grey of an image; as `reporting/palette.py` has them. */

export type Colour = readonly [red: number, green: number, blue: number];

/** Relative luminance, 0 to 1: a contrast of more than 3 to 1 against a scan's dark grey. */
const LEAST_LUMINANCE = 0.22;

/** The same hue, with more light, and where a channel is at its limit some white. */
export function onGrey(colour: Colour): Colour {
  let linear = colour.map(toLinear);
  let luminance = luminanceOf(linear);
  if (luminance >= LEAST_LUMINANCE) return colour;
  if (luminance > 0) {
    const gain = Math.min(LEAST_LUMINANCE / luminance, 1 / Math.max(...linear));
    linear = linear.map((channel) => gain * channel);
    luminance *= gain;
  }
  const white = (LEAST_LUMINANCE - luminance) / (1 - luminance);
  const [red = 0, green = 0, blue = 0] = linear.map((c) => fromLinear(c + white * (1 - c)));
  return [red, green, blue];
}

export function css([red, green, blue]: Colour, opacity = 1): string {
  return `rgb(${red} ${green} ${blue} / ${opacity})`;
}

function luminanceOf([red = 0, green = 0, blue = 0]: readonly number[]): number {
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** An sRGB channel as an amount of light from 0 to 1. */
function toLinear(channel: number): number {
  const share = channel / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

function fromLinear(light: number): number {
  return Math.round(255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055));
}
