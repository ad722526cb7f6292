"""Make the small golden values in this folder from the whole ones.

    PYTHONPATH=src:tests/support python tests/golden/make.py

The whole ones (several MB, in shared/fixtures beside the repository) are what the authors' own code
computed: mamba_ssm's reference scan in float64, the LightM-UNet that the authors released, their
first upload, and U-Mamba_Bot. Here are

    scan_*.safetensors     the scan's inputs, output and gradients, whole where they are small;
                           of the full one two channels of one image, whose gradients are complete
    networks.json          the networks' logits for weights and images made by a formula, at 24
                           places: computed in float64 by our networks, after these have been found
                           to give the authors' logits for the authors' weights
    released_keys.json     names and shapes of the released network at 32 filters: a few of them,
                           and a digest of all
"""

import json

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from golden_values import FIXTURES, GOLDEN, digest, evenly_spaced, fill, numbers, whole_network
from lightm_unet.networks.peers.released_weights import load_released_weights
from lightm_unet.networks.registry import build_network

NETWORKS = {
    "released_net": "lightm-unet-released",
    "first_upload_net": "lightm-unet-first-upload",
    "umamba_bot": "u-mamba",
}
PLACES = 24
SHOWN = ("convInit", "down_layers.1.0", "down_layers.1.1.conv1", "up_layers.0", "conv_final")


def make_scans() -> None:
    """Float32 copies; inputs are rounded to it before the scan in every test anyway."""
    for name in ("plain", "state1", "full"):
        with safe_open(FIXTURES / f"scan_{name}.safetensors", "pt") as file:
            softplus = file.metadata()["delta_softplus"]
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if name == "full":
            tensors = two_channels(tensors)
        tensors = {key: tensor.float().contiguous() for key, tensor in tensors.items()}
        path = GOLDEN / f"scan_{name}.safetensors"
        save_file(tensors, path, {"delta_softplus": softplus})


def two_channels(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Channels do not mix in a scan, nor do images; the other gradients are sums over them."""
    kept = {key: tensors[key][:1, :2] for key in ("u", "delta", "z", "out")}
    kept |= {f"grad_{key}": tensors[f"grad_{key}"][:1, :2] for key in ("u", "delta", "z", "out")}
    kept |= {key: tensors[key][:2] for key in ("A", "D", "delta_bias")}
    return kept | {key: tensors[key][:1] for key in ("B", "C")}


def make_networks() -> None:
    """Refuses to write what networks compute that do not agree with their authors'."""
    found = {}
    for file, name in NETWORKS.items():
        for dims in (2, 3):
            options, weights, image, expected = whole_network(f"{file}_{dims}d")
            network = build_network(name, **options).eval()
            load_released_weights(network, weights)
            with torch.no_grad():
                error = (network(image) - expected).square().mean().sqrt() / expected.std()
                if error > 1e-5:
                    raise SystemExit(f"{file}_{dims}d: {name} differs by {error:.2g}")
                logits = fill(network.double())(numbers("image", image.shape))
            found[f"{file}_{dims}d"] = {
                "network": name,
                "options": options,
                "image": list(image.shape),
                "logits": list(logits.shape),
                "std": logits.std().item(),
                "values": [float(f"{v:.9g}") for v in evenly_spaced(logits, PLACES).tolist()],
            }
    write("networks.json", found)


def make_keys() -> None:
    """A digest, as `test_authors.py` makes it of the network's own names and shapes."""
    shapes = json.loads((FIXTURES / "released_net_3d_32_keys.json").read_text())
    shown = {key: shape for key, shape in shapes.items() if key.startswith(SHOWN)}
    write("released_keys.json", {"digest": digest(shapes), "shapes": shown})


def write(name: str, content: dict) -> None:
    (GOLDEN / name).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    if not FIXTURES.is_dir():
        raise SystemExit(f"{FIXTURES}: found no folder; expected the whole golden values there")
    make_scans()
    make_networks()
    make_keys()
