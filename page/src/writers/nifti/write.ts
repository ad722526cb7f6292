/** A mask as compressed NIfTI on the image's grid, as `lightm-unet predict` writes it. */

import { gzip } from "pako";

import type { MedicalImage } from "../../images/image";
import { makeHeader, placeOf, versionFor } from "../../images/nifti/make_header";
import { firstAxisFastest } from "../../images/nifti/voxels";
import type { NiftiSource } from "../../images/nifti/read";

/** A third of the time of the usual level, for files a few per cent larger. */
const LEVEL = 4;

/**
 * The bytes of a .nii.gz file.
 *
 * @param labels row-major, in the image's own axes.
 */
export function writeNiftiMask(image: MedicalImage, labels: Uint8Array): Uint8Array {
  const shape = storedShape(image);
  return gzip(joined(headerOf(image, shape), firstAxisFastest(labels, shape, new Uint8Array(labels.length))), { level: LEVEL });
}

/** The mask's shape in the file: with the axes of length 1 that the image's file has. */
function storedShape(image: MedicalImage): readonly number[] {
  if (image.kind === "nifti") return (image.source as NiftiSource).storedShape;
  return image.shape.length === 2 ? [...image.shape, 1] : image.shape;
}

function headerOf(image: MedicalImage, shape: readonly number[]): Uint8Array {
  if (image.kind === "nifti") {
    const { header } = image.source as NiftiSource;
    return makeHeader(shape, "uint8", header.place, header.version);
  }
  if (image.affine === null) throw new Error("an image without a place has no NIfTI mask");
  return makeHeader(shape, "uint8", placeOf(image.affine), versionFor(shape));
}

function joined(header: Uint8Array, voxels: Uint8Array): Uint8Array {
  const file = new Uint8Array(header.length + voxels.length);
  file.set(header);
  file.set(voxels, header.length);
  return file;
}
