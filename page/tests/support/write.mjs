/**
 * Writes masks as the page does, for the tests that read them back in Python.
 *
 *     node write.mjs CASES FOLDER
 *
 * CASES is a JSON file, a list of {"files": [path, ...], "channels": 1, "labels": path, "model":
 * description}; the labels are bytes, row-major in the image's axes. FOLDER gets one file for each
 * form in which the page offers the mask of case N: N and the form's ending.
 */

import { openAsBlob } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { load } from "./bundle.mjs";

const [casesFile, folder] = process.argv.slice(2);
const { sourcesOf } = await load("images/readers.ts");
const { writersFor } = await load("writers/writers.ts");

const cases = JSON.parse(await readFile(casesFile, "utf8"));
for (const [number, { files, channels, labels, model }] of cases.entries()) {
  const blobs = await Promise.all(
    files.map(async (path) => new File([await openAsBlob(path)], basename(path))),
  );
  const [source] = await sourcesOf(blobs, { dims: 3, channels });
  const image = await source.load();
  const mask = new Uint8Array(await readFile(labels));
  for (const writer of writersFor(image)) {
    const blob = await writer.write(image, mask, model);
    await writeFile(
      join(folder, `${number}${writer.ending}`),
      new Uint8Array(await blob.arrayBuffer()),
    );
  }
}
