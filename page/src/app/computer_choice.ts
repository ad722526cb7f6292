/** Which computer segments: this one, or the server that sent the page; always said in words. */

import { choice } from "./controls";
import { h } from "./dom";
import { APP } from "./texts";

export type Computer = "device" | "server";

const KEY = "lightm-unet computer";

/** What was chosen last in this browser; this device at first. */
export function rememberedComputer(): Computer {
  return localStorage.getItem(KEY) === "server" ? "server" : "device";
}

/**
 * A switch with a line that says where images go.
 *
 * @param host of the server.
 * @param changed called with each new choice.
 */
export function computerChoice(
  host: string,
  chosen: Computer,
  changed: (computer: Computer) => void,
): HTMLElement {
  const { title, device, server, onDevice, onServer } = APP.computer;
  const line = h("span", { class: "soft", role: "status" });
  const tell = (computer: Computer): void => {
    line.textContent = computer === "device" ? onDevice : onServer(host);
  };
  tell(chosen);
  const options = [
    [device, "device"],
    [server(host), "server"],
  ] as const;
  const select = choice<Computer>(title, options, chosen, (computer) => {
    localStorage.setItem(KEY, computer);
    tell(computer);
    changed(computer);
  });
  return h("div", { class: "computer" }, select, line);
}
