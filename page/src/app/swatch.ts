/** A small square in a label's colour. */

import { css, onGrey, type Colour } from "../pictures/palette";
import { h } from "./dom";

export function swatch(colour: Colour): HTMLElement {
  const square = h("span", { class: "swatch", "aria-hidden": "true" });
  square.style.backgroundColor = css(onGrey(colour));
  return square;
}
