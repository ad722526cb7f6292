/** A zip archive of a few files, stored as they are: the slices of one DICOM series. */

import { crc32 } from "./png/crc";

const LOCAL_HEADER = 0x04034b50;
const DIRECTORY_ENTRY = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;

/** @param files fewer than 65,536, and below 4 GB together; they are called 0, 1, 2 and so on. */
export function zipOf(files: readonly Uint8Array[]): Blob {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const [number, bytes] of files.entries()) {
    const name = new TextEncoder().encode(String(number));
    const facts: Field[] = [[VERSION, 2], [0, 2], [0, 2], [0, 4], [crc32(bytes), 4]];
    const sizes: Field[] = [[bytes.length, 4], [bytes.length, 4], [name.length, 2], [0, 2]];
    const header = packed([[LOCAL_HEADER, 4], ...facts, ...sizes]);
    parts.push(header, name, bytes);
    const rest: Field[] = [[0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]];
    directory.push(packed([[DIRECTORY_ENTRY, 4], [VERSION, 2], ...facts, ...sizes, ...rest]), name);
    offset += header.length + name.length + bytes.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const counts: Field[] = [[0, 2], [0, 2], [files.length, 2], [files.length, 2]];
  const end = packed([[END, 4], ...counts, [size, 4], [offset, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end] as BlobPart[], { type: "application/zip" });
}

type Field = readonly [value: number, bytes: 2 | 4];

/** Numbers one after the other, little-endian. */
function packed(fields: readonly Field[]): Uint8Array {
  const bytes = new Uint8Array(fields.reduce((sum, [, length]) => sum + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [value, length] of fields) {
    if (length === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += length;
  }
  return bytes;
}
