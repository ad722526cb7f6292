"""Dataclasses to JSON's own types and back, driven by the types of their fields.

    dataclass, NamedTuple     object, an entry for each field
    tuple, list               list
    Mapping                   object; keys that are whole numbers are written as text
    Path                      text
    infinity, NaN             text, since JSON has no numbers for them
    a class with `parse`      text: `str(value)`, which `parse` reads

Reading is strict: an unknown entry, a missing one (unless its field has a default) and a value of
another type are errors that name the place. A field that older files lack, and that meant something
else in them than its default, says so: `field(default=..., metadata={ABSENT: value})`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightm_unet.errors import UsageError
from lightm_unet.system.choices import check_choice

ABSENT = "absent"
"""Key of a field's metadata: the value that a file without this field stands for."""


def to_json(value: Any) -> Any:
    """A value as JSON's own types; `from_json` is the way back.

    Raises:
        TypeError: a value that there is no form for.

    Example:
        >>> to_json({1: (Path("a.png"), math.inf)})
        {'1': ['a.png', 'inf']}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Path) or hasattr(value, "parse"):
        return str(value)
    if fields := _fields(type(value)):
        return {name: to_json(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(each) for each in value]
    raise TypeError(f"there is no JSON form for a {type(value).__name__}")


def from_json(kind: Any, content: Any, place: str = "the content") -> Any:
    """The value that `to_json` described.

    Args:
        kind: its type, as an annotation says it.
        content: what JSON holds.
        place: where that is, for errors.

    Raises:
        UsageError: something else is there, or the class itself refuses its fields.

    Example:
        >>> from_json(dict[int, tuple[float, ...]], {"3": [1, "inf"]})
        {3: (1.0, inf)}
    """
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return content
    if origin is typing.Literal:
        check_choice(place, content, of)
        return content
    if origin in (typing.Union, types.UnionType):
        return _read_union(of, content, place)
    if hasattr(kind, "parse"):
        return kind.parse(content)
    if fields := _fields(kind):
        return _read_fields(kind, fields, content, place)
    if origin in (tuple, list) and isinstance(content, list):
        each = of[:1] * len(content) if origin is list or of[1:] == (...,) else of
        if len(each) == len(content):
            return origin(from_json(each[i], content[i], f"{place}[{i}]") for i in range(len(each)))
    elif origin in (dict, Mapping) and isinstance(content, dict):
        names = [from_json(of[0], _number(key) if of[0] is int else key, place) for key in content]
        values = (from_json(of[1], each, f"{place}.{key}") for key, each in content.items())
        return dict(zip(names, values, strict=True))
    elif kind is Path and isinstance(content, str):
        return Path(content)
    elif kind is float and (type(content) in (int, float) or content in ("inf", "-inf", "nan")):
        with suppress(OverflowError):  # a whole number of hundreds of digits
            return float(content)
    elif kind in (str, bool, int) and type(content) is kind:
        return content
    raise UsageError(f"{place} is {content!r:.60}, expected {kind if of else kind.__name__}")


def _read_union(kinds: tuple[Any, ...], content: Any, place: str) -> Any:
    if content is None and type(None) in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not type(None))
    for kind in others:
        try:
            return from_json(kind, content, place)
        except UsageError:
            continue
    return from_json(last, content, place)


def _read_fields(kind: Any, fields: Mapping[str, bool], content: Any, place: str) -> Any:
    if not isinstance(content, dict):
        raise UsageError(f"{place} is {content!r:.60}, expected {', '.join(fields)}")
    if unknown := sorted(set(content) - set(fields)):
        raise UsageError(f"{place} has {', '.join(unknown)}, which {kind.__name__} has not")
    if missing := [name for name, needed in fields.items() if needed and name not in content]:
        raise UsageError(f"{place} lacks {', '.join(missing)}")
    hints = typing.get_type_hints(kind)
    given = {name: from_json(hints[name], content[name], name) for name in content}
    return kind(**{**_absent(kind), **given})


def _absent(kind: Any) -> dict[str, Any]:
    """The values of fields that a file may lack because it is older than they are."""
    if not dataclasses.is_dataclass(kind):
        return {}
    return {f.name: f.metadata[ABSENT] for f in dataclasses.fields(kind) if ABSENT in f.metadata}


def _fields(kind: Any) -> dict[str, bool]:
    """The fields of a dataclass or a NamedTuple, each with whether it lacks a default."""
    if dataclasses.is_dataclass(kind):
        no = dataclasses.MISSING
        return {
            f.name: f.default is no and f.default_factory is no for f in dataclasses.fields(kind)
        }
    return {name: name not in kind._field_defaults for name in getattr(kind, "_fields", ())}


def _number(text: str) -> int | str:
    """The whole number that a text is, else the text."""
    return int(text) if text.removeprefix("-").isdecimal() else text
