/** The mask as a DICOM segmentation, for images that were DICOM. */

import { VOLUME_DOWNLOADS } from "../app/volume_texts";
import type { MaskWriter } from "./writer";

export const dicomSegmentation: MaskWriter = {
  title: VOLUME_DOWNLOADS.segmentation,
  ending: "_seg.dcm",
  suits: ({ kind }) => kind === "dicom",
  write: async (image, labels, model) => {
    const { writeSegmentation } = await import("./dicom/segmentation");
    const bytes = writeSegmentation(image, labels, model) as BlobPart;
    return new Blob([bytes], { type: "application/dicom" });
  },
};
