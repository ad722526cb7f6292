"""A network and its options as one value, and as people write it: `NAME:option=value`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightm_unet.errors import UsageError

_OPTION = re.compile(r":([^:=]+)=")


@dataclass(frozen=True)
class NetworkSpec:
    """Which network, with which of its options; the others have their defaults.

    `str(spec)` is its text, which tables, folders and files show and which `parse` reads. Options
    keep the order in which they were given; specs that differ in the order alone are equal. Whether
    there is such a network is the registry's question, see `check_spec`.

    Raises:
        UsageError: a name that cannot stand in the text, or a value that JSON cannot hold.

    Example:
        >>> spec = NetworkSpec("lightm-unet", {"width": 16, "encoder_layers": [1, 2]})
        >>> str(spec)
        'lightm-unet:width=16:encoder_layers=[1,2]'
        >>> NetworkSpec.parse("lightm-unet:encoder_layers=[1,2]:width=16") == spec
        True
    """

    name: str
    """The network's name for `build_network`."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Values as JSON has them, lists as tuples; not to be changed."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or ":" in self.name:
            raise UsageError(f"a network's name is a text without a colon, got {self.name!r}")
        for option in self.options:
            if not isinstance(option, str) or not _OPTION.fullmatch(f":{option}="):
                raise UsageError(f"{self.name}: an option needs a name, got {option!r}")
        options = {option: self._fixed(option, value) for option, value in self.options.items()}
        object.__setattr__(self, "options", options)

    @classmethod
    def parse(cls, text: str | NetworkSpec) -> NetworkSpec:
        """The network that a text names; a spec is given back as it is.

        Args:
            text: `NAME` or `NAME:option=value:option=value`; values are JSON, and anything that is
                not JSON is text.

        Raises:
            UsageError: an option without a value, or one that is given twice.

        Example:
            >>> NetworkSpec.parse("lightm-unet:encoder_layers=[1,1]:conv=spatial").options
            {'encoder_layers': (1, 1), 'conv': 'spatial'}
        """
        if isinstance(text, cls):
            return text
        if not isinstance(text, str):
            raise UsageError(f"a network is written as lightm-unet:width=16 is, got {text!r}")
        name = text.split(":")[0]
        options: dict[str, Any] = {}
        place = len(name)
        while place < len(text):
            match = _OPTION.match(text, place)
            if match is None:
                pair = text[place + 1 :].split(":")[0]
                raise UsageError(f"{text!r}: an option needs NAME:option=value, got {pair!r}")
            if match[1] in options:
                raise UsageError(f"{text!r}: {match[1]} is given twice")
            options[match[1]], place = _read_value(text, match.end())
        return cls(name, options)

    def __str__(self) -> str:
        pairs = (f"{option}={_write_value(value)}" for option, value in self.options.items())
        return ":".join([self.name, *pairs])

    def in_front_of(self, error: Exception) -> str:
        """The error's message with this network in front of it, once.

        Example:
            >>> spec = NetworkSpec("mine", {"width": 8})
            >>> spec.in_front_of(ValueError("mine: no")), spec.in_front_of(ValueError("no"))
            ('mine:width=8: no', 'mine:width=8: no')
        """
        message = str(error)
        for prefix in (f"{self}: ", f"{self.name}: "):
            message = message.removeprefix(prefix)
        return f"{self}: {message}"

    def _fixed(self, option: str, value: object) -> Any:
        """The value with tuples for lists; only what JSON can hold."""
        if isinstance(value, (list, tuple)):
            return tuple(self._fixed(option, each) for each in value)
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {key: self._fixed(option, each) for key, each in value.items()}
        finite = not isinstance(value, float) or math.isfinite(value)
        if value is None or (isinstance(value, (str, bool, int, float)) and finite):
            return value
        raise UsageError(f"{self.name}: {option} needs a value that JSON can hold, got {value!r}")


def _refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python reads, are no JSON."""
    raise ValueError(name)


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)


def _read_value(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends: at a colon or the text's end.

    A colon within JSON, as in an object, belongs to the value.
    """
    try:
        value, end = _JSON.raw_decode(text, start)
        if end == len(text) or text[end] == ":":
            return value, end
    except ValueError:
        pass  # not JSON
    end = text.find(":", start)
    end = len(text) if end < 0 else end
    return text[start:end], end


def _write_value(value: object) -> str:
    """The text that `_read_value` reads as this value."""
    # A text stands for itself unless it could be read as something else.
    if (
        isinstance(value, str)
        and not set(value) & set(':"[{')
        and _read_value(value, 0)[0] == value
    ):
        return value
    return json.dumps(value, separators=(",", ":"))
