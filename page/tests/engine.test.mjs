/**
 * The compiled engine and its workers. tests/page/test_engine.py compares results with Python's.
 *
 *     node --experimental-wasm-relaxed-simd --test tests/engine.test.mjs
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  BUILDS,
  buildOf,
  canRun,
  madeImage,
  modelFiles,
  openEngine,
  openKernels,
  source,
  sourceWith,
} from "./support/engine.mjs";

const lungs = await modelFiles("lungs");
const picture = madeImage([300, 260]);

function same(a, b) {
  return Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer)) === 0;
}

async function withEngine(use, { files = lungs, from = source, build = buildOf("simd-threads", 2) } = {}) {
  const engine = await openEngine(files, from, build);
  try {
    return await use(engine);
  } finally {
    engine.close();
  }
}

test("this browser can run it", () => assert.ok(canRun()));

test("the model says what it is", () =>
  withEngine(({ description }) => {
    assert.deepEqual(description, {
      dims: 2,
      channels: 1,
      labels: [
        { name: "background", colour: [0, 0, 0] },
        { name: "lung", colour: [230, 159, 0] },
      ],
    });
  }));

test("any number of threads gives the same labels, and a second image's are its own", async () => {
  const found = [];
  for (const build of BUILDS) {
    await withEngine(
      async (engine) => {
        const { labels } = await engine.segment(picture);
        await engine.segment(madeImage([64, 90], 7));
        const { labels: again } = await engine.segment(picture);
        assert.ok(same(labels, again), build.words);
        found.push({ family: build.name.split("-")[0], labels });
      },
      { build },
    );
  }
  for (const family of ["simd", "relaxed"]) {
    const [first, ...others] = found.filter((each) => each.family === family);
    assert.equal(others.length, 3);
    for (const { labels } of others) assert.ok(same(first.labels, labels), family);
  }
});

test("logits do not depend on threads, to the bit", async () => {
  const kernels = await openKernels("simd", "lungs");
  const input = madeImage([64, 96]).values.map((value) => (value - 1000) / 500);
  const logits = kernels.runNetwork(input, [64, 96], 1);
  assert.ok(logits.every(Number.isFinite));
  assert.ok(same(logits, kernels.runNetwork(input, [64, 96], 1)));
});

test("NaN in the input is NaN in the logits, in every build", async () => {
  const input = madeImage([64, 64]).values.map((value) => (value - 1000) / 500);
  input[5] = NaN;
  for (const name of ["simd", "relaxed"]) {
    const kernels = await openKernels(name, "lungs");
    const logits = kernels.runNetwork(input, [64, 64], 1);
    assert.ok(logits.every(Number.isNaN), name);
  }
});

test("an image with NaN is refused in words, and the next one is segmented", () =>
  withEngine(async (engine) => {
    const bad = madeImage([64, 64]);
    bad.values.fill(NaN);
    await assert.rejects(engine.segment(bad), { name: "ImageError", message: /NaN/ });
    assert.equal((await engine.segment(picture)).labels.length, 300 * 260);
  }));

test("an image of another kind is refused in words", () =>
  withEngine(async (engine) => {
    await assert.rejects(engine.segment(madeImage([20, 20, 20])), {
      name: "ImageError",
      message: /expected/,
    });
    const colour = { ...madeImage([60, 20]), shape: [20, 20], channels: 3 };
    await assert.rejects(engine.segment(colour), { name: "ImageError", message: /3 channels/ });
  }));

test("progress rises to one", () =>
  withEngine(async (engine) => {
    const seen = [];
    await engine.segment(picture, { onProgress: (done) => seen.push(done) });
    assert.ok(seen.length > 10);
    assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
    assert.ok(seen.at(-1) > 0.9 && seen.at(-1) <= 1);
  }));

test("aborting ends the work at once, and the next image is segmented", async () => {
  for (const build of [buildOf("simd", 1), buildOf("simd-threads", 2)]) {
    await withEngine(
      async (engine) => {
        const { labels } = await engine.segment(picture);
        const stop = new AbortController();
        const started = engine.segment(picture, { signal: stop.signal, onProgress: () => stop.abort() });
        await assert.rejects(started, { name: "AbortError" });
        await assert.rejects(engine.segment(picture, { signal: stop.signal }), { name: "AbortError" });
        assert.ok(same((await engine.segment(picture)).labels, labels));
      },
      { build },
    );
  }
});

test("a damaged model is refused in words", async () => {
  const opened = (files) => openEngine(files, source, buildOf("simd", 1));
  await assert.rejects(opened({ ...lungs, json: "{" }), /model\.json/);
  await assert.rejects(opened({ ...lungs, weights: lungs.weights.slice(0, 5000) }), /model\.safetensors/);
});

test("memory that the browser refuses is said in words, and the next image is segmented", async () => {
  // As on a phone that gives 32 MB to a tab.
  const meagre = `{
    const { Memory } = WebAssembly;
    WebAssembly.Memory = function (wanted) { return new Memory({ ...wanted, maximum: 512 }); };
  }`;
  const { Memory } = WebAssembly;
  (0, eval)(meagre);
  try {
    for (const build of [buildOf("simd", 1), buildOf("simd-threads", 2)]) {
      await withEngine(
        async (engine) => {
          await assert.rejects(engine.segment(madeImage([3000, 3000])), {
            name: "ImageError",
            message: /gave no more memory.*close other tabs/,
          });
          assert.equal((await engine.segment(picture)).labels.length, 300 * 260);
        },
        { build, from: sourceWith(meagre) },
      );
    }
  } finally {
    WebAssembly.Memory = Memory;
  }
});

test("memory does not grow from image to image", async () => {
  const kernels = await openKernels("simd", "lungs");
  const segment = () => kernels.segment(picture.values, picture.shape, null, 1);
  segment();
  const bytes = kernels.memory.buffer.byteLength;
  for (let i = 0; i < 3; i++) segment();
  assert.equal(kernels.memory.buffer.byteLength, bytes);
  assert.ok(bytes < 40e6, `${bytes} bytes`);
});

test("a worker whose program cannot be loaded is said in words", async () => {
  const startWorker = () => {
    const worker = { terminate() {}, postMessage: () => worker.onerror({ preventDefault() {} }) };
    return worker;
  };
  await assert.rejects(openEngine(lungs, { ...source, startWorker }, buildOf("simd", 1)), /could not be loaded/);
});
