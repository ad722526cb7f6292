"""A predicted and a reference mask drawn on a grey slice, so that what lies below stays visible.

The colour tells the label, the form tells what is right and what is wrong:

    line              border of the reference
    tint              predicted
    tint, no hatching predicted and right
    hatching  ///     missed: the label is in the reference only
    tint and \\\\\\      added: the label is in the prediction only

Nothing is opaque but the thin lines, and no two meanings differ by hue alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import binary_erosion

from lightm_unet.reporting.palette import Colour

TINT = 0.28
"""Opacity of the fill."""
HATCHING = 0.9
"""Opacity of the hatching's lines."""
LINE_PX = 2
"""Width of outlines, and of the hatching's lines along a row."""
PERIOD_PX = 14
"""Distance of the hatching's lines along a row; closer ones look like a tint on a phone."""


def overlay(
    grey: np.ndarray, pred: np.ndarray, ref: np.ndarray, colours: Mapping[int, Colour]
) -> np.ndarray:
    """Draw two masks on a grey picture.

    Args:
        grey: uint8, `(rows, columns)`.
        pred: predicted labels, same shape.
        ref: reference labels, same shape.
        colours: by label value; other labels are not drawn.

    Returns:
        uint8, `(rows, columns, 3)`.
    """
    canvas = np.repeat(grey[..., None], 3, axis=2)
    rows, columns = np.indices(grey.shape)
    rising, falling = ((step % PERIOD_PX) < LINE_PX for step in (rows + columns, rows - columns))
    wrong = pred != ref
    found = {int(label) for mask in (pred, ref) for label in np.unique(mask)}
    present = [(label, colour) for label, colour in colours.items() if label in found]
    for label, colour in present:
        predicted, true = pred == label, ref == label
        _blend(canvas, predicted, colour, TINT)
        _blend(canvas, predicted & wrong & falling, colour, HATCHING)
        _blend(canvas, true & wrong & rising, colour, HATCHING)
    for label, colour in present:
        true = ref == label
        canvas[true & ~binary_erosion(true, iterations=LINE_PX)] = colour
    return canvas


def _blend(canvas: np.ndarray, where: np.ndarray, colour: Colour, opacity: float) -> None:
    mixed = (1 - opacity) * canvas[where] + opacity * np.asarray(colour)
    canvas[where] = mixed.round().astype(np.uint8)
