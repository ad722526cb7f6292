"""Where golden values lie, and networks and images made by a formula that every machine repeats.

`tests/golden/` holds small ones, always; `FIXTURES` beside the repository the whole ones they were
made from, and tests of those skip where the folder is absent.
"""

import hashlib
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

GOLDEN = Path(__file__).parents[1] / "golden"
FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures"


def numbers(name: str, shape) -> torch.Tensor:
    """Normal float64 numbers that depend on nothing but these two.

    RandomState, because numpy promises that its numbers stay the same from version to version.
    """
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    return torch.from_numpy(np.asarray(values))


def fill(network: torch.nn.Module) -> torch.nn.Module:
    """Give every parameter numbers made from its name, about as large as torch's first ones.

    With larger weights the released networks magnify rounding a thousandfold: their first layers
    have no bias, so that a norm follows that turns on the sign of a value near 0.
    """
    for name, tensor in network.state_dict().items():
        if tensor.dim() > 1:
            values = 0.5 * numbers(name, tensor.shape) / math.sqrt(tensor[0].numel())
        else:
            centre = 0.0 if name.endswith("bias") else 1.0
            values = centre + 0.3 * numbers(name, tensor.shape)
        tensor.copy_(values)  # the state dict shares the network's memory
    return network


def evenly_spaced(tensor: torch.Tensor, count: int) -> torch.Tensor:
    """So many values from the first to the last, in reading order."""
    places = torch.linspace(0, tensor.numel() - 1, count, dtype=torch.float64).round().long()
    return tensor.flatten()[places]


def digest(shapes: dict[str, list[int]]) -> str:
    """One number for all names and shapes, whatever their order."""
    return hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()


def whole_network(file: str):
    """A published network's options, weights, input and output, as its authors' code gave them."""
    path = FIXTURES / f"{file}.safetensors"
    if not path.exists():
        pytest.skip("the whole golden values are not beside this checkout")
    with safe_open(path, "pt") as opened:
        notes = opened.metadata()
    options = {k: json.loads(v) for k, v in notes.items() if k not in ("dtype", "strides")}
    tensors, prefix = load_file(path), "state_dict."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return options, weights, tensors["input"], tensors["output"]
