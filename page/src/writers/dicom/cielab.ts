/** Colours as DICOM stores them: CIELab under daylight (D65), in 16 bits each. */

/** @param colour red, green, blue, 0 to 255. */
export function cielab(colour: readonly [number, number, number]): [number, number, number] {
  const [r, g, b] = colour.map(linear) as [number, number, number];
  const x = cubeRoot((41.24 * r + 35.76 * g + 18.05 * b) / 95.047);
  const y = cubeRoot((21.26 * r + 71.52 * g + 7.22 * b) / 100);
  const z = cubeRoot((1.93 * r + 11.92 * g + 95.05 * b) / 108.883);
  return [
    stored((116 * y - 16) / 100),
    stored((500 * (x - y) + 128) / 255),
    stored((200 * (y - z) + 128) / 255),
  ];
}

/** Brightness of a level on a screen: 0 to 1. */
function linear(level: number): number {
  const share = level / 255;
  return share > 0.04045 ? ((share + 0.055) / 1.055) ** 2.4 : share / 12.92;
}

function cubeRoot(value: number): number {
  return value >= 216 / 24389 ? Math.cbrt(value) : (841 / 108) * value + 4 / 29;
}

/** A share of the range as a whole number of 16 bits. */
function stored(share: number): number {
  return Math.round(Math.min(1, Math.max(0, share)) * 65535);
}
