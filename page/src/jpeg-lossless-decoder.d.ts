/** The part of jpeg-lossless-decoder-js that is used here; its release holds no types. */
declare module "jpeg-lossless-decoder-js" {
  export class Decoder {
    decode(buffer: ArrayBuffer): { readonly buffer: ArrayBuffer };
    readonly frame: {
      readonly dimX: number;
      readonly dimY: number;
      readonly numComp: number;
      readonly precision: number;
    };
  }
}
