"""Read the two masks of a case and check that they have the same grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.evaluation.pairing import Pair
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import read_mask


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray, Geometry]:
    """Read the two masks of a case and check that they have the same grid.

    Returns:
        Prediction and reference, integers `(*shape)`, and their geometry.

    Raises:
        DataError: a mask cannot be read or has negative values; the grids differ.
    """
    pred, geometry = _read_mask(pair.prediction)
    ref, ref_geometry = _read_mask(pair.reference)
    if difference := ref_geometry.difference(geometry):
        raise DataError(
            pair.prediction,
            difference,
            f"the grid of {pair.reference}",
            "write the mask on the image's own grid, as `lightm-unet predict` does",
        )
    return pred, ref, ref_geometry


def _read_mask(path: Path) -> tuple[np.ndarray, Geometry]:
    mask, geometry = read_mask(path)
    if mask.min() < 0:
        raise DataError(
            path, f"the label value {mask.min()}", "0 or larger", "save the mask without scaling"
        )
    return mask, geometry
