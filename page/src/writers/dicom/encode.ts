/** DICOM attributes to bytes: explicit types, little-endian. */

/** A value: text, numbers, bytes as they are, or the items of a sequence. */
export type Value = string | readonly number[] | Uint8Array | readonly Attribute[][];

/** Number of the attribute, type of its value, and the value. */
export type Attribute = readonly [tag: number, type: string, value: Value];

/** Types whose length takes 32 bits. */
const LONG = ["OB", "OW", "SQ", "UN", "UT", "UC", "UR"];
/** Types whose text is padded by a zero byte, others by a space. */
const ZERO_PADDED = ["UI", "OB"];

/** A data set or an item, sorted by number. */
export function encode(attributes: readonly Attribute[]): Uint8Array {
  const sorted = [...attributes].sort(([a], [b]) => a - b);
  return joined(sorted.map(encodeOne));
}

function encodeOne([tag, type, value]: Attribute): Uint8Array {
  const bytes = padded(valueBytes(type, value), type);
  const isLong = LONG.includes(type);
  const head = new Uint8Array(isLong ? 12 : 8);
  const view = new DataView(head.buffer);
  view.setUint16(0, tag >>> 16, true);
  view.setUint16(2, tag & 0xffff, true);
  head.set([type.charCodeAt(0), type.charCodeAt(1)], 4);
  if (isLong) view.setUint32(8, bytes.length, true);
  else view.setUint16(6, bytes.length, true);
  return joined([head, bytes]);
}

function valueBytes(type: string, value: Value): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return Uint8Array.from(value, (letter) => letter.charCodeAt(0));
  if (type === "SQ") return joined((value as readonly Attribute[][]).map(item));
  return numberBytes(type, value as readonly number[]);
}

function item(attributes: readonly Attribute[]): Uint8Array {
  const content = encode(attributes);
  const head = new Uint8Array(8);
  const view = new DataView(head.buffer);
  view.setUint16(0, 0xfffe, true);
  view.setUint16(2, 0xe000, true);
  view.setUint32(4, content.length, true);
  return joined([head, content]);
}

function numberBytes(type: string, numbers: readonly number[]): Uint8Array {
  if (type === "DS" || type === "IS") return valueBytes("LO", numbers.map(decimal).join("\\"));
  const width = type === "US" ? 2 : 4;
  const bytes = new Uint8Array(numbers.length * width);
  const view = new DataView(bytes.buffer);
  numbers.forEach((value, index) => {
    const at = index * width;
    if (type === "US") {
      view.setUint16(at, value, true);
    } else if (type === "AT") {
      view.setUint16(at, value >>> 16, true); // group, then element
      view.setUint16(at + 2, value & 0xffff, true);
    } else {
      view.setUint32(at, value, true);
    }
  });
  return bytes;
}

const LONGEST_DECIMAL = 16;

/** A number as DICOM's text of at most 16 characters, with as many digits as fit. */
export function decimal(value: number): string {
  let text = String(value);
  for (let digits = 16; text.length > LONGEST_DECIMAL && digits > 0; digits--) {
    text = String(Number(value.toPrecision(digits)));
  }
  return text;
}

function padded(bytes: Uint8Array, type: string): Uint8Array {
  if (bytes.length % 2 === 0) return bytes;
  const whole = new Uint8Array(bytes.length + 1);
  whole.set(bytes);
  const isBinary = ["OB", "OW", "UN"].includes(type) || ZERO_PADDED.includes(type);
  whole[bytes.length] = isBinary ? 0 : 0x20;
  return whole;
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
