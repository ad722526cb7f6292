/** What is being done, how far, how long it will take, and a way to end it. */

import type { Case } from "./case";
import { h } from "./dom";
import { RemainingTime } from "./remaining_time";
import { APP } from "./texts";

const DOING = ["reading", "sending", "running"] as const;

type Doing = (typeof DOING)[number];

const isDoing = (state: Case["state"]): state is Doing => DOING.some((each) => each === state);

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
    const active = cases.find(({ state }) => isDoing(state));
    this.element.hidden = !active;
    if (!active || !isDoing(active.state)) {
      this.item = null;
      return;
    }
    const { state } = active;
    if (active !== this.item || active.progress === 0) this.time.start(performance.now());
    this.item = active;
    const { remaining } = APP.progress;
    this.what.textContent = APP.progress[state](active.name);
    if (state === "reading" || active.progress === 0) this.bar.removeAttribute("value");
    else this.bar.value = active.progress;
    const seconds = this.time.left(active.progress, performance.now());
    this.left.textContent = seconds === null ? "" : remaining(seconds);
  }
}
