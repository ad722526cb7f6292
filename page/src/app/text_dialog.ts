/** Longer texts, one tap away: the model's card, which the export has rendered, and the licences. */

import { h } from "./dom";
import { APP } from "./texts";

/**
 * A button that opens a text.
 *
 * @param template the page's own element that holds it; empty or missing says so.
 */
export function textButton(title: string, templateId: string, look = "button quiet"): HTMLElement {
  const close = (): void => dialog.close();
  const content = h("div", { class: "dialog-text", tabindex: "0", role: "document" });
  const template = document.getElementById(templateId);
  const isThere = template instanceof HTMLTemplateElement && template.content.textContent?.trim();
  content.append(isThere ? template.content.cloneNode(true) : APP.missingText);
  const dialog = h(
    "dialog",
    { "aria-label": title },
    h(
      "div",
      { class: "dialog-bar" },
      h("p", {}, APP.notice),
      h("button", { type: "button", class: "button quiet", onclick: close }, APP.close),
    ),
    content,
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close(); // on the shade around it
  });
  document.body.append(dialog);
  return h(
    "button",
    { type: "button", class: look, "aria-haspopup": "dialog", onclick: () => dialog.showModal() },
    title,
  );
}
