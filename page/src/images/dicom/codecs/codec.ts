/** What a decoder of one frame gives. */
export interface DecodedFrame {
  readonly rows: number;
  readonly columns: number;
  readonly channels: number;
  /** Sample after sample, pixel by pixel: (rows, columns, channels). */
  readonly samples: Uint8Array | Int8Array | Uint16Array | Int16Array;
  /** Bits of a sample in the stream. */
  readonly precision: number;
}

/** @throws any Error for a stream that it cannot decode. */
export type Decode = (stream: Uint8Array) => DecodedFrame;
