"""Which prediction belongs to which reference, and to which image."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lightm_unet.datasets.dataset import Case, list_dataset
from lightm_unet.datasets.importers.names import match_case_names
from lightm_unet.errors import DataError, UsageError
from lightm_unet.evaluation.scores import FailedCase
from lightm_unet.imaging.image import image_files, split_ending
from lightm_unet.inference.record import recorded_labels
from lightm_unet.reporting.palette import Colour

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """The files of one case."""

    name: str
    prediction: Path
    reference: Path
    image: Path | None
    """Image behind the masks in the pictures; None gives a black background."""


@dataclass(frozen=True)
class Pairing:
    """All pairs, the masks without a partner, and the names of the classes if files give them."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[FailedCase, ...]
    label_names: tuple[str, ...] | None
    """Index = label value, [0] is the background; None if no file names them."""
    names_are_complete: bool
    """Whether a label value without a name is an error: true for a data set's own names."""
    label_colours: tuple[Colour, ...] = ()
    """Colours of the model that made the predictions, index = label value; empty if unknown."""


def pair_masks(predictions: Path, references: Path, images: Path | None = None) -> Pairing:
    """Match masks by file name without ending, and without words such as `_mask` or `_seg`.

    Equal names come first; `match_case_names` says which others are taken for one case. A line is
    logged where the names are not equal.

    Args:
        predictions: a mask, or a folder of masks.
        references: a mask, a folder of masks, or a data set in nnU-Net's layout. Two single files
            are a pair whatever their names. In a folder every reference needs a prediction; of a
            data set only the predicted cases are taken.
        images: a file or folder of images, named like the masks or with nnU-Net's `_0000`; a data
            set knows its own.

    Raises:
        DataError: a path is missing or holds no masks; no prediction has a reference.
        UsageError: two masks in one folder share a name.
    """
    predicted = _by_name(image_files(predictions, "masks"))
    made_by = recorded_labels(predictions if predictions.is_dir() else predictions.parent)
    if (references / "dataset.json").is_file():
        pairing = _pair_with_dataset(predicted, references)
    else:
        pairing = _pair_with_files(predicted, predictions, references, made_by.names)
    if not pairing.pairs:
        raise DataError(
            predictions,
            f"no mask named like one of {references} (first: {min(predicted)})",
            "masks with the file names of their references, with or without words such as _mask",
            "rename the masks, or choose another folder",
        )
    pairing = replace(pairing, label_colours=made_by.colours)
    _tell_of_other_names(pairing.pairs)
    if images is None:
        return pairing
    by_name = {_image_name(file): file for file in image_files(images)}
    if images.is_file() and len(pairing.pairs) == 1:
        by_name = {pairing.pairs[0].name: images}
    pairs = tuple(
        Pair(pair.name, pair.prediction, pair.reference, by_name.get(pair.name, pair.image))
        for pair in pairing.pairs
    )
    return replace(pairing, pairs=pairs)


def _pair_with_dataset(predicted: Mapping[str, Path], root: Path) -> Pairing:
    # Cases that the data set itself lacks files of matter only if they were predicted.
    dataset, _ = list_dataset(root)
    cases: dict[str, Case] = {case.name: case for case in (*dataset.training, *dataset.test)}
    partners = match_case_names(predicted, cases)
    pairs, unpaired = [], []
    for name, prediction in predicted.items():
        case = cases.get(partners.get(name, ""))
        if case is None or case.labels is None:
            unpaired.append(FailedCase(name, f"{prediction}: {root} has no labels for this case"))
        else:
            pairs.append(Pair(name, prediction, case.labels, case.images[0]))
    return Pairing(tuple(pairs), tuple(unpaired), dataset.label_names, names_are_complete=True)


def _pair_with_files(
    predicted: Mapping[str, Path], predictions: Path, references: Path, names: tuple[str, ...]
) -> Pairing:
    referenced = _by_name(image_files(references, "masks"))
    if predictions.is_file() and references.is_file():
        referenced = dict(zip(predicted, referenced.values(), strict=True))
    partners = match_case_names(predicted, referenced)
    if predictions.is_file():
        referenced = {name: referenced[name] for name in partners.values()}
    pairs = tuple(
        Pair(name, predicted[name], referenced[partners[name]], image=None)
        for name in predicted
        if name in partners
    )
    unpaired = [
        FailedCase(name, f"{file}: no reference named {name} in {references}")
        for name, file in predicted.items()
        if name not in partners
    ]
    unpaired += [
        FailedCase(name, f"{file}: no prediction named {name} in {predictions}")
        for name, file in referenced.items()
        if name not in partners.values()
    ]
    return Pairing(pairs, tuple(unpaired), names or None, names_are_complete=False)


def _tell_of_other_names(pairs: Iterable[Pair]) -> None:
    others = [pair for pair in pairs if split_ending(pair.reference)[0] != pair.name]
    if others:
        first = others[0]
        _log.info(
            "%d of the masks are paired with a reference of a longer or shorter name, such as %s "
            "with %s",
            len(others),
            first.prediction.name,
            first.reference.name,
        )


def _by_name(files: Iterable[Path]) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for file in files:
        name = split_ending(file)[0]
        if name in by_name:
            raise UsageError(f"{file} and {by_name[name].name} share a name; keep one of them")
        by_name[name] = file
    return by_name


def _image_name(file: Path) -> str:
    return split_ending(file)[0].removesuffix("_0000")
