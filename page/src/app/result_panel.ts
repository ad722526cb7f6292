/** What was found in the case that is shown: legend with sizes, warnings, remarks, downloads. */

import { writersFor } from "../writers/writers";
import type { MaskWriter } from "../writers/writer";
import type { MedicalImage } from "../images/image";
import type { Case } from "./case";
import { h } from "./dom";
import { sizeText } from "./measures";
import { swatch } from "./swatch";
import { APP } from "./texts";

export interface ResultActions {
  again(item: Case): void;
  asGrey(item: Case): void;
  saveMask(item: Case, writer: MaskWriter): void;
  saveView(item: Case): void;
}

/** The panel's content for a case; `image` is null where it could not be read. */
export function resultOf(
  item: Case | null,
  image: MedicalImage | null,
  actions: ResultActions,
): readonly HTMLElement[] {
  if (!item) return [h("p", { class: "soft" }, APP.result.none)];
  if (item.problem !== null) return [failure(item, actions)];
  if (item.state === "cancelled") return [cancelled(item, actions)];
  const { result } = item;
  if (!result) return [h("p", { class: "soft" }, APP.cases[item.state])];
  const found = result.measures.some(({ count }) => count > 0);
  return [
    ...(result.unlike ? [unlike(result.unlike)] : []),
    h(
      "dl",
      { class: "legend" },
      ...result.measures.map((measure) =>
        h(
          "div",
          {},
          h("dt", {}, swatch(measure.colour), measure.name),
          h("dd", {}, sizeText(measure, result.shape.length)),
        ),
      ),
    ),
    ...(found ? [] : [h("p", {}, APP.result.nothingFound)]),
    ...(result.measures.some(({ size }) => size === null)
      ? [h("p", { class: "soft" }, APP.result.noPixelSize)]
      : []),
    ...remarks(result.remarks),
    h("p", { class: "soft" }, APP.result.took(result.seconds, result.computer)),
    ...(image ? [downloads(item, image, actions)] : []),
  ];
}

function unlike({ score, limit, mostUnusual }: { score: number; limit: number; mostUnusual: string }): HTMLElement {
  return h(
    "div",
    { class: "warn" },
    h("strong", {}, APP.result.unlikeTitle),
    h("p", {}, APP.result.unlike(score, limit, mostUnusual)),
  );
}

function failure(item: Case, actions: ResultActions): HTMLElement {
  return h(
    "div",
    { class: "warn" },
    h("strong", {}, APP.result.failedTitle),
    h("p", {}, item.problem),
    item.asGrey && button(APP.result.makeGrey, () => actions.asGrey(item)),
    item.mayRetry && button(APP.result.retry, () => actions.again(item)),
  );
}

function cancelled(item: Case, actions: ResultActions): HTMLElement {
  return h(
    "div",
    {},
    h("p", { class: "soft" }, APP.problems.cancelled),
    button(APP.result.retry, () => actions.again(item)),
  );
}

function button(title: string, run: () => void, look = "button"): HTMLElement {
  return h("button", { type: "button", class: look, onclick: run }, title);
}

function remarks(lines: readonly string[]): readonly HTMLElement[] {
  return lines.length === 0
    ? []
    : [
        h(
          "details",
          { class: "remarks", open: true },
          h("summary", {}, APP.result.remarksTitle),
          ...lines.map((line) => h("p", { class: "soft" }, line)),
        ),
      ];
}

function downloads(item: Case, image: MedicalImage, actions: ResultActions): HTMLElement {
  const quiet = (title: string, run: () => void): HTMLElement => button(title, run, "button quiet");
  return h(
    "div",
    { class: "downloads" },
    h("h3", {}, APP.downloads.title),
    ...writersFor(image).map((writer) => quiet(writer.title, () => actions.saveMask(item, writer))),
    quiet(APP.downloads.view, () => actions.saveView(item)),
  );
}
