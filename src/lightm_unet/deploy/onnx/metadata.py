"""What a caller must know of a model, as texts inside its ONNX file.

lightm_unet      version of this package that wrote the file
network          name and options, JSON
weights          SHA-256 of model.safetensors
channels         names of the image's channels in their order, JSON
labels           values, names and colours, JSON; a label's value is its channel in `logits`
preprocessing    as in model.json, JSON
input_size       "height x width" of `image` that the model was trained on
sizes            "any", or "fixed": no other size than input_size
caller           what to do before and after, in words
"""

from __future__ import annotations

import json

from lightm_unet import __version__
from lightm_unet.models.model_folder import WEIGHTS, ModelFolder
from lightm_unet.preprocessing.normalization import padding_value
from lightm_unet.preprocessing.preprocessing import (
    NNUNET_CT,
    NNUNET_ZSCORE,
    PERCENTILES,
    Preprocessing,
)
from lightm_unet.system.files import file_digest
from lightm_unet.system.json_codec import to_json

ORDER = {
    2: "The axes of image are rows and columns of the picture.",
    3: "The axes of image are those of the volume turned to right, front and up (RAS+).",
}
OF_FILE = "The axes of image are those of the file, as nibabel reads it: (i, j, k)."


def describe(model: ModelFolder, size: tuple[int, ...], any_size: bool) -> dict[str, str]:
    """The entries of the file's metadata_props.

    Args:
        model: what the file is made from.
        size: of the graph's input.
        any_size: whether the graph takes others too.
    """
    preprocessing = model.preprocessing
    labels = [
        {"value": value, "name": name, "colour": list(colour)}
        for value, (name, colour) in enumerate(
            zip(model.label_names, model.label_colours, strict=True)
        )
    ]
    return {
        "lightm_unet": __version__,
        "network": _json(model.card["network"]),
        "weights": file_digest(model.path / WEIGHTS),
        "channels": _json(model.card.get("channels", [])),
        "labels": _json(labels),
        "preprocessing": _json(to_json(preprocessing)),
        "input_size": "x".join(map(str, size)),
        "sizes": "any" if any_size else "fixed",
        "caller": " ".join(_steps(preprocessing, size)),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _steps(preprocessing: Preprocessing, size: tuple[int, ...]) -> list[str]:
    by = "x".join(map(str, size))
    of_file = preprocessing.spatial_dims == 3 and preprocessing.flat_axes == "file"
    order = OF_FILE if of_file else ORDER[preprocessing.spatial_dims]
    steps = [order, _normalisation(preprocessing)]
    if preprocessing.size is not None:
        steps += [
            f"Resize to {by} by linear interpolation that keeps the field of view, over all voxels "
            "where the image shrinks (antialiased).",
            "Resize logits back to the image's size in the same way; the label is the largest.",
        ]
        return steps
    if preprocessing.spacing_mm is not None:
        spacing = " x ".join(f"{each:g}" for each in preprocessing.spacing_mm)
        by_splines = "cubic splines" if preprocessing.as_nnunet else "linear interpolation"
        steps.append(f"Resample to a voxel size of {spacing} mm by {by_splines}.")
    value = padding_value(preprocessing)
    steps += [
        f"Run windows of {by} that overlap by half; pad a smaller image evenly on both sides with "
        f"{value:g}. Average the windows' logits with Gaussian weights whose standard deviation is "
        "an eighth of the window.",
        "Bring the logits back to the image's grid; the label is the largest.",
    ]
    return steps


def _normalisation(preprocessing: Preprocessing) -> str:
    low, high = PERCENTILES
    if preprocessing.normalization == NNUNET_ZSCORE:
        return "Subtract each channel's mean and divide by its standard deviation."
    if preprocessing.normalization in ("ct", NNUNET_CT):
        assert preprocessing.intensity_range is not None  # as `Preprocessing` checks
        first, last = preprocessing.intensity_range
        limits = f"low {first:g} and high {last:g}"
        scale = (
            f"Subtract {preprocessing.intensity_mean:g} and divide by "
            f"{preprocessing.intensity_std:g}."
        )
    else:
        limits = f"low and high, each channel's percentiles {low:g} and {high:g}"
        scale = (
            "Subtract the mean and divide by the standard deviation, both of the channel clipped "
            "to low and high."
        )
    if preprocessing.outliers == "clip" or preprocessing.normalization == NNUNET_CT:
        return f"Clip intensities to {limits}. {scale}"
    return (
        f"With {limits}, and w = high - low, intensities above become "
        f"high + w log(1 + (x - high) / w), those below low - w log(1 + (low - x) / w). {scale}"
    )
