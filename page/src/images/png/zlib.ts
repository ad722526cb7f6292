/** The browser's own deflate, with a bound on what a small file may become. */

import { BrokenFile } from "../broken_file";

/**
 * Unpacks a zlib stream that lies in several pieces.
 *
 * @param size what it has to come to, in bytes.
 */
export async function inflate(pieces: readonly Uint8Array[], size: number): Promise<Uint8Array> {
  const target = new Uint8Array(size);
  let filled = 0;
  const unpacked = new Blob([...pieces] as BlobPart[]).stream().pipeThrough(
    new DecompressionStream("deflate"),
  );
  const reader = unpacked.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new BrokenFile("its compressed data are damaged");
    });
    if (done) break;
    if (filled + value.length > size) {
      void reader.cancel().catch(() => undefined);
      throw wrongSize();
    }
    target.set(value, filled);
    filled += value.length;
  }
  if (filled < size) throw wrongSize();
  return target;
}

function wrongSize(): BrokenFile {
  return new BrokenFile("the pixel data are not as large as the header says");
}

export async function deflate(data: Uint8Array): Promise<Uint8Array> {
  const packed = new Blob([data as BlobPart]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
