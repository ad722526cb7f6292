"""Write a model as a MONAI bundle, after a comparison."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from lightm_unet.deploy.monai_bundle import configs
from lightm_unet.deploy.monai_bundle.components import MODELS
from lightm_unet.deploy.writer import Exported
from lightm_unet.errors import LightMUNetError, UsageError
from lightm_unet.models.logits import compute_logits
from lightm_unet.models.model_folder import CARD, WEIGHTS, ModelFolder
from lightm_unet.system.files import new_folder, read_bytes

INFERENCE, METADATA = "configs/inference.json", "configs/metadata.json"
LARGEST_DIFFERENCE = 1e-5
"""Of a logit; both sides run the same network with the same weights."""


def write_bundle(model: ModelFolder, output: Path) -> Exported:
    """Write a bundle, all or nothing.

    Args:
        model: of any network.
        output: must not exist, or be an empty folder.

    Raises:
        LightMUNetError: MONAI makes another network of the bundle than the model's.
        UsageError: something is at `output` already; a model that nnU-Net has trained, whose
            windows MONAI does not have.
    """
    if model.preprocessing.as_nnunet:
        raise UsageError(
            f"{model.path}: nnU-Net has trained it, and its sliding windows are not MONAI's; use "
            "`lightm-unet nnunet export`, or --format onnx"
        )
    files = {
        f"{MODELS}/{CARD}": read_bytes(model.path / CARD),
        f"{MODELS}/{WEIGHTS}": read_bytes(model.path / WEIGHTS),
        INFERENCE: _json(configs.inference(model)),
        METADATA: _json(configs.metadata(model)),
    }
    if (model.path / "README.md").is_file():
        files["docs/README.md"] = read_bytes(model.path / "README.md")
    with new_folder(output) as folder:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        difference = _largest_difference(model, folder)
        if difference > LARGEST_DIFFERENCE:
            raise LightMUNetError(
                f"{output}: the bundle's logits differ from the model's by {difference:.1e}, more "
                f"than {LARGEST_DIFFERENCE:.0e}; it was not written"
            )
    checked = f"MONAI's own reader makes a network of it whose logits differ by {difference:.0e}"
    return Exported(output, sum(map(len, files.values())), checked)


def _largest_difference(model: ModelFolder, folder: Path) -> float:
    """Between the logits of the bundle, read by MONAI, and those of the model, for noise."""
    from monai.bundle.config_parser import ConfigParser

    parser = ConfigParser(ConfigParser.load_config_file(folder / INFERENCE))
    parser["bundle_root"] = str(folder)
    network, inferer = (parser.get_parsed_content(name) for name in ("network_def", "inferer"))
    preprocessing = model.preprocessing
    size = preprocessing.size or tuple(side + 1 for side in preprocessing.roi_size or ())
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, preprocessing.channels, *size, generator=generator)
    with torch.inference_mode():
        expected = compute_logits(model.network.cpu().eval(), image, preprocessing)
        return float((inferer(image, network.eval()) - expected).abs().max())


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
