"""nnU-Net's files as it writes them, for tests that do without nnU-Net."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import torch

from lightm_unet.deploy.nnunet.network import PlannedNetwork
from lightm_unet.deploy.nnunet.plans import our_configuration
from lightm_unet.networks.spec import NetworkSpec

SMALL = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1:d_state=2"
CONFIGURATION = "3d_fullres_small"


def plans(**changes) -> dict:
    """A plans file's content; `changes` are of its configuration 3d_fullres."""
    resampling = {}
    for what, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
        resampling[f"resampling_fn_{what}"] = "resample_data_or_seg_to_shape"
        resampling[f"resampling_fn_{what}_kwargs"] = {
            "is_seg": what == "seg",
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    full = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [12, 16, 20],
        "median_image_size_in_voxels": [16.0, 20.0, 24.0],
        "spacing": [3.0, 2.0, 1.0],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        **resampling,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {"n_stages": 2, "strides": [[1, 1, 1], [2, 2, 2]]},
            "_kw_requires_import": ["conv_op"],
        },
        "batch_dice": False,
        **changes,
    }
    flat = {
        **copy.deepcopy(full),
        "data_identifier": "nnUNetPlans_2d",
        "patch_size": [16, 20],
        "spacing": [2.0, 1.0],
    }
    return {
        "dataset_name": "Dataset004_Made",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [3.0, 2.0, 1.0],
        "original_median_shape_after_transp": [16, 20, 24],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            "2d": flat,
            "3d_lowres": {"inherits_from": "3d_fullres", "next_stage": "3d_cascade_fullres"},
            "3d_fullres": full,
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {
                "max": 168.0,
                "mean": 93.5,
                "median": 99.0,
                "min": -354.0,
                "percentile_00_5": -107.0,
                "percentile_99_5": 151.0,
                "std": 36.1,
            }
        },
    }


def write_plans(preprocessed: Path, content: dict | None = None) -> Path:
    """The plans file of Dataset004_Made in the folder of prepared images."""
    path = preprocessed / "Dataset004_Made" / "nnUNetPlans.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content or plans(), indent=4))
    return path


def write_trained(
    folder: Path,
    content: dict | None = None,
    dataset: dict | None = None,
    fingerprint: dict | None = None,
    network: str = SMALL,
) -> PlannedNetwork:
    """A folder as nnU-Net leaves it after training; returns the network in it."""
    content = content or plans()
    dataset = dataset or {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": 5,
        "file_ending": ".nii.gz",
    }
    _, entry = our_configuration(content, "3d_fullres", NetworkSpec.parse(network), folder)
    content["configurations"][CONFIGURATION] = entry
    torch.manual_seed(0)
    labels = [each for name, each in dataset["labels"].items() if name != "ignore"]
    planned = PlannedNetwork(
        len(dataset["channel_names"]), len(labels), **entry["architecture"]["arch_kwargs"]
    )
    fold = folder / "fold_0"
    fold.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(content))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    if fingerprint is not None:
        (folder / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    checkpoint = {
        "network_weights": planned.state_dict(),
        "optimizer_state": torch.optim.AdamW(planned.parameters()).state_dict(),
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "val_losses": [np.float32(0.5)]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {
            "plans": content,
            "configuration": CONFIGURATION,
            "fold": 0,
            "dataset_json": dataset,
            "device": torch.device("cpu"),
        },
        "trainer_name": "nnUNetTrainerLightMUNet",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint, fold / "checkpoint_final.pth")
    return planned
