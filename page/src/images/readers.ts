/** All kinds of files that the page reads, and how dropped files become images. */

import { IMAGES } from "../app/texts";
import { ImageError } from "./image";
import { dicom } from "./dicom/dicom";
import { nifti } from "./nifti/nifti";
import { pictures } from "./picture/pictures";
import type { ImageReader, ImageSource, Wanted } from "./reader";

/** The first that recognises a file reads it. */
const READERS: readonly ImageReader[] = [pictures, dicom, nifti];

const START_BYTES = 4096;

/**
 * Sorts files into images to read; one that no reader knows becomes a source whose reading fails.
 *
 * Files of one kind are handed over together, since a DICOM series has many.
 */
export async function sourcesOf(
  files: readonly File[],
  wanted: Wanted,
  readers: readonly ImageReader[] = READERS,
): Promise<readonly ImageSource[]> {
  const byReader = new Map<ImageReader, File[]>();
  const sources: ImageSource[] = [];
  for (const file of files) {
    const reader = await readerOf(file, readers);
    if (reader instanceof ImageError) {
      sources.push(failing(file.name, reader));
    } else {
      byReader.set(reader, [...(byReader.get(reader) ?? []), file]);
    }
  }
  for (const [reader, own] of byReader) {
    try {
      sources.push(...(await reader.sources(own, wanted)));
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      sources.push(failing(own.map((file) => file.name).join(", "), error));
    }
  }
  return sources;
}

async function readerOf(
  file: File,
  readers: readonly ImageReader[],
): Promise<ImageReader | ImageError> {
  let start: Uint8Array;
  try {
    start = new Uint8Array(await file.slice(0, START_BYTES).arrayBuffer());
  } catch {
    return new ImageError(IMAGES.unreadable);
  }
  if (start.length === 0) return new ImageError(IMAGES.empty);
  return (
    readers.find((reader) => reader.recognises(start, file.name)) ??
    new ImageError(IMAGES.unknownKind(otherKind(start)))
  );
}

/** A well-known kind of file that the page does not read, so that the message can name it. */
function otherKind(start: Uint8Array): string | null {
  const text = String.fromCharCode(...start.subarray(0, 8));
  for (const [signature, kind] of OTHER_KINDS) if (text.startsWith(signature)) return kind;
  return null;
}

const OTHER_KINDS: readonly (readonly [string, string])[] = [
  ["II*\0", IMAGES.kinds.tiff],
  ["MM\0*", IMAGES.kinds.tiff],
  ["II+\0", IMAGES.kinds.tiff],
  ["MM\0+", IMAGES.kinds.tiff],
  ["BM", IMAGES.kinds.bmp],
  ["GIF8", IMAGES.kinds.gif],
  ["%PDF", IMAGES.kinds.pdf],
];

function failing(name: string, error: ImageError): ImageSource {
  const fail = (): Promise<never> => Promise.reject(error);
  return { name, load: fail, upload: fail };
}
