"""Check a run's settings before any image is read."""

from __future__ import annotations

import math
from typing import Literal

import torch

from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import build_network, check_spec
from lightm_unet.preprocessing.augmentation import STRENGTHS
from lightm_unet.preprocessing.mirroring import check_mirror_axes
from lightm_unet.system.choices import check_choice
from lightm_unet.system.device import choose_device
from lightm_unet.training.recipes import RECIPES
from lightm_unet.training.settings import PRECISIONS, TrainingSettings


def check_settings(settings: TrainingSettings) -> None:
    """Reject settings that cannot be used.

    Raises:
        UsageError: a value is outside its range.
        MissingPartError: the device is not available, or there are too few devices.
    """
    for name, least in (
        ("epochs", 1),
        ("batch_size", 1),
        ("samples_per_case", 1),
        ("devices", 1),
        ("workers", 0),
        ("seed", 0),
    ):
        value = getattr(settings, name)
        if value is not None and (not isinstance(value, int) or value < least):
            raise UsageError(f"{name} needs a whole number from {least} up, got {value!r}")
    if settings.learning_rate is not None and not 0 < settings.learning_rate < math.inf:
        raise UsageError(f"learning_rate needs a number above 0, got {settings.learning_rate!r}")
    for name, known in (
        ("recipe", RECIPES),
        ("augmentation", STRENGTHS),
        ("precision", PRECISIONS),
    ):
        check_choice(name, getattr(settings, name), known)
    check_mirror_axes(settings.mirror_axes, settings.augmentation)
    check_spec(settings.network)
    try:
        with torch.device("meta"):  # without memory: the network is built only to check its options
            build_network(settings.network, 2, 1, 2)
    except (TypeError, ArithmeticError) as error:
        raise UsageError(f"network options that cannot be used: {error}") from error
    device = choose_device(settings.device, settings.devices)
    if device.type == "cpu" and settings.precision == "16-mixed":
        raise UsageError("precision 16-mixed needs a GPU; on the CPU use bf16-mixed or 32-true")


def find_precision(
    settings: TrainingSettings,
) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """The precision of the network's computation, by Lightning's name."""
    if settings.precision != "auto":
        return settings.precision
    on_gpu = choose_device(settings.device).type == "cuda"
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
