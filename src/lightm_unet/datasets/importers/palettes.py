"""Whether the palettes of all masks give the same colours to the same numbers.

Without a legend the indices of a palette are the labels. Some drawing programs number the colours
of each picture anew, in the order in which they occur; index 1 is then another structure in every
file. The colours tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from lightm_unet.errors import DataError
from lightm_unet.imaging.picture import read_label_palette

_BLACK = "#000000"
_ADVICE = "say in a file for --legend which colour is which label"


@dataclass
class Palettes:
    """The colours of the numbers that the masks so far use."""

    colours: dict[int, tuple[str, Path]] = field(default_factory=dict)
    """Of each number: its colour, and the first mask that uses it."""
    numbers: dict[str, tuple[set[int], Path]] = field(default_factory=dict)
    """Of each colour: all its numbers in the palette of the first mask that uses it."""

    def compare(self, mask: Path) -> None:
        """Take in the palette of one more mask; one without a palette is passed over.

        Raises:
            DataError: a number has another colour, or a colour another number, than in an earlier
                mask; or black, the usual background, has a number but 0 is another colour's.
        """
        found = read_label_palette(mask)
        if found is None:
            return
        palette, used = found
        shown = [f"#{entry.tobytes().hex()}" for entry in palette.astype(np.uint8)]
        if shown[0] != _BLACK and (black := [index for index in used if shown[index] == _BLACK]):
            raise DataError(
                mask,
                f"a palette in which {shown[0]} is 0 and black is {black[0]}",
                "black, the background, at 0",
                _ADVICE,
            )
        for index in used:
            colour = shown[index]
            known, first = self.colours.setdefault(index, (colour, mask))
            if known != colour:
                _refuse(mask, f"{colour} as number {index}", f"{known} as in {first}")
            same = {number for number, each in enumerate(shown) if each == colour}
            numbers, first = self.numbers.setdefault(colour, (same, mask))
            if index not in numbers:
                _refuse(mask, f"{colour} as number {index}", f"number {min(numbers)} as in {first}")


def _refuse(mask: Path, found: str, expected: str) -> NoReturn:
    raise DataError(mask, f"a palette with {found}", expected, _ADVICE)
