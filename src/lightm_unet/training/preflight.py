"""Check a run's settings before any image is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from lightm_unet.errors import SettingError, UsageError
from lightm_unet.networks.registry import build_network, check_spec
from lightm_unet.preprocessing.augmentation import STRENGTHS
from lightm_unet.preprocessing.mirroring import check_mirror_axes
from lightm_unet.preprocessing.preprocessing import NORMALIZATIONS
from lightm_unet.system.choices import check_choice
from lightm_unet.system.device import choose_device
from lightm_unet.training.recipes import settle_recipe
from lightm_unet.training.settings import PRECISIONS, TrainingSettings

_MOST = 2**31 - 1


def check_settings(settings: TrainingSettings) -> None:
    """Reject settings that cannot be used.

    Raises:
        UsageError: a value is outside its range.
        MissingPartError: the device is not available, or there are too few devices.
    """
    for name, least, most in (
        ("epochs", 1, _MOST),
        ("batch_size", 1, _MOST),
        ("samples_per_case", 1, _MOST),
        ("devices", 1, _MOST),
        ("workers", 0, _MOST),
        ("seed", 0, 2**64 - 1),
    ):
        value = getattr(settings, name)
        if value is not None and not _is_whole(value, least):
            raise SettingError(f"{{0}} needs a whole number from {least} up, got {value!r}", name)
        if value is not None and value > most:
            raise SettingError(f"{{0}} needs a whole number up to {most}, got {value!r}", name)
    rate = settings.learning_rate
    if rate is not None and not _is_positive(rate):
        raise SettingError(f"{{0}} needs a number above 0, got {rate!r}", "learning_rate")
    _check_grid(settings)
    if not isinstance(settings.device, str):
        raise SettingError(f"{{0}} needs a name such as cpu, got {settings.device!r}", "device")
    if not isinstance(settings.teacher, (Path, type(None))):
        raise SettingError(f"{{0}} needs a model's folder, got {settings.teacher!r}", "teacher")
    for name, known in (
        ("normalization", ("auto", *NORMALIZATIONS)),
        ("augmentation", STRENGTHS),
        ("precision", PRECISIONS),
    ):
        check_choice(name, getattr(settings, name), known)
    check_mirror_axes(settings.mirror_axes, settings.augmentation)
    check_spec(settings.network)
    settle_recipe(settings.recipe, settings.network)
    try:
        with torch.device("meta"):  # without memory: the network is built only to check its options
            build_network(settings.network, 2, 1, 2)
    except (TypeError, ArithmeticError) as error:
        raise UsageError(f"network options that cannot be used: {error}") from error
    device = choose_device(settings.device, settings.devices)
    if device.type == "cpu" and settings.precision == "16-mixed":
        raise SettingError(
            "{0} 16-mixed needs a GPU; on the CPU use bf16-mixed or 32-true", "precision"
        )


def _check_grid(settings: TrainingSettings) -> None:
    for name in ("size", "patch"):
        value = getattr(settings, name)
        if value is not None and not _are(value, lambda each: _is_whole(each, 1) and each <= _MOST):
            found = f"1 to 3 whole numbers from 1 up, got {value!r}"
            raise SettingError(f"{{0}} needs {found}", name)
    if settings.spacing_mm is not None and not _are(settings.spacing_mm, _is_positive):
        found = f"1 to 3 numbers above 0, got {settings.spacing_mm!r}"
        raise SettingError(f"{{0}} needs {found}", "spacing_mm")
    if settings.size is not None and settings.patch is not None:
        raise SettingError(
            "{0} and {1} exclude each other: a network sees either size (the whole image) or "
            "roi_size (patches)",
            "size",
            "patch",
        )
    if settings.spacing_mm is not None and settings.patch is None:
        raise SettingError(
            "{0} goes with {1}: whole images get a size, whatever their voxels were",
            "spacing_mm",
            "patch",
        )


def _are(values: Any, check: Callable[[Any], bool]) -> bool:
    """Whether these are values for the axes of an image, each of which passes."""
    return isinstance(values, tuple) and 1 <= len(values) <= 3 and all(map(check, values))


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def find_precision(
    settings: TrainingSettings,
) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """The precision of the network's computation, by Lightning's name."""
    if settings.precision != "auto":
        return settings.precision
    on_gpu = choose_device(settings.device).type == "cuda"
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
