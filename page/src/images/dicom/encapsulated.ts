/** Fragments of compressed pixels to one stream for each frame. */

import { DICOM } from "../../app/volume_texts";
import { ImageError } from "../image";
import { endOfStream } from "./codestream";

/**
 * Joins the fragments that belong to one frame.
 *
 * By the table of offsets where there is one; else one fragment for each frame, all of them for a
 * single frame, or a new frame after each end of a JPEG or JPEG 2000 stream.
 *
 * @param parts the first is the table of offsets, which may be empty.
 * @throws ImageError there are fewer frames than `total`.
 */
export function compressedFrames(parts: readonly Uint8Array[], total: number): Uint8Array[] {
  const [table = new Uint8Array(0), ...fragments] = parts;
  const frames = groups(table, fragments, total).map(join);
  if (frames.length < total) throw new ImageError(DICOM.fewFrames(frames.length, total));
  return frames.slice(0, total);
}

function groups(table: Uint8Array, fragments: Uint8Array[], total: number): Uint8Array[][] {
  if (fragments.length === 0) return [];
  if (total === 1) return [fragments];
  if (table.length >= 4) return byOffsets(table, fragments);
  if (fragments.length <= total) return fragments.map((fragment) => [fragment]);
  return byEnds(fragments);
}

const ITEM_HEAD = 8;

function byOffsets(table: Uint8Array, fragments: readonly Uint8Array[]): Uint8Array[][] {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const starts = new Set<number>();
  for (let at = 0; at + 4 <= table.length; at += 4) starts.add(view.getUint32(at, true));
  const found: Uint8Array[][] = [];
  let offset = 0;
  for (const fragment of fragments) {
    if (starts.has(offset) || found.length === 0) found.push([]);
    found.at(-1)?.push(fragment);
    offset += ITEM_HEAD + fragment.length;
  }
  return found;
}

function byEnds(fragments: readonly Uint8Array[]): Uint8Array[][] {
  const found: Uint8Array[][] = [];
  let open = false;
  for (const fragment of fragments) {
    if (!open) found.push([]);
    found.at(-1)?.push(fragment);
    open = endOfStream(fragment) < 0;
  }
  return found;
}

function join(fragments: readonly Uint8Array[]): Uint8Array {
  const [only] = fragments;
  if (fragments.length === 1 && only) return only;
  const whole = new Uint8Array(fragments.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const fragment of fragments) {
    whole.set(fragment, at);
    at += fragment.length;
  }
  return whole;
}
