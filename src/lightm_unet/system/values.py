"""Arguments from Python as the kind of value that is meant, or one line that names them.

The command line converts its texts itself; a caller in Python may pass anything. Each function
takes the argument's name and what was given.
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Iterable, Mapping, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from lightm_unet.errors import SettingError

LARGEST = 2**31 - 1
"""The largest whole number where nothing else limits it."""
LARGEST_SEED = 2**64 - 1


def whole_number(name: str, value: Any, least: int | None = 0, most: int = LARGEST) -> int:
    """A whole number within limits; NumPy's are accepted, booleans are none.

    Args:
        name: of the argument.
        value: what was given.
        least: the smallest; None for no limit.
        most: the largest.

    Raises:
        SettingError: anything else.

    Example:
        >>> whole_number("seed", 3)
        3
        >>> whole_number("seed", True)
        Traceback (most recent call last):
        lightm_unet.errors.SettingError: seed needs a whole number from 0 up, got True
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or (least is not None and value < least):
        limit = "" if least is None else f" from {least} up"
        raise SettingError(f"{{0}} needs a whole number{limit}, got {show(value)}", name)
    if value > most:
        raise SettingError(f"{{0}} needs a whole number up to {most}, got {show(value)}", name)
    return int(value)


def number(name: str, value: Any, least: float = 0.0) -> float:
    """A finite number from `least` up; NumPy's are accepted, booleans are none.

    Raises:
        SettingError: anything else.

    Example:
        >>> number("tolerance_mm", 2)
        2.0
        >>> number("tolerance_mm", "2")
        Traceback (most recent call last):
        lightm_unet.errors.SettingError: tolerance_mm needs a number from 0 up, got '2'
    """
    converted = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            converted = float(value)
        except OverflowError:  # a whole number with hundreds of digits
            converted = math.inf
    if not least <= converted < math.inf:
        raise SettingError(f"{{0}} needs a number from {least:g} up, got {show(value)}", name)
    return converted


def yes_or_no(name: str, value: Any) -> bool:
    """True or False; no text and no number stands for them.

    Raises:
        SettingError: anything else.
    """
    if not isinstance(value, bool):
        raise SettingError(f"{{0}} needs True or False, got {show(value)}", name)
    return value


def listed(name: str, values: Any, example: str) -> tuple[Any, ...]:
    """What a list, a tuple or an array holds, in its order, and at least one.

    A text is no list of its letters, and a dict or a set has no order to rely on.

    Args:
        name: of the argument.
        values: what was given.
        example: of such a list, for the message.

    Raises:
        SettingError: anything else.

    Example:
        >>> listed("seeds", range(2), "[0, 1]")
        (0, 1)
        >>> listed("seeds", "01", "[0, 1]")
        Traceback (most recent call last):
        lightm_unet.errors.SettingError: seeds needs a list such as [0, 1], got '01'
    """
    unfit = (str, bytes, bytearray, Mapping, Set)
    if isinstance(values, Iterable) and not isinstance(values, unfit):
        try:
            found = tuple(values)
        except TypeError:  # an array of no dimension
            found = ()
        if found:
            return found
    raise SettingError(f"{{0}} needs a list such as {example}, got {show(values)}", name)


def words(name: str, values: Any) -> tuple[str, ...]:
    """A list of names, each once and none of them empty.

    Raises:
        SettingError: anything else.

    Example:
        >>> words("labels", ["liver", "tumour"])
        ('liver', 'tumour')
        >>> words("labels", "liver")
        Traceback (most recent call last):
        lightm_unet.errors.SettingError: labels needs a list such as ['liver', 'tumour'], got \
'liver'
    """
    found = listed(name, values, "['liver', 'tumour']")
    for word in found:
        if not isinstance(word, str) or not word.strip():
            raise SettingError(f"{{0}} needs names that are not empty, got {show(word)}", name)
    folded = [word.strip().casefold() for word in found]
    if twice := [word for word, key in zip(found, folded, strict=True) if folded.count(key) > 1]:
        raise SettingError(f"{{0}} needs each name once, got {show(twice[0])} twice", name)
    return tuple(str(word) for word in found)


def text(name: str, value: Any, example: str) -> str:
    """A text that is not empty.

    Raises:
        SettingError: anything else.
    """
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"{{0}} needs a text such as {example}, got {show(value)}", name)
    return value


def path(name: str, value: Any) -> Path:
    """A path: a text that is not empty, or what stands for one.

    Raises:
        SettingError: anything else.

    Example:
        >>> path("output", None)
        Traceback (most recent call last):
        lightm_unet.errors.SettingError: output needs a path, got None
    """
    plain = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(plain, str) or not plain or "\0" in plain:
        raise SettingError(f"{{0}} needs a path, got {show(value)}", name)
    return Path(plain)


def show(value: Any) -> str:
    """A value on one short line, however long it is.

    Example:
        >>> show("2"), show(10**400)
        ("'2'", 'a whole number of 1329 bits')
    """
    if isinstance(value, int) and value.bit_length() > 128:  # long ones cannot even be printed
        return f"a whole number of {value.bit_length()} bits"
    try:
        return " ".join(reprlib.repr(value).split())
    except ValueError:  # such a number within a list
        return f"a {type(value).__name__}"
