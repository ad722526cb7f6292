"""A network and its options as people write them: `NAME:option=value`."""

from __future__ import annotations

import json
from typing import Any

from lightm_unet.errors import UsageError


def split_name(text: str) -> tuple[str, dict[str, Any]]:
    """A network's name and its options.

    Args:
        text: `NAME` or `NAME:option=value:option=value`; values are JSON, anything else is text.

    Raises:
        UsageError: an option has no value.

    Example:
        >>> split_name("lightm-unet:encoder_layers=[1,1]:conv=spatial")
        ('lightm-unet', {'encoder_layers': [1, 1], 'conv': 'spatial'})
    """
    name, *pairs = text.split(":")
    options = {}
    for pair in pairs:
        option, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"{text!r}: an option needs NAME:option=value, got {pair!r}")
        try:
            options[option] = json.loads(value)
        except ValueError:
            options[option] = value
    return name, options
