/** Prints how the viewer turns a slice with the values 0, 1, 2, ...: `node as_seen.mjs CASES`. */

import { readFile } from "node:fs/promises";

import { load } from "./bundle.mjs";

const { imageAsSeen } = await load("pictures/as_seen.ts");

const cases = JSON.parse(await readFile(process.argv[2], "utf8"));
const seen = cases.map(({ shape, affine }) => {
  const values = Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => i);
  const image = imageAsSeen({ shape, affine, values, spacingMm: [1, 1] });
  const [rows, columns] = image.shape;
  return Array.from({ length: rows }, (_, row) => [
    ...image.values.subarray(row * columns, (row + 1) * columns),
  ]);
});
console.log(JSON.stringify(seen));
