"""Read the two masks of a case and check that they have the same grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.evaluation.pairing import Pair
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import WHITES, has_spacing, read_labels, read_mask

_MANY = 64
"""More different values than masks of pictures have as a rule, and fewer than photographs."""


def read_pair(pair: Pair, classes: int | None = None) -> tuple[np.ndarray, np.ndarray, Geometry]:
    """Read the two masks of a case and check that they have the same grid.

    `imaging.image.read_mask` says what white means, 255 or 65535. Where nobody names the labels,
    the two masks tell: white that is not the one label of a picture is refused, and a second label
    in one of them makes it no label in both.

    Args:
        pair: the case's files.
        classes: number of labels, background included; None if nobody names them.

    Returns:
        Prediction and reference, integers `(*shape)`, and their geometry.

    Raises:
        DataError: a mask cannot be read, has negative values or a white that is no label; the
            grids differ.
    """
    pred, geometry = _read_mask(pair.prediction, classes)
    ref, ref_geometry = _read_mask(pair.reference, classes)
    if classes is None and (most := max(map(_labels_beside_white, (pred, ref)))):
        try:
            return read_pair(pair, most + 1)
        except DataError:
            refuse_image(pair.prediction)
            refuse_image(pair.reference)
            raise
    if difference := ref_geometry.difference(geometry):
        raise DataError(
            pair.prediction,
            difference,
            f"the grid of {pair.reference}",
            "write the mask on the image's own grid, as `lightm-unet predict` does",
        )
    return pred, ref, ref_geometry


def refuse_image(path: Path) -> None:
    """Give a picture that is refused as a mask the likelier reason, if it looks like an image.

    Raises:
        DataError: it has very many grey levels.
    """
    try:
        count = 0 if has_spacing(path) else len(np.unique(read_labels(path)[0]))
    except DataError:  # the first reason is the better one
        return
    if count > _MANY:
        raise DataError(
            path,
            f"{count} different values, as in an image",
            "a mask, with one value for each label",
            f"is {path.parent} the folder of images? name the one of masks",
        )


def _labels_beside_white(mask: np.ndarray) -> int:
    """The number of labels, if it says what white is: 0 if the mask has none but label 1."""
    whites = np.isin(mask, WHITES)
    most = int(mask.max(initial=0, where=~whites))
    return max(most, 1) if most > 1 or whites.any() else 0


def _read_mask(path: Path, classes: int | None) -> tuple[np.ndarray, Geometry]:
    try:
        mask, geometry = read_mask(path, classes)
    except DataError:
        refuse_image(path)
        raise
    if mask.min() < 0:
        raise DataError(
            path, f"the label value {mask.min()}", "0 or larger", "save the mask without scaling"
        )
    return mask, geometry
