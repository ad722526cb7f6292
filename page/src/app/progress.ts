/** What is being done, how far, how long it will take, and a way to end it. */

import type { Case } from "./case";
import { h } from "./dom";
import { RemainingTime } from "./remaining_time";
import { APP } from "./texts";

export class Progress {
  readonly element: HTMLElement;
  private readonly what = h("span", {});
  private readonly left = h("span", { class: "soft" });
  private readonly bar = h("progress", { max: "1", "aria-label": APP.progress.label });
  private readonly time = new RemainingTime();
  private item: Case | null = null;

  constructor(cancel: () => void) {
    this.element = h(
      "div",
      { class: "progress", hidden: true },
      h("div", { class: "progress-text" }, this.what, this.left),
      this.bar,
      h("button", { type: "button", class: "button quiet", onclick: cancel }, APP.progress.cancel),
    );
  }

  show(cases: readonly Case[]): void {
    const active = cases.find(({ state }) => state === "running" || state === "reading");
    this.element.hidden = !active;
    if (!active) {
      this.item = null;
      return;
    }
    if (active.state === "reading" || active !== this.item) this.time.start(performance.now());
    this.item = active;
    const { reading, running, remaining } = APP.progress;
    this.what.textContent = (active.state === "reading" ? reading : running)(active.name);
    if (active.state === "reading" || active.progress === 0) this.bar.removeAttribute("value");
    else this.bar.value = active.progress;
    const seconds = this.time.left(active.progress, performance.now());
    this.left.textContent = seconds === null ? "" : remaining(seconds);
  }
}
