"""What a model's labels are called in a DICOM segmentation, and how the model is named there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightm_unet import __version__
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.segment import ANATOMICAL_STRUCTURE, Algorithm, Code, Segment
from lightm_unet.models.model_folder import CARD, ModelFolder

_NAME = "LightM-UNet"
_LONGEST_CODE, _LONGEST_MEANING = 16, 64
"""Characters that DICOM allows."""


def segments_of(model: ModelFolder) -> tuple[Segment, ...]:
    """The model's labels but the background.

    A label of model.json may have `"snomed": {"code": "10200004", "meaning": "Liver"}`, and the
    same under `"category"` if it is no anatomical structure. Without it the label's name is its
    code.

    Raises:
        DataError: such an entry that is no code.
    """
    entries = model.card.get("labels") or [{}] * len(model.label_names)
    return tuple(
        Segment(
            name,
            colour,
            _code(model, entry, "snomed"),
            _code(model, entry, "category") or ANATOMICAL_STRUCTURE,
        )
        for name, colour, entry in zip(
            model.label_names[1:], model.label_colours[1:], entries[1:], strict=True
        )
    )


def algorithm_of(model: ModelFolder, others: Sequence[ModelFolder] = ()) -> Algorithm:
    """This program, with the network and the hash of the weights of each model that voted."""
    parameters = {
        "model": model.weights_hash,
        "network": str(model.card.get("network", {}).get("name", "")),
    }
    for number, other in enumerate(others, start=2):
        parameters[f"model {number}"] = other.weights_hash
    return Algorithm(
        _NAME, __version__, {name: value for name, value in parameters.items() if value}
    )


def _code(model: ModelFolder, entry: dict[str, Any], name: str) -> Code | None:
    found = entry.get(name)
    if found is None:
        return None
    if isinstance(found, dict):
        value, meaning = found.get("code"), found.get("meaning")
        if isinstance(value, str) and isinstance(meaning, str):
            is_code = value.isdigit() and len(value) <= _LONGEST_CODE
            if is_code and 0 < len(meaning) <= _LONGEST_MEANING:
                return Code(value, meaning)
    raise DataError(
        model.path / CARD,
        f"the {name} {found!r:.80} of a label",
        'a code of SNOMED CT and its meaning, such as {"code": "10200004", "meaning": "Liver"}',
        "correct the entry, or remove it",
    )
