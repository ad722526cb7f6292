/**
 * Zip archives, read where they are: one file at a time, and never by what its name says.
 *
 * The rules of Python's `imaging/dicom/archive.py`, with limits for a browser.
 */

import { Inflate } from "pako";

import { FILES, ZIP } from "../../app/volume_texts";
import { crc32 } from "../png/crc";
import { ImageError } from "../image";
import { takeMemory } from "../memory";

/** A file on the disk, or one in an archive. */
export interface StoredFile {
  readonly name: string;
  readonly size: number;
  /**
   * The first bytes, or all of them.
   *
   * @throws ImageError it is gone, or damaged within its archive.
   */
  bytes(most?: number): Promise<Uint8Array>;
}

const MOST_FILES = 20_000;
const LARGEST_FILE = 2 ** 30;
const LARGEST_SUM = 2 ** 32;
/** An archive that becomes larger than the one and grows more than by the other is refused. */
const BOMB_BYTES = 2 ** 28;
const BOMB_RATIO = 200;

const FILE_MARK = 0x04034b50;
const ENTRY_MARK = 0x02014b50;
const END_MARK = 0x06054b50;
const END_SIZE = 22;
const LONGEST_COMMENT = 65535;
const ENTRY_SIZE = 46;
const FILE_SIZE = 30;
const LARGEST_DIRECTORY = 2 ** 26;
const [STORED, DEFLATED] = [0, 8];
const CHUNK = 1 << 16;

export function isZip(start: Uint8Array): boolean {
  return start[0] === 0x50 && start[1] === 0x4b && (start[2] === 3 || start[2] === 5);
}

/** A file that the user has chosen. */
export function onDisk(file: File): StoredFile {
  return {
    name: file.name,
    size: file.size,
    bytes: (most = file.size) => read(file, 0, most),
  };
}

/**
 * The files of an archive but hidden ones, without any content.
 *
 * @throws ImageError it is damaged or encrypted, has too many or too large files, or grows beyond
 *   all reason.
 */
export async function filesOfZip(archive: Blob): Promise<StoredFile[]> {
  const entries = (await directoryOf(archive)).filter(({ name }) => !name.endsWith("/"));
  if (entries.length > MOST_FILES) {
    throw refused(`${entries.length} files`, `at most ${MOST_FILES}`);
  }
  if (entries.some(({ flags }) => (flags & 1) !== 0)) {
    throw refused("encrypted files", "files without a password");
  }
  const size = entries.reduce((sum, entry) => sum + entry.size, 0);
  const packed = entries.reduce((sum, entry) => sum + entry.packed, 0);
  if (size > LARGEST_SUM) {
    throw refused(`${(size / 1e9).toFixed(0)} GB`, `at most ${(LARGEST_SUM / 1e9).toFixed(0)} GB`);
  }
  if (size > BOMB_BYTES && size > BOMB_RATIO * packed) {
    const ratio = Math.floor(size / Math.max(packed, 1));
    throw refused(
      `${(size / 1e9).toFixed(1)} GB compressed ${ratio}-fold`,
      `images; real ones are compressed less than ${BOMB_RATIO}-fold`,
    );
  }
  return entries
    .filter(({ name }) => !isHidden(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((entry) => ({
      name: entry.name.split("/").at(-1) ?? "",
      size: entry.size,
      bytes: (most = entry.size) => unpack(archive, entry, Math.min(most, entry.size)),
    }));
}

interface Entry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly checksum: number;
  readonly packed: number;
  readonly size: number;
  readonly offset: number;
}

async function directoryOf(archive: Blob): Promise<Entry[]> {
  const tailStart = Math.max(0, archive.size - END_SIZE - LONGEST_COMMENT);
  const tail = new DataView((await read(archive, tailStart, archive.size)).buffer);
  let end = tail.byteLength - END_SIZE;
  while (end >= 0 && tail.getUint32(end, true) !== END_MARK) end--;
  if (end < 0) throw new ImageError(ZIP.damaged("its directory is missing"));
  const count = tail.getUint16(end + 10, true);
  const size = tail.getUint32(end + 12, true);
  const start = tail.getUint32(end + 16, true);
  if (count === 0xffff || start === 0xffffffff) {
    throw refused("the directory of a very large zip (zip64)", "an archive below 4 GB");
  }
  if (size > LARGEST_DIRECTORY || start + size > archive.size) {
    throw new ImageError(ZIP.damaged("its directory lies outside of it"));
  }
  const bytes = await read(archive, start, start + size);
  return entriesOf(bytes, count);
}

function entriesOf(bytes: Uint8Array, count: number): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Entry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_SIZE > bytes.length || view.getUint32(at, true) !== ENTRY_MARK) {
      throw new ImageError(ZIP.damaged("its directory is cut off"));
    }
    const [nameLength, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const nameEnd = at + ENTRY_SIZE + (nameLength ?? 0);
    entries.push({
      name: new TextDecoder().decode(bytes.subarray(at + ENTRY_SIZE, nameEnd)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      checksum: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      offset: view.getUint32(at + 42, true),
    });
    at = nameEnd + (extra ?? 0) + (comment ?? 0);
  }
  return entries;
}

