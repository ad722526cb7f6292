/** The page's sliders and switches, each with its label. */

import { h } from "./dom";

export interface Slider {
  readonly element: HTMLElement;
  value(): number;
  set(value: number): void;
}

export function slider(
  label: string,
  least: number,
  most: number,
  value: number,
  changed: (value: number) => void,
): Slider {
  const input = h("input", {
    type: "range",
    min: String(least),
    max: String(most),
    step: "0.01",
    oninput: () => changed(input.valueAsNumber),
  });
  input.valueAsNumber = value;
  return {
    element: h("label", { class: "slider" }, h("span", {}, label), input),
    value: () => input.valueAsNumber,
    set: (next) => {
      input.valueAsNumber = next;
    },
  };
}

export function checkbox(label: string, on: boolean, changed: (on: boolean) => void): HTMLElement {
  const input = h("input", { type: "checkbox", onchange: () => changed(input.checked) });
  input.checked = on;
  return h("label", { class: "checkbox" }, input, h("span", {}, label));
}

/** One of several views; the browser's own list works by touch and by keyboard. */
export function choice<Value>(
  label: string,
  options: readonly (readonly [title: string, value: Value])[],
  chosen: Value,
  changed: (value: Value) => void,
): HTMLElement {
  const select = h(
    "select",
    {
      onchange: () => {
        const option = options[select.selectedIndex];
        if (option) changed(option[1]);
      },
    },
    ...options.map(([title, value]) => h("option", { selected: value === chosen }, title)),
  );
  return h("label", { class: "choice" }, h("span", {}, label), select);
}
