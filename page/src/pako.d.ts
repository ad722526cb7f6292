/** The part of pako that is used here; it brings no types. */
declare module "pako" {
  export class Inflate {
    constructor(options: { windowBits?: number; chunkSize?: number; raw?: boolean });
    /** False once the stream has ended or is damaged. */
    push(data: Uint8Array, flush?: boolean): boolean;
    onData: (chunk: Uint8Array) => void;
    readonly err: number;
    readonly msg: string;
    readonly ended: boolean;
    /** zlib's own state; what is left of the input that was pushed last. */
    readonly strm: { readonly avail_in: number };
  }
  export function gzip(data: Uint8Array, options?: { level?: number }): Uint8Array;
}
