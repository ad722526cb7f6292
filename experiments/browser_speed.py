"""How long the page's engine takes in Chromium for one image, and the memory it takes.

Times are from the image's intensities to its labels, the shortest of some runs after the first.
Several folders of kernels take turns, run by run. Networks have random weights, but for those that
are shipped.

    python experiments/browser_speed.py [--kernels FOLDER ...] [--runs 3] [--only NAME ...]

Needs Debian's chromium, PyPI's playwright, and the page's packages (npm ci in page/).
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import torch

from lightm_unet.models.model_folder import save_model
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.preprocessing import Preprocessing

PAGE = Path(__file__).resolve().parent.parent / "page"
KERNELS = PAGE.parent / "src/lightm_unet/deploy/site/engine"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
# Name: registered network or a shipped model, and the image's shape.
CASES = {
    "lightm-unet-tiny 512": ("lightm-unet-tiny", (512, 512)),
    "lightm-unet 512": ("lightm-unet", (512, 512)),
    "lungs": ("lungs", (512, 512)),
    "hippocampus": ("hippocampus", (35, 51, 37)),
}
BUILDS = (("simd", 1), ("relaxed", 1), ("simd-threads", 2), ("relaxed-threads", 2))

HTML = """<!doctype html><script type="module">
import { openEngine } from "./open.js";
import { Kernels } from "./kernels.js";
const bytes = async (path) => (await fetch(path)).arrayBuffer();
const files = async (model) => ({
  json: new TextDecoder().decode(await bytes(`${model}/model.json`)),
  weights: await bytes(`${model}/model.safetensors`),
});
function image(shape) {
  const values = new Float32Array(shape.reduce((a, b) => a * b)).map(
    (_, i) => 1000 + 500 * Math.sin(i / 1009) + 300 * Math.cos(i / 71),
  );
  const affine = shape.length === 3 ? Float64Array.of(1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1) : null;
  return { name: "", kind: "nifti", channels: 1, source: null, remarks: [], shape, values, affine };
}
globalThis.seconds = async (folders, model, shape, name, threads, runs) => {
  const engines = [];
  for (let folder = 0; folder < folders; folder++) {
    const source = {
      kernel: (name) => bytes(`kernels${folder}/${name}.wasm`),
      startWorker: () => new Worker("worker.js"),
    };
    engines.push(await openEngine(await files(model), source, { name, threads, words: "" }));
  }
  const shortest = engines.map(() => Infinity);
  for (let run = 0; run <= runs; run++)
    for (const [folder, engine] of engines.entries()) {
      const { seconds } = await engine.segment(image(shape));
      if (run > 0) shortest[folder] = Math.min(shortest[folder], seconds);
    }
  for (const engine of engines) engine.close();
  return shortest;
};
globalThis.megabytes = async (kernels, model, shape, name) => {
  const module = await WebAssembly.compile(await bytes(`${kernels}/${name}.wasm`));
  const instance = await Kernels.start({ module, memory: null }, () => {});
  const { json, weights } = await files(model);
  instance.open(json, weights);
  const { values, affine } = image(shape);
  instance.segment(values, shape, affine, 1);
  return instance.memory.buffer.byteLength / 1e6;
};
globalThis.ready = true;
</script>"""


class Isolated(http.server.SimpleHTTPRequestHandler):
    """Files, with the headers that threads need."""

    def end_headers(self) -> None:
        """Add them."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def bundle_engine(folder: Path) -> None:
    """The page's engine as modules that a page can import, and its worker."""
    for entry, form in (("open", "esm"), ("kernels", "esm"), ("worker", "iife")):
        subprocess.run(
            [
                *("npx", "esbuild", f"src/engine/{entry}.ts", "--bundle", f"--format={form}"),
                *("--log-level=error", f"--outfile={folder / entry}.js"),
            ],
            cwd=PAGE,
            check=True,
        )


def write_site(folder: Path, kernels: list[Path]) -> None:
    """The engine, the models, and a page to call them from."""
    bundle_engine(folder)
    (folder / "index.html").write_text(HTML)
    for number, path in enumerate(kernels):
        shutil.copytree(path, folder / f"kernels{number}")
    torch.manual_seed(0)
    for name, (network, shape) in CASES.items():
        model = folder / name.replace(" ", "-")
        if (SHIPPED / network).is_dir():
            shutil.copytree(SHIPPED / network, model)
            continue
        made = build_network(network, len(shape), 1, 2)
        plan = Preprocessing(len(shape), 1, size=shape)
        save_model(model, made.eval(), plan, ("background", "lung"), ("X-ray",), {}, {})


def main() -> None:
    """Print a line for each case, build and folder of kernels."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", type=Path, nargs="+", default=[KERNELS])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--builds", nargs="+", default=[name for name, _ in BUILDS])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        write_site(Path(scratch), options.kernels)
        handler = functools.partial(Isolated, directory=scratch)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS)
        )
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("globalThis.ready")

        def call(function: str, *words: object) -> Any:
            return page.evaluate(f"{function}(...{json.dumps(words)})")

        print(f"Chromium {browser.version}")
        for name in options.only:
            _, shape = CASES[name]
            model = name.replace(" ", "-")
            for build, threads in BUILDS:
                if build not in options.builds:
                    continue
                folders = len(options.kernels)
                taken = call("seconds", folders, model, shape, build, threads, options.runs)
                words = "  ".join(f"{each:.3f} s" for each in taken)
                print(f"{name:22} {build:16} {threads} thread(s)  {words}", flush=True)
            for build in sorted({"simd", "relaxed"} & set(options.builds)):
                used = call("megabytes", "kernels0", model, shape, build)
                print(f"{name:22} {build:16} {used:.0f} MB of memory")
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
