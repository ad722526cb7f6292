/** An image or its labels as a NIfTI file in memory, which NiiVue reads. */

import type { MedicalImage } from "../images/image";
import { takeMemory } from "../images/memory";
import { makeHeader, placeOf, versionFor } from "../images/nifti/make_header";
import { firstAxisFastest } from "../images/nifti/voxels";

/** @param image of three axes, with a place; of several channels the first is taken. */
export function niftiOfImage({ shape, values, affine }: MedicalImage): ArrayBuffer {
  const voxels = shape.reduce((product, count) => product * count, 1);
  const { buffer, start } = withHeader(shape, "float32", affine, 4 * voxels);
  firstAxisFastest(values.subarray(0, voxels), shape, new Float32Array(buffer, start));
  return buffer;
}

export function niftiOfLabels({ shape, affine }: MedicalImage, labels: Uint8Array): ArrayBuffer {
  const { buffer, start } = withHeader(shape, "uint8", affine, labels.length);
  firstAxisFastest(labels, shape, new Uint8Array(buffer, start));
  return buffer;
}

function withHeader(
  shape: readonly number[],
  type: "uint8" | "float32",
  affine: Float64Array | null,
  bytes: number,
): { buffer: ArrayBuffer; start: number } {
  const place = placeOf(affine ?? Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1));
  const header = makeHeader(shape, type, place, versionFor(shape));
  const buffer = takeMemory(header.length + bytes, (size) => new ArrayBuffer(size));
  new Uint8Array(buffer).set(header);
  return { buffer, start: header.length };
}
