"""One of several names: the check, and the message for anything else."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from lightm_unet.errors import UsageError


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Refuse a value that is none of the choices.

    Args:
        name: what is chosen, as the user knows it.
        value: what was given.
        choices: what can be given; a value of another type is none of them.

    Raises:
        UsageError: names all choices, and the one that was probably meant.

    Example:
        >>> check_choice("recipe", "papper", ["default", "paper"])
        Traceback (most recent call last):
        lightm_unet.errors.UsageError: recipe must be one of default, paper; got 'papper'; did you \
mean 'paper'?
    """
    choices = list(choices)
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return
    message = f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}"
    if isinstance(value, str):
        for close in difflib.get_close_matches(value.lower(), map(str, choices), n=1):
            message += f"; did you mean {close!r}?"
    raise UsageError(message)


def nearest(value: Any, choices: Iterable[str]) -> str:
    """A question about what was probably meant, to put in front of a long list; or nothing.

    Example:
        >>> nearest("papper", ["default", "paper"]), nearest("x", ["default", "paper"])
        ("did you mean 'paper'? ", '')
    """
    close = difflib.get_close_matches(str(value).lower(), list(choices), n=3)
    return f"did you mean {' or '.join(map(repr, close))}? " if close else ""
