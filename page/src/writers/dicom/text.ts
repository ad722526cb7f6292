/** Texts of our own in the character set that the image's file names. */

import type { DataSet } from "../../images/dicom/data_set";

const UNICODE = "ISO_IR 192";
const LATIN_1 = "ISO_IR 100";
const LONGEST = 64;

/** The character set for a file that copies texts of another one. */
export function characterSet(header: DataSet): string {
  const stated = header.text("SpecificCharacterSet");
  return stated === "" || stated === "ISO_IR 6" ? UNICODE : stated;
}

/** A name of at most 64 bytes; letters that the character set has not become question marks. */
export function encodeName(name: string, set: string): Uint8Array {
  const clean = name.replaceAll("\\", "/").replace(/[\p{C}]/gu, " ");
  const letters = Array.from(clean, (letter) => encodeLetter(letter, set));
  const bytes: number[] = [];
  for (const letter of letters) {
    if (bytes.length + letter.length > LONGEST) break;
    bytes.push(...letter);
  }
  return Uint8Array.from(bytes);
}

function encodeLetter(letter: string, set: string): number[] {
  const code = letter.codePointAt(0) ?? 0;
  if (set === UNICODE) return [...new TextEncoder().encode(letter)];
  return [code < 128 || (set === LATIN_1 && code < 256) ? code : 0x3f];
}
