/** The mask as NIfTI, for every image that has a place in space. */

import { VOLUME_DOWNLOADS } from "../app/volume_texts";
import type { MaskWriter } from "./writer";

export const niftiMask: MaskWriter = {
  title: VOLUME_DOWNLOADS.nifti,
  ending: "_mask.nii.gz",
  suits: ({ affine }) => affine !== null,
  write: async (image, labels) => {
    const { writeNiftiMask } = await import("./nifti/write");
    return new Blob([writeNiftiMask(image, labels) as BlobPart], { type: "application/gzip" });
  },
};
