"""The usual look of a finished run's training images, stored with its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lightm_unet.datasets.dataset import Dataset, open_case_images
from lightm_unet.datasets.splits import Split
from lightm_unet.models.likeness import (
    FEWEST_CASES,
    Measured,
    TrainingProfile,
    fit_profile,
    measure,
)
from lightm_unet.models.model_folder import ModelFolder, add_profile, load_model
from lightm_unet.models.predict_image import image_logits
from lightm_unet.system.progress import Progress, track

MOST_CASES = 200
"""Of more cases, this many are measured, evenly spaced in the list: enough for a covariance."""


def store_profile(
    folder: Path, data: Dataset, split: Split, device: torch.device, progress: Progress | None
) -> TrainingProfile | None:
    """Measure a model's training and validation images, and write the profile into its model.json.

    Args:
        folder: the model's folder.
        data: the data set that it was trained on.
        split: the cases that it was trained on.
        device: device that runs the network.
        progress: called with an event for each case.

    Returns:
        The profile; None where there are fewer training cases than it needs.
    """
    if len(split.training) < FEWEST_CASES:
        return None
    model = load_model(folder)
    training, extents = _measure(model, data, _some(split.training), device, progress)
    validation, _ = _measure(model, data, _some(split.validation), device, progress)
    profile = fit_profile(training, validation, extents)
    if profile is not None:
        add_profile(folder, profile)
    return profile


def _some(names: Sequence[str]) -> Sequence[str]:
    count = min(len(names), MOST_CASES)
    return [names[index * len(names) // count] for index in range(count)]


def _measure(
    model: ModelFolder,
    data: Dataset,
    names: Sequence[str],
    device: torch.device,
    progress: Progress | None,
) -> tuple[list[Measured], list[tuple[float, ...]]]:
    """Features, and for volumes the extents in mm."""
    measured, extents = [], []
    for name in track(names, "measure images", progress, str):
        logits = image_logits(model, open_case_images(data, data.case(name)), device=device)
        probabilities = logits.logits.float().softmax(dim=0)
        measured.append(measure(logits.image, probabilities, model.label_names))
        if model.preprocessing.spatial_dims == 3:
            extents.append(logits.record.extent_mm)
    return measured, extents
