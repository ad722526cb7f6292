/** What every reader of files gives, and the network takes. */

/** An image as its file stores it, with where it lies. */
export interface MedicalImage {
  /** For people: the file's name, or that of the series' folder. */
  readonly name: string;
  readonly kind: "picture" | "nifti" | "dicom";
  /** Spatial axes in array order: (height, width) of a picture, (i, j, k) of a volume. */
  readonly shape: readonly number[];
  readonly channels: number;
  /** (channels, ...shape), row-major: the last axis varies fastest. */
  readonly values: Float32Array;
  /** 4x4 row-major, voxel to world in mm, RAS+; null for a picture, which has no place. */
  readonly affine: Float64Array | null;
  /** Size of a pixel or voxel along each axis in mm; null where the file does not tell. */
  readonly spacingMm: readonly number[] | null;
  /** What the file says besides that a mask's writer needs, such as a NIfTI header or DICOM data sets. */
  readonly source: unknown;
  /** What the user must know, such as where a pixel size comes from: one sentence each. */
  readonly remarks: readonly string[];
}

/** A file that cannot be used: what was found, what was expected, what to do; for people. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

/** A picture in colour where the model takes grey: the user may ask to make it grey. */
export class ColourError extends ImageError {
  constructor(
    message: string,
    readonly file: File,
  ) {
    super(message);
  }
}
