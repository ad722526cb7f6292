"""One of several words, and the one sentence for anything else."""

from __future__ import annotations

from collections.abc import Iterable

from lightm_unet.errors import UsageError


def check_choice(what: str, value: object, choices: Iterable[object]) -> None:
    """Refuse a value that is not among the choices.

    Args:
        what: is chosen, such as an option's name.
        value: what was given; of the choices' own type, so that True is not 1.
        choices: in the order in which people should read them.

    Raises:
        UsageError: says what there is.

    Example:
        >>> check_choice("conv", "casual", ("causal", "spatial"))
        Traceback (most recent call last):
        lightm_unet.errors.UsageError: conv is one of causal, spatial; got 'casual'
    """
    choices = tuple(choices)
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise UsageError(f"{what} is one of {', '.join(map(str, choices))}; got {value!r}")
