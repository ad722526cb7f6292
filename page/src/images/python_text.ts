/** Shapes, numbers and bytes as Python writes them, so that both say the same. */

/** A text without its control characters, which a file may hold. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 256
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** A shape as Python writes a tuple: `(4, 5)`, `(4,)`. */
export function tuple(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

/** A number with so many digits that count, as Python's `{:g}` writes it: 0.5, 1e-05, inf, nan. */
export function short(value: number, digits = 6): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const [mantissa = "", power = "0"] = value.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < digits) {
    return withoutZeros(value.toFixed(digits - 1 - exponent));
  }
  const size = String(Math.abs(exponent)).padStart(2, "0");
  return `${withoutZeros(mantissa)}e${exponent < 0 ? "-" : "+"}${size}`;
}

function withoutZeros(digits: string): string {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}

/** Bytes as Python shows them: `b'n+1\\x00'`. */
export function bytesText(bytes: Uint8Array): string {
  const known: Record<string, string> = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\" };
  const characters = Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    const shown = byte >= 32 && byte < 127;
    return known[character] ?? (shown ? character : `\\x${byte.toString(16).padStart(2, "0")}`);
  }).join("");
  if (characters.includes("'") && !characters.includes('"')) return `b"${characters}"`;
  return `b'${characters.replaceAll("'", "\\'")}'`;
}
