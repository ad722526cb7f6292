/** Bytes in order, stored or compressed by gzip; a compressed stream is checked to its end. */

import { Inflate } from "pako";

/** What can be read forwards once. */
export interface ByteStream {
  /** Most bytes that there can be. */
  readonly most: number;
  readonly compressed: boolean;
  /** Fills `target` as far as there are bytes, and returns how many it got. */
  read(target: Uint8Array): number;
}

export function isGzip(start: Uint8Array): boolean {
  return start[0] === 0x1f && start[1] === 0x8b;
}

/** Damage that the stream itself shows: a wrong checksum, an end too early. */
export class DamagedGzip extends Error {
  override readonly name = "DamagedGzip";
}

export class StoredBytes implements ByteStream {
  readonly compressed = false;
  readonly most: number;
  #position = 0;

  constructor(private readonly bytes: Uint8Array) {
    this.most = bytes.length;
  }

  read(target: Uint8Array): number {
    const part = this.bytes.subarray(this.#position, this.#position + target.length);
    target.set(part);
    this.#position += part.length;
    return part.length;
  }
}

/** Bytes that one byte of a gzip stream can stand for at most. */
export const LARGEST_RATIO = 1032;
const CHUNK = 1 << 16;

/** The content of a gzip file, of all its members; zeros after the last one are padding. */
export class GzipBytes implements ByteStream {
  readonly compressed = true;
  readonly most: number;
  #position = 0;
  #member: Inflate | null = null;
  #ready: Uint8Array[] = [];

  constructor(private readonly bytes: Uint8Array) {
    this.most = bytes.length * LARGEST_RATIO;
  }

  /** @throws DamagedGzip */
  read(target: Uint8Array): number {
    let filled = 0;
    while (filled < target.length) {
      const chunk = this.#ready[0];
      if (chunk === undefined) {
        if (!this.#inflateMore()) break;
        continue;
      }
      const part = chunk.subarray(0, target.length - filled);
      target.set(part, filled);
      filled += part.length;
      if (part.length === chunk.length) this.#ready.shift();
      else this.#ready[0] = chunk.subarray(part.length);
    }
    return filled;
  }

  /** Takes some compressed bytes; false at the end. */
  #inflateMore(): boolean {
    if (this.#member === null) {
      if (this.#position > 0) this.#skipPadding();
      if (this.#position >= this.bytes.length) return false;
      if (!isGzip(this.bytes.subarray(this.#position))) throw new DamagedGzip("not a gzip stream");
      this.#member = new Inflate({ windowBits: 31, chunkSize: CHUNK });
      this.#member.onData = (chunk) => this.#ready.push(chunk);
    }
    const input = this.bytes.subarray(this.#position, this.#position + CHUNK);
    if (input.length === 0) throw new DamagedGzip("it ends before its end-of-stream marker");
    this.#member.push(input);
    if (this.#member.err) throw new DamagedGzip(this.#member.msg || "it cannot be inflated");
    this.#position += input.length - this.#member.strm.avail_in;
    if (this.#member.ended) this.#member = null;
    return true;
  }

  #skipPadding(): void {
    while (this.bytes[this.#position] === 0) this.#position++;
  }
}

/**
 * A deflated stream without a head, at once.
 *
 * @returns the content, or why there is none.
 */
export function inflateRaw(bytes: Uint8Array, most: number): Uint8Array | string {
  const stream = new Inflate({ raw: true, chunkSize: CHUNK });
  const chunks: Uint8Array[] = [];
  let size = 0;
  stream.onData = (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
  };
  for (let at = 0; at < bytes.length && !stream.ended; at += CHUNK) {
    stream.push(bytes.subarray(at, at + CHUNK));
    if (size > most) return `more than ${most / 2 ** 30} GB when inflated`;
  }
  if (stream.err) return stream.msg || "it cannot be inflated";
  if (!stream.ended) return "a deflated stream that is cut off";
  return joined(chunks, size);
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
