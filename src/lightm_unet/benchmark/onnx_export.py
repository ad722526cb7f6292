"""The process that exports a network for `onnx_pass`: a contestant on stdin, files in a folder.

python -m lightm_unet.benchmark.onnx_export FOLDER
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from lightm_unet.benchmark.contestants import Contestant
from lightm_unet.benchmark.onnx_pass import FACTS, IMAGE, LOGITS, MODEL
from lightm_unet.benchmark.torch_pass import make_image, make_network
from lightm_unet.system.json_codec import from_json


def main() -> None:
    """Write the network, an image, torch's logits of it, and the number of parameters."""
    contestant = from_json(Contestant, json.load(sys.stdin))
    folder = Path(sys.argv[1])
    torch.set_num_threads(contestant.threads)
    network = make_network(contestant).eval()
    image = make_image(contestant)
    with torch.inference_mode():
        logits = network(torch.from_numpy(image)).numpy()
    np.save(folder / IMAGE, image)
    np.save(folder / LOGITS, logits)
    parameters = sum(p.numel() for p in network.parameters())
    (folder / FACTS).write_text(json.dumps({"parameters": parameters}))
    # Tracing: the shapes are fixed here, and it takes less time and fewer packages than dynamo.
    warnings.simplefilter("ignore")
    torch.onnx.export(
        network,
        (torch.from_numpy(image),),
        folder / MODEL,
        input_names=["image"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the parent passes the last line on
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