function isHidden(name: string): boolean {
  return name.split("/").some((part) => /^\.[^.]/.test(part) || part === "__MACOSX");
}

async function unpack(archive: Blob, entry: Entry, most: number): Promise<Uint8Array> {
  if (entry.size > LARGEST_FILE) {
    throw refused(`a file of ${(entry.size / 1e9).toFixed(1)} GB`, "at most 1 GB for each");
  }
  if (entry.method !== STORED && entry.method !== DEFLATED) {
    throw refused(`compression method ${entry.method}`, "deflate, as usual");
  }
  const head = await read(archive, entry.offset, entry.offset + FILE_SIZE);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < FILE_SIZE || view.getUint32(0, true) !== FILE_MARK) {
    throw new ImageError(ZIP.damaged("a file does not begin where the directory says"));
  }
  const start = entry.offset + FILE_SIZE + view.getUint16(26, true) + view.getUint16(28, true);
  const content = takeMemory(most, (size) => new Uint8Array(size));
  if (entry.method === STORED) {
    content.set((await read(archive, start, start + most)).subarray(0, most));
  } else {
    await inflateInto(content, archive, start, start + entry.packed);
  }
  if (most === entry.size && crc32(content) !== entry.checksum) {
    throw new ImageError(ZIP.damaged("the checksum of a file is wrong"));
  }
  return content;
}

/** Inflates just as many bytes as are wanted. */
async function inflateInto(
  content: Uint8Array,
  archive: Blob,
  start: number,
  end: number,
): Promise<void> {
  const stream = new Inflate({ raw: true, chunkSize: CHUNK });
  let filled = 0;
  stream.onData = (chunk) => {
    const part = chunk.subarray(0, content.length - filled);
    content.set(part, filled);
    filled += part.length;
  };
  for (let at = start; at < end && filled < content.length && !stream.ended; at += CHUNK) {
    stream.push(await read(archive, at, Math.min(at + CHUNK, end)));
  }
  if (stream.err && filled < content.length) throw new ImageError(ZIP.damaged(stream.msg));
  if (filled < content.length) throw new ImageError(ZIP.damaged("a file is cut off"));
}

async function read(file: Blob, start: number, end: number): Promise<Uint8Array> {
  try {
    return new Uint8Array(await file.slice(start, end).arrayBuffer());
  } catch (error) {
    if (error instanceof RangeError) throw new ImageError(FILES.noMemory(end - start));
    throw new ImageError(FILES.unreadable);
  }
}

function refused(found: string, expected: string): ImageError {
  return new ImageError(ZIP.refused(found, expected));
}
