/** All forms in which a mask can be downloaded. */

import type { MedicalImage } from "../images/image";
import { colouredPng } from "./coloured_png";
import { dicomSegmentation } from "./dicom_segmentation";
import { maskPng } from "./mask_png";
import { niftiMask } from "./nifti_mask";
import type { MaskWriter } from "./writer";

const WRITERS: readonly MaskWriter[] = [
  niftiMask,
  dicomSegmentation,
  maskPng,
  colouredPng,
];

export function writersFor(image: MedicalImage): readonly MaskWriter[] {
  return WRITERS.filter((writer) => writer.suits(image));
}
