/** How files come in: dropped, chosen, pasted or photographed. */

import { h } from "./dom";
import { APP } from "./texts";

export type TakeFiles = (files: readonly File[]) => void;

/** A button that opens the browser's own dialog for files. */
export function chooser(
  title: string,
  take: TakeFiles,
  options: Readonly<Record<string, string | boolean>> = {},
): HTMLElement {
  const { class: look = "button", ...rest } = options;
  const input = h("input", {
    type: "file",
    hidden: true,
    ...rest,
    onchange: () => {
      take([...(input.files ?? [])]);
      input.value = ""; // so that the same file can be chosen again
    },
  });
  const button = h("button", { type: "button", class: look, onclick: () => input.click() }, title);
  return h("span", {}, button, input);
}

/** A button that opens a phone's camera. */
export function camera(take: TakeFiles): HTMLElement {
  const options = { accept: "image/*", capture: "environment", class: "button quiet camera" };
  return chooser(APP.drop.photograph, take, options);
}

/** Takes files that are dropped anywhere on the page, folders too, or pasted. */
export function listenForFiles(take: TakeFiles, nothingPasted: () => void): void {
  let depth = 0;
  const hover = (by: number): void => {
    depth = Math.max(0, depth + by);
    document.body.classList.toggle("dragging", depth > 0);
  };
  const holdsFiles = (event: DragEvent): boolean =>
    event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (event) => holdsFiles(event) && hover(1));
  addEventListener("dragleave", (event) => holdsFiles(event) && hover(-1));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!event.dataTransfer || !holdsFiles(event)) return;
    event.preventDefault(); // or the browser would leave the page for the file
    depth = 0;
    hover(0);
    void droppedFiles(event.dataTransfer).then(take);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) take(files);
    else nothingPasted();
  });
}

async function droppedFiles(data: DataTransfer): Promise<readonly File[]> {
  // Entries are gone after the first pause, so all are taken before.
  const files = [...data.files];
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return files;
  const found = await Promise.all(entries.map((entry) => (entry ? filesIn(entry) : [])));
  return found.flat();
}

async function filesIn(entry: FileSystemEntry): Promise<readonly File[]> {
  if (entry.isFile) {
    const file = await new Promise<File | null>((resolve) => {
      (entry as FileSystemFileEntry).file(resolve, () => resolve(null));
    });
    return file && !file.name.startsWith(".") ? [file] : [];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve) => {
      reader.readEntries(resolve, () => resolve([]));
    });
    if (some.length === 0) return files;
    for (const each of some) files.push(...(await filesIn(each)));
  }
}
