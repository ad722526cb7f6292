"""The process that exports a network for `onnx_pass`.

    python -m lightm_unet.benchmark.onnx_export FOLDER

The case, given as JSON on stdin, is exported into the folder. The answer on stdout is
{"parameters": 2533469}, or with {"error": "..."}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.onnx_pass import IMAGE, LOGITS, MODEL
from lightm_unet.benchmark.torch_pass import make_image, make_network
from lightm_unet.deploy.onnx.trace import trace
from lightm_unet.system.json_codec import from_json
from lightm_unet.system.subprocesses import join_parent


def export(case: BenchCase, folder: Path) -> int:
    """Write the network, an image, and torch's logits of it; returns the number of parameters."""
    torch.set_num_threads(case.threads)
    network = make_network(case).eval()
    image = make_image(case)
    with torch.inference_mode():
        logits = network(torch.from_numpy(image)).numpy()
    np.save(folder / IMAGE, image)
    np.save(folder / LOGITS, logits)
    form = "basic" if case.engine == "onnxruntime-basic" else "scan"
    model = trace(network, torch.from_numpy(image), form)  # for this size alone
    (folder / MODEL).write_bytes(model.SerializeToString())
    return sum(p.numel() for p in network.parameters())


def main() -> None:
    """Answer the request."""
    requests, answers = join_parent()
    try:
        case = from_json(BenchCase, json.loads(next(requests)))
        answer: dict[str, int | str] = {"parameters": export(case, Path(sys.argv[1]))}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
