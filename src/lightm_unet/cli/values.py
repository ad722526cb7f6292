"""Convert a user's text to a value, or raise a message with the option's name and an example.

Each function takes the option's name and the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec

Value = TypeVar("Value")

_EXAMPLES = {"--seeds": "0,1,2", "--spacing": "1.5,1,1", "--threads": "2"}
"""Examples for options whose value is not a size such as 128x128."""


def whole_number(name: str, text: str) -> int:
    """A whole number."""
    return _convert(lambda: int(text), f"{name} needs a whole number", text)


def number(name: str, text: str) -> float:
    """A number."""
    return _convert(lambda: float(text), f"{name} needs a number", text)


def whole_numbers(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers separated by `x` or commas.

    Example:
        >>> whole_numbers("--size", "128x96"), whole_numbers("--seeds", "0,1"), \
whole_numbers("--size", "64")
        ((128, 96), (0, 1), (64,))
    """
    need = f"{name} needs whole numbers, such as {_EXAMPLES.get(name, '128x128')}"
    return _convert(lambda: tuple(map(int, _parts(text))), need, text)


def numbers(name: str, text: str) -> tuple[float, ...]:
    """Numbers separated by `x` or commas.

    Example:
        >>> numbers("--spacing", "1.5,1,1")
        (1.5, 1.0, 1.0)
    """
    need = f"{name} needs numbers, such as {_EXAMPLES.get(name, '1.5,1,1')}"
    return _convert(lambda: tuple(map(float, _parts(text))), need, text)


def words(name: str, text: str) -> tuple[str, ...]:
    """Words separated by commas.

    Example:
        >>> words("--labels", "liver, tumour")
        ('liver', 'tumour')
    """
    return tuple(word.strip() for word in text.split(","))


def network(name: str, text: str) -> NetworkSpec:
    """A network with its options.

    Example:
        >>> network("--network", "lightm-unet:width=16").options
        {'width': 16}
    """
    if "=" in text.split(":")[0]:
        example = "such as lightm-unet:width=16"
        raise UsageError(f"{name} needs a network with its options, {example}, got {text!r}")
    return NetworkSpec.parse(text)


def _parts(text: str) -> list[str]:
    return text.lower().replace("x", ",").split(",")


def _convert(convert: Callable[[], Value], need: str, text: str) -> Value:
    try:
        return convert()
    except ValueError:
        raise UsageError(f"{need}, got {text!r}") from None
