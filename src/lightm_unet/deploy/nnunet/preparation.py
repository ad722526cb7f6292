"""nnU-Net's preparation of images in our terms and back; refused where there are none.

The rest of nnU-Net's way is in `preprocessing.nnunet_resizing` and `models.nnunet_windows`. Its
average over mirrored images is left out, as by --disable_tta.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightm_unet.errors import DataError, UsageError
from lightm_unet.preprocessing.preprocessing import NNUNET_CT, NNUNET_ZSCORE, Preprocessing

_log = logging.getLogger(__name__)

OF_FILE, TURNED, PICTURES = (
    ("SimpleITKIO", "NibabelIO"),
    "NibabelIOWithReorient",
    "NaturalImage2DIO",
)
"""nnU-Net's readers: volumes as their files store them, volumes turned to RAS+, and pictures."""
SCHEMES = {"ZScoreNormalization": NNUNET_ZSCORE, "CTNormalization": NNUNET_CT}
STATISTICS = "foreground_intensity_properties_per_channel"


def to_preprocessing(
    plans: Mapping[str, Any],
    configuration: Mapping[str, Any],
    channels: int,
    fingerprint: Mapping[str, Any] | None,
    path: Path,
) -> Preprocessing:
    """The preparation that a plans file describes.

    Args:
        plans: the file's content.
        configuration: with everything that it inherits.
        channels: of the images.
        fingerprint: nnU-Net's of the data set, if it is there.
        path: of the plans, for messages.

    Raises:
        UsageError: something in it has no form here; it is named.
        DataError: an entry is missing or of another kind.
    """

    def refuse(what: str, instead: str) -> UsageError:
        return UsageError(f"{path}: {what} has no form here; {instead}")

    try:
        reader = plans["image_reader_writer"]
        dims = len(configuration["patch_size"])
        axes = configuration["architecture"]["arch_kwargs"]["axes"]
        schemes = list(configuration["normalization_schemes"])
        if configuration.get("previous_stage"):
            raise refuse("a stage of a cascade", "take 3d_fullres")
        if configuration["preprocessor_name"] != "DefaultPreprocessor":
            name = configuration["preprocessor_name"]
            raise refuse(f"the preprocessor {name}", "use DefaultPreprocessor")
        expected = (*OF_FILE, TURNED) if dims == 3 else (PICTURES,)
        if reader not in expected:
            what = "volumes" if dims == 3 else "pictures; slices of volumes are not one by one here"
            raise refuse(
                f"the reader {reader} of a {dims}D model",
                f"there is one for {', '.join(expected)}: {what}",
            )
        if len(set(schemes)) != 1 or schemes[0] not in SCHEMES or len(schemes) != channels:
            raise refuse(
                f"the normalization {', '.join(schemes)}",
                f"there is one for {' or '.join(SCHEMES)}, the same of all channels",
            )
        kind = SCHEMES[schemes[0]]
        if kind == NNUNET_ZSCORE:
            _refuse_masks(configuration, fingerprint, refuse)
        elif _crops(fingerprint):
            _log.warning(
                "%s: nnU-Net crops these images to what is not 0 and leaves the rest background; "
                "here the whole image is segmented",
                path,
            )
        patch, spacing = configuration["patch_size"], configuration["spacing"]
        if dims == 2 and set(spacing) != {1}:
            raise refuse(f"pixels of {spacing}", "pictures have pixels of 1 here")
        for entry, usual in _resampling().items():
            if "_seg" not in entry and configuration[entry] != usual:
                raise refuse(f"{entry} {configuration[entry]}", f"there is one for {usual}")
        return Preprocessing(
            spatial_dims=dims,
            channels=channels,
            roi_size=tuple(int(patch[axis]) for axis in axes),
            spacing_mm=tuple(float(spacing[axis]) for axis in axes) if dims == 3 else None,
            normalization=kind,
            flat_axes="anatomical" if reader == TURNED else "file",
            **(_ct_statistics(plans, channels, refuse) if kind == NNUNET_CT else {}),
        )
    except UsageError:
        raise
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise DataError(
            path,
            f"a description that cannot be used ({type(error).__name__}: {error})",
            "the plans of nnU-Net 2.8 or later",
            "copy the model's folder again",
        ) from error


