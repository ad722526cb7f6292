/** The mask in its labels' colours: a palette PNG, so that its indices are still the labels. */

import { APP } from "../app/texts";
import { encodePng } from "../images/png/encode";
import type { MaskWriter } from "./writer";

export const colouredPng: MaskWriter = {
  title: APP.downloads.colouredMask,
  ending: "_coloured.png",
  suits: ({ shape, affine }) => shape.length === 2 && affine === null,
  write: ({ shape: [height = 0, width = 0] }, labels, { labels: named }) =>
    encodePng(
      labels,
      width,
      height,
      named.map(({ colour }) => colour),
    ),
};
