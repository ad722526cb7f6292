/** The engine in node: its workers are node's, and its kernels the files that are shipped. */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Worker as NodeWorker } from "node:worker_threads";

import { build } from "esbuild";

import { load } from "./bundle.mjs";

const page = fileURLToPath(new URL("../../", import.meta.url));
const package_ = fileURLToPath(new URL("../../../src/lightm_unet/", import.meta.url));
/** Where the compiled kernels lie; the variable is for tests of others than those that are shipped. */
export const KERNELS = process.env.LIGHTM_UNET_KERNELS ?? `${package_}deploy/site/engine`;

export const { openEngine, canRun } = await load("engine/open.ts");
const { Kernels } = await load("engine/kernels.ts");

const bundled = await build({
  absWorkingDir: page,
  entryPoints: ["src/engine/worker.ts"],
  bundle: true,
  format: "iife",
  write: false,
});
const program = `
  const { parentPort } = require("node:worker_threads");
  globalThis.self = { postMessage: (answer, transfer) => parentPort.postMessage(answer, transfer) };
  parentPort.on("message", (data) => self.onmessage({ data }));
  ${bundled.outputFiles[0].text}`;

/** A browser's Worker, as far as the engine uses it. */
class BrowserWorker {
  #worker;

  /** @param before code that runs first. */
  constructor(before = "") {
    this.#worker = new NodeWorker(before + program, { eval: true });
    this.#worker.on("message", (data) => this.onmessage({ data }));
    this.#worker.on("error", ({ message }) => this.onerror({ message, preventDefault() {} }));
  }

  postMessage(request) {
    this.#worker.postMessage(request);
  }

  terminate() {
    this.#worker.terminate();
  }
}

/** @param {string} [before] code that runs first in each worker. */
export function sourceWith(before) {
  return {
    kernel: async (name) => bytes(`${KERNELS}/${name}.wasm`),
    startWorker: () => new BrowserWorker(before),
  };
}

export const source = sourceWith();

export async function bytes(path) {
  const { buffer, byteOffset, byteLength } = await readFile(path);
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

/** A model's files; its folder, or the name of one that the package brings. */
export async function modelFiles(name) {
  const folder = name.includes("/") ? name : `${package_}models/shipped/${name}`;
  return {
    json: await readFile(`${folder}/model.json`, "utf8"),
    weights: await bytes(`${folder}/model.safetensors`),
  };
}

/** "relaxed", 1 and the like, as open.ts takes them. */
export function buildOf(name, threads) {
  return { name, threads, words: `${name}, ${threads}` };
}

/** Every build, those with threads with one, two and three. */
export const BUILDS = [
  buildOf("simd", 1),
  buildOf("relaxed", 1),
  ...["simd-threads", "relaxed-threads"].flatMap((name) => [1, 2, 3].map((n) => buildOf(name, n))),
];

/** One instance in this thread, with a model. */
export async function openKernels(name, model) {
  const module = await WebAssembly.compile(await source.kernel(name));
  const kernels = await Kernels.start({ module, memory: null }, () => {});
  const { json, weights } = await modelFiles(model);
  kernels.open(json, weights);
  return kernels;
}

/** A picture or volume with some structure, the same for the same seed. */
export function madeImage(shape, seed = 1) {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = new Float32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const [x, y] = [i % shape.at(-1), Math.floor(i / shape.at(-1)) % shape.at(-2)];
    const wave = Math.sin((9 * x) / shape.at(-1)) * Math.cos((7 * y) / shape.at(-2));
    values[i] = Math.round(1000 + 800 * wave + (200 * state) / 2 ** 32);
  }
  const affine =
    shape.length === 3 ? new Float64Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]) : null;
  const kind = affine ? "nifti" : "picture";
  const rest = { name: "made", kind, channels: 1, spacingMm: null, source: null, remarks: [] };
  return { ...rest, shape, values, affine };
}
