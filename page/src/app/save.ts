/** Hands a file to the browser's downloads. */

import { h } from "./dom";

/** Long enough for any browser to have begun reading. */
const KEPT_MS = 60_000;

export function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}

/** A file's name without its folder and its ending, for what is made from it. */
export function stem(name: string): string {
  const base = name.split(/[/\\]/).pop() ?? name;
  return base.replace(/\.(nii\.gz|nii|png|jpe?g|webp|dcm|zip)$/i, "") || "image";
}