def _resampling() -> dict[str, Any]:
    """The entries of a configuration for nnU-Net's usual resampling."""
    entries: dict[str, Any] = {}
    for what, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
        entries[f"resampling_fn_{what}"] = "resample_data_or_seg_to_shape"
        entries[f"resampling_fn_{what}_kwargs"] = {
            "is_seg": what == "seg",
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    return entries


def _crops(fingerprint: Mapping[str, Any] | None) -> bool:
    """Whether the images have a border of 0, which nnU-Net cuts off."""
    return fingerprint is not None and fingerprint["median_relative_size_after_cropping"] < 1


def _refuse_masks(
    configuration: Mapping[str, Any], fingerprint: Mapping[str, Any] | None, refuse: Any
) -> None:
    """Refuse intensities that are normalised by a part of the image only."""
    if any(configuration["use_mask_for_norm"]):
        raise refuse("use_mask_for_norm", "images are normalised as a whole here")
    if _crops(fingerprint):
        raise refuse(
            "cropping to what is not 0, before ZScoreNormalization",
            "crop the images themselves, and train again",
        )
    if fingerprint is None:
        _log.warning(
            "no dataset_fingerprint.json beside the plans: if the images have a border of 0, "
            "nnU-Net crops it before it normalises, and here the result differs"
        )


def _ct_statistics(plans: Mapping[str, Any], channels: int, refuse: Any) -> dict[str, Any]:
    entries = [plans[STATISTICS][str(channel)] for channel in range(channels)]
    names = ("percentile_00_5", "percentile_99_5", "mean", "std")
    low, high, mean, std = (float(entries[0][name]) for name in names)
    if any(float(other[name]) != float(entries[0][name]) for other in entries for name in names):
        raise refuse("CTNormalization with statistics that differ by channel", "use one channel")
    return {"intensity_range": (low, high), "intensity_mean": mean, "intensity_std": std}


def from_preprocessing(
    preprocessing: Preprocessing, axes: Sequence[int], path: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of a plans file, and of a configuration, that prepare images so.

    Args:
        preprocessing: of the model.
        axes: for each axis of the file, that of nnU-Net's arrays.
        path: of the model, for messages.

    Raises:
        UsageError: nnU-Net has no form for it; what is named.
    """
    kinds = {kind: scheme for scheme, kind in SCHEMES.items()}
    if preprocessing.normalization not in kinds:
        raise UsageError(
            f"{path}: nnU-Net has no form for {preprocessing.normalization} normalization as this "
            "package does it; models that nnU-Net has trained can be exported"
        )
    dims, channels = preprocessing.spatial_dims, preprocessing.channels
    roi, spacing = preprocessing.roi_size, preprocessing.spacing_mm or (1.0,) * dims
    if roi is None or (dims == 3 and preprocessing.spacing_mm is None):
        raise UsageError(
            f"{path}: nnU-Net has no form for images without a patch and a voxel size; models "
            "that nnU-Net has trained can be exported"
        )
    turned = preprocessing.flat_axes == "anatomical"
    reader = PICTURES if dims == 2 else TURNED if turned else OF_FILE[0]
    statistics = {
        "mean": preprocessing.intensity_mean,
        "std": preprocessing.intensity_std,
        "percentile_00_5": (preprocessing.intensity_range or (None,))[0],
        "percentile_99_5": (preprocessing.intensity_range or (None,))[-1],
    }
    plans = {
        "image_reader_writer": reader,
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        STATISTICS: {str(channel): statistics for channel in range(channels)},
    }
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [roi[list(axes).index(axis)] for axis in range(dims)],
        "spacing": [spacing[list(axes).index(axis)] for axis in range(dims)],
        "normalization_schemes": [kinds[preprocessing.normalization]] * channels,
        "use_mask_for_norm": [False] * channels,
        "batch_dice": False,
        **_resampling(),
    }
    return plans, configuration
