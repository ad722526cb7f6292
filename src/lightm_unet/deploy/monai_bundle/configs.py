"""A bundle's two JSON files.

MONAI evaluates a text that begins with `$` as Python. These files have none, so that reading a
bundle executes nothing but the functions that it names; a test looks for them.
"""

from __future__ import annotations

from typing import Any

import monai
import numpy as np
import torch

from lightm_unet import __version__
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.preprocessing.normalization import padding_value
from lightm_unet.preprocessing.preprocessing import Preprocessing

_HERE = "lightm_unet.deploy.monai_bundle.components"


def inference(model: ModelFolder) -> dict[str, Any]:
    """inference.json: images of `dataset_dir` in, masks in `output_dir` out.

    `network_def`, `preprocessing`, `inferer` and `postprocessing` have the names by which tools
    look for a bundle's parts.
    """
    root = {"bundle_root": "@bundle_root"}
    folders = {"dataset_dir": "@dataset_dir", "output_dir": "@output_dir"}
    cases = {"cases": "@cases"}

    def part(name: str, **arguments: Any) -> dict[str, Any]:
        return {"_target_": f"{_HERE}.{name}", **arguments}

    def compose(*transforms: dict[str, Any]) -> dict[str, Any]:
        return {"_target_": "monai.transforms.Compose", "transforms": list(transforms)}

    return {
        "bundle_root": ".",
        "dataset_dir": "images",
        "output_dir": "masks",
        "device": {"_target_": "torch.device", "device": "cpu"},
        "network_def": part("load_network", **root),
        "cases": part("Cases", **root, **folders),
        "preprocessing": compose(part("ReadAndPrepare", **cases)),
        "dataset": {
            "_target_": "monai.data.Dataset",
            "data": "@cases",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "monai.data.DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": _inferer(model.preprocessing),
        "postprocessing": compose(part("RestoreLabels", **cases), part("WriteMask", **cases)),
        "evaluator": {
            "_target_": "monai.engines.SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": [part("run", evaluator="@evaluator")],
    }


def _inferer(preprocessing: Preprocessing) -> dict[str, Any]:
    """As `models.logits.compute_logits` runs the network."""
    if preprocessing.roi_size is None:
        return {"_target_": "monai.inferers.SimpleInferer"}
    return {
        "_target_": "monai.inferers.SlidingWindowInferer",
        "roi_size": list(preprocessing.roi_size),
        "sw_batch_size": 1,
        "overlap": 0.5,
        "mode": "gaussian",
        "padding_mode": "constant",
        "cval": padding_value(preprocessing),
    }


def metadata(model: ModelFolder) -> dict[str, Any]:
    """metadata.json: versions, purpose, and what goes into the network and comes out."""
    about = model.card.get("about", {})
    purpose = str(about.get("purpose", ", ".join(model.label_names[1:])))
    preprocessing = model.preprocessing
    shape = list(preprocessing.size or preprocessing.roi_size or ())
    names = dict(enumerate(map(str, model.card["channels"])))
    labels = dict(enumerate(model.label_names))
    return {
        "version": __version__,
        "changelog": {__version__: "exported by lightm-unet"},
        "monai_version": monai.__version__,
        "pytorch_version": str(torch.__version__).partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"lightm-unet": __version__},
        "name": purpose,
        "task": purpose,
        "description": f"{purpose}: {model.network.name}, see docs/README.md where it is there",
        "authors": "the makers of the model; see its card",
        "copyright": "see the model's card",
        "intended_use": "Research. Not a medical device.",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "num_channels": preprocessing.channels,
                    "spatial_shape": shape,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": preprocessing.roi_size is not None,
                    "channel_def": names,
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "logits",
                    "num_channels": len(labels),
                    "spatial_shape": shape,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": preprocessing.roi_size is not None,
                    "channel_def": labels,
                }
            },
        },
    }
