"""The page's engine against ONNX Runtime's web build: the same network in the same browser.

A copy of `lungs` that works at one size, and its exports to ONNX, take turns in Chromium, each in a
tab of its own; natively the network runs in the same rounds. For each: the shortest time, the
memory of WebAssembly, and the bytes that a visitor downloads, gzipped as a server would send them.
Our times are from an image to its labels; ONNX Runtime's are of the network alone.

    npm install --prefix FOLDER onnxruntime-web
    python experiments/browser_onnx.py FOLDER/node_modules/onnxruntime-web [--rounds 5] [--size 512]

Needs Debian's chromium, PyPI's playwright, the extra `onnx`, and the page's packages (npm ci in
page/). The native network uses the instruction set that LIGHTM_UNET_ISA names.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import http.server
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from browser_speed import FLAGS, KERNELS, Isolated, bundle_engine
from lightm_unet.deploy.export import export
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from lightm_unet.ops.dispatch import native

RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""What a page with the backend "wasm" alone loads of the package."""

HTML = """<!doctype html><script type="module">
const memories = [];
WebAssembly.Memory = class extends WebAssembly.Memory {
  constructor(wanted) {
    super(wanted);
    memories.push(this);
  }
};
const bytes = async (path) => (await fetch(path)).arrayBuffer();
const size = SIZE;
const values = new Float32Array(size * size).map(
  (_, i) => 1000 + 500 * Math.sin(i / 1009) + 300 * Math.cos(i / 71),
);
globalThis.openEngine = async (threads) => {
  const { openEngine } = await import("./open.js");
  const { Kernels } = await import("./kernels.js");
  const json = new TextDecoder().decode(await bytes("model/model.json"));
  const weights = await bytes("model/model.safetensors");
  const name = threads > 1 ? "relaxed-threads" : "relaxed";
  const source = {
    kernel: (name) => bytes(`kernels/${name}.wasm`),
    startWorker: () => new Worker("worker.js"),
  };
  const engine = await openEngine({ json, weights }, source, { name, threads, words: "" });
  const picture = { name: "", kind: "picture", channels: 1, source: null, remarks: [] };
  globalThis.run = async () => {
    const begin = performance.now();
    await engine.segment({ ...picture, shape: [size, size], values: values.slice(), affine: null });
    return (performance.now() - begin) / 1000;
  };
  const module = await WebAssembly.compile(await bytes("kernels/relaxed.wasm"));
  const alone = await Kernels.start({ module, memory: null }, () => {});
  alone.open(json, weights);
  alone.segment(values, [size, size], null, 1);
  globalThis.megabytes = () => alone.memory.buffer.byteLength / 1e6;
};
globalThis.openRuntime = async (threads, file) => {
  const ort = await import("./ort.wasm.min.mjs");
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
  const input = new ort.Tensor("float32", values.map((v) => (v - 1000) / 400), [1, 1, size, size]);
  globalThis.run = async () => {
    const begin = performance.now();
    await session.run({ [session.inputNames[0]]: input });
    return (performance.now() - begin) / 1000;
  };
  globalThis.megabytes = () =>
    memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0) / 1e6;
};
globalThis.ready = true;
</script>"""


def write_site(folder: Path, package: Path, size: int) -> None:
    """The page, both engines, and the network in the forms that they read."""
    bundle_engine(folder)
    (folder / "index.html").write_text(HTML.replace("SIZE", str(size)))
    shutil.copytree(KERNELS, folder / "kernels")
    for name in RUNTIME:
        shutil.copy(package / "dist" / name, folder)
    model = folder / "model"
    shutil.copytree(SHIPPED / "lungs", model)
    card = json.loads((model / "model.json").read_text())
    card["preprocessing"]["size"] = [size, size]
    (model / "model.json").write_text(json.dumps(card))
    for operators in ("scan", "basic"):
        export(model, "onnx", folder / f"{operators}.onnx", operators=operators)


def native_seconds(model: Path, size: int) -> Callable[[], float]:
    """A function that runs the network once on one thread, and returns the seconds."""
    torch.set_num_threads(1)
    network = load_model(model).network.eval()
    image = torch.randn(1, 1, size, size)

    def run() -> float:
        begin = time.perf_counter()
        with torch.inference_mode():
            network(image)
        return time.perf_counter() - begin

    return run


def downloaded(folder: Path, names: list[str]) -> str:
    """The files' bytes, and those of the files gzipped, in words."""
    contents = [(folder / name).read_bytes() for name in names]
    raw = sum(map(len, contents)) / 1e6
    packed = sum(len(gzip.compress(content, 9)) for content in contents) / 1e6
    return f"{raw:.2f} MB, gzipped {packed:.2f} MB"


def main() -> None:
    """Print a line for each engine and number of threads."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="folder of the npm package onnxruntime-web")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        site = Path(scratch)
        write_site(site, options.package, options.size)
        handler = functools.partial(Isolated, directory=scratch)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS)
        )

        def opened(call: str) -> Callable[[str], float]:
            """A tab in which an engine is open, and its functions."""
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            page.wait_for_function("globalThis.ready")
            page.evaluate(call)
            return page.evaluate

        version = json.loads((options.package / "package.json").read_text())["version"]
        print(f"Chromium {browser.version}, onnxruntime-web {version}")
        tabs = {}
        for threads in options.threads:
            tabs[f"page's engine, {threads} thread(s)"] = opened(f"openEngine({threads})")
            for form in ("scan", "basic"):
                call = f'openRuntime({threads}, "{form}.onnx")'
                tabs[f"ONNX Runtime, {form}, {threads} thread(s)"] = opened(call)
        run_native = native_seconds(site / "model", options.size)
        own = f"native, {native.instruction_set()}, 1 thread"
        runs = {name: functools.partial(call, "run()") for name, call in tabs.items()}
        runs[own] = run_native
        shortest = dict.fromkeys(runs, float("inf"))
        for number in range(options.rounds + 1):
            for name, run in runs.items():
                seconds = run()
                if number > 0:  # the first warms up
                    shortest[name] = min(shortest[name], seconds)
        for name, seconds in shortest.items():
            used = f"{tabs[name]('megabytes()'):6.0f} MB" if name in tabs else ""
            print(f"{name:34} {seconds:7.3f} s {used}")
        kernels, model = ["kernels/relaxed.wasm"], ["model/model.json", "model/model.safetensors"]
        print(f"page's engine downloads: {downloaded(site, [*kernels, *model, 'worker.js'])}")
        for form in ("scan", "basic"):
            words = downloaded(site, [*RUNTIME, f"{form}.onnx"])
            print(f"ONNX Runtime, {form}, downloads: {words}")
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
