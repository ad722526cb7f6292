/**
 * Reads images as the page does, for the tests that compare it with Python.
 *
 *     node read.mjs CASES FOLDER
 *
 * CASES is a JSON file, a list of {"files": [path, ...], "channels": 1}. FOLDER gets N.json, what
 * the page says of each image of case N or {"error": "its sentence"}, and N_M.f32, the values of
 * its image M.
 */

import { openAsBlob } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { load } from "./bundle.mjs";

const [casesFile, folder] = process.argv.slice(2);
const { sourcesOf } = await load("images/readers.ts");

async function seen(source, stem) {
  try {
    const image = await source.load();
    await writeFile(join(folder, `${stem}.f32`), image.values);
    const { name, kind, shape, channels, spacingMm, remarks } = image;
    const affine = image.affine && [...image.affine];
    return { name, kind, shape, channels, spacingMm, remarks, affine };
  } catch (error) {
    if (error.name !== "ImageError") throw error;
    return { name: source.name, error: error.message };
  }
}

const cases = JSON.parse(await readFile(casesFile, "utf8"));
for (const [number, { files, channels }] of cases.entries()) {
  const blobs = await Promise.all(
    files.map(async (path) => new File([await openAsBlob(path)], basename(path))),
  );
  const images = [];
  for (const [index, source] of (await sourcesOf(blobs, { dims: 3, channels })).entries()) {
    images.push(await seen(source, `${number}_${index}`));
  }
  await writeFile(join(folder, `${number}.json`), JSON.stringify(images));
}
