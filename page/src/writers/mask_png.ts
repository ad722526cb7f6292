/** The mask as `lightm-unet predict` writes it: 8-bit grey, each level a label's number. */

import { APP } from "../app/texts";
import { encodePng } from "../images/png/encode";
import type { MaskWriter } from "./writer";

export const maskPng: MaskWriter = {
  title: APP.downloads.mask,
  ending: "_mask.png",
  suits: ({ shape, affine }) => shape.length === 2 && affine === null,
  write: ({ shape: [height = 0, width = 0] }, labels) => encodePng(labels, width, height, null),
};
