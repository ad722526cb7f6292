/**
 * Segments images as the page does, for the tests that compare it with Python.
 *
 *     node --experimental-wasm-relaxed-simd segment.mjs CASES FOLDER
 *
 * CASES is a JSON file, a list of {"model": folder, "shape": [...], "values": path, "affine":
 * [...] or null, "grid": [...], "input": path}; values and input are float32, input what the
 * network sees. For case N and each build, FOLDER gets N_BUILD.json, what the engine says,
 * N_BUILD.u8, the labels, and N_BUILD.f32, the network's logits; BUILD ends with the threads.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { BUILDS, bytes, modelFiles, openEngine, openKernels, source } from "./engine.mjs";

const [casesFile, folder] = process.argv.slice(2);
const cases = JSON.parse(await readFile(casesFile, "utf8"));
for (const [number, each] of cases.entries()) {
  const files = await modelFiles(each.model);
  const image = {
    name: "case",
    kind: each.affine ? "nifti" : "picture",
    shape: each.shape,
    channels: 1,
    values: new Float32Array(await bytes(each.values)),
    affine: each.affine && Float64Array.from(each.affine),
    spacingMm: null,
    source: null,
    remarks: [],
  };
  for (const build of BUILDS) {
    const stem = join(folder, `${number}_${build.name}-${build.threads}`);
    const engine = await openEngine(files, source, build);
    const { labels, unlike } = await engine.segment(image);
    engine.close();
    await writeFile(`${stem}.u8`, labels);
    await writeFile(`${stem}.json`, JSON.stringify({ unlike }));
  }
  for (const name of ["simd", "relaxed"]) {
    const kernels = await openKernels(name, each.model);
    const logits = kernels.runNetwork(new Float32Array(await bytes(each.input)), each.grid, 1);
    await writeFile(join(folder, `${number}_${name}-1.f32`), logits);
  }
}
