/** The server's token, where it asks for one: kept until the tab is closed, and sent nowhere else. */

import { h } from "../app/dom";
import { APP } from "../app/texts";

const KEY = "lightm-unet token";

export function knownToken(): string | null {
  return sessionStorage.getItem(KEY);
}

export function forgetToken(): void {
  sessionStorage.removeItem(KEY);
}

/** Asks the user for it; null where there is none to be had. */
export function askForToken(signal?: AbortSignal): Promise<string | null> {
  const { tokenTitle, token, tokenUse, tokenCancel } = APP.computer;
  const input = h("input", { type: "password", autocomplete: "off", "aria-label": token });
  const use = (): void => {
    const given = input.value.trim();
    if (given) sessionStorage.setItem(KEY, given);
    dialog.close(given);
  };
  const button = (text: string, look: string, run: () => void): HTMLElement =>
    h("button", { type: "button", class: look, onclick: run }, text);
  const dialog = h(
    "dialog",
    { class: "ask", "aria-label": tokenTitle },
    h("p", {}, tokenTitle),
    input,
    h(
      "div",
      { class: "buttons" },
      button(tokenCancel, "button quiet", () => dialog.close("")),
      button(tokenUse, "button", use),
    ),
  );
  input.addEventListener("keydown", ({ key }) => {
    if (key === "Enter") use();
  });
  const cancel = (): void => dialog.close("");
  signal?.addEventListener("abort", cancel);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      signal?.removeEventListener("abort", cancel);
      dialog.remove();
      resolve(dialog.returnValue || null);
    });
  });
}
