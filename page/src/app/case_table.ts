/** All cases with their sizes, one row each; a click shows a case. */

import type { ModelDescription } from "../engine/engine";
import type { Case } from "./case";
import { swatch } from "./swatch";
import { h } from "./dom";
import { sizeText } from "./measures";
import { APP } from "./texts";

export interface TableActions {
  show(item: Case): void;
  remove(item: Case): void;
  clear(): void;
  csv(): void;
}

export class CaseTable {
  readonly element: HTMLElement;
  private readonly body = h("tbody");
  private readonly total = h("span", { class: "soft" });
  private readonly rows = new Map<number, HTMLTableRowElement>();

  constructor(
    private readonly model: ModelDescription,
    private readonly actions: TableActions,
  ) {
    const { name, state, title, region, csv, clear } = APP.cases;
    const heads = model.labels
      .slice(1)
      .map(({ name: label, colour }) => h("th", { scope: "col" }, swatch(colour), label));
    const button = (text: string, run: () => void): HTMLElement =>
      h("button", { type: "button", class: "button quiet", onclick: run }, text);
    this.element = h(
      "section",
      { class: "panel cases", "aria-labelledby": "cases-title" },
      h(
        "div",
        { class: "panel-head" },
        h("h2", { id: "cases-title" }, title),
        this.total,
        h("span", { class: "grow" }),
        button(csv, () => actions.csv()),
        button(clear, () => actions.clear()),
      ),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": region },
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              h("th", { scope: "col", class: "text" }, name),
              h("th", { scope: "col", class: "text" }, state),
              ...heads,
              h("td", {}),
            ),
          ),
          this.body,
        ),
      ),
    );
  }

  /** Brings the table up to date; rows that did not change keep the focus. */
  update(cases: readonly Case[], shown: Case | null): void {
    this.total.textContent = APP.cases.total(cases.length);
    for (const [id, row] of this.rows) {
      if (!cases.some((item) => item.id === id)) {
        const neighbour = row.nextElementSibling ?? row.previousElementSibling;
        if (row.contains(document.activeElement)) neighbour?.querySelector("button")?.focus();
        row.remove();
        this.rows.delete(id);
      }
    }
    for (const item of cases) this.updateRow(item, item === shown);
  }

  updateRow(item: Case, isShown: boolean): void {
    let row = this.rows.get(item.id);
    if (!row) {
      row = this.newRow(item);
      this.rows.set(item.id, row);
      this.body.append(row);
    }
    row.classList.toggle("shown", isShown);
    row.querySelector("button")?.setAttribute("aria-pressed", String(isShown));
    const cells = row.querySelectorAll("td");
    const [state, ...sizes] = cells;
    this.model.labels.slice(1).forEach((_, index) => {
      const found = item.result?.measures[index];
      setText(sizes[index], found ? sizeText(found, this.model.dims) : "");
    });
    const isUnlike = item.state === "done" && item.result?.unlike;
    setText(state, isUnlike ? APP.cases.unlike : APP.cases[item.state]);
    if (state) state.dataset["state"] = isUnlike ? "unlike" : item.state;
  }

  private newRow(item: Case): HTMLTableRowElement {
    const { show, remove } = APP.cases;
    return h(
      "tr",
      {},
      h(
        "th",
        { scope: "row", class: "text" },
        h(
          "button",
          {
            type: "button",
            class: "link",
            "aria-label": show(item.name),
            title: item.name,
            onclick: () => this.actions.show(item),
          },
          item.name,
        ),
      ),
      h("td", { class: "text state" }),
      ...this.model.labels.slice(1).map(() => h("td")),
      h(
        "td",
        {},
        h(
          "button",
          {
            type: "button",
            class: "remove",
            "aria-label": remove(item.name),
            title: remove(item.name),
            onclick: () => this.actions.remove(item),
          },
          "✕",
        ),
      ),
    );
  }
}

function setText(cell: Element | undefined, text: string): void {
  if (cell && cell.textContent !== text) cell.textContent = text;
}
