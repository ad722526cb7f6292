"""The fields of a dataclass as options of a command.

A command receives the options of a dataclass as one argument, a dictionary of those that the user
typed, and passes it on. Its type is made at run time, so a type checker is given another:

    if TYPE_CHECKING:
        Options = Mapping[str, Any]
    else:
        Options = options(PredictSettings)

    def predict(*, given: Options = NONE_GIVEN): run(**given)

Name, help, default and choices of each option come from the field; its help is the docstring under
it. The table `READERS` says how the text of each type is read.
"""

from __future__ import annotations

import collections.abc
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import GenericAlias, MappingProxyType, NoneType
from typing import Annotated, Any, Literal, TypedDict, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter, Token
from docstring_parser import parse_from_object

from lightm_unet.cli import values
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.choices import check_choice

NONE_GIVEN: Mapping[str, Any] = MappingProxyType({})
"""The value if the user typed none of the options."""
FLAG = Parameter(negative=(), show_default=False)
"""A command's own option without a value; it is off unless given."""

READERS: dict[Any, Callable[[str, str], Any]] = {
    str: lambda name, text: text,
    Path: lambda name, text: Path(text),
    int: values.whole_number,
    float: values.number,
    tuple[int, ...]: values.whole_numbers,
    tuple[float, ...]: values.numbers,
    tuple[str, ...]: values.words,
    NetworkSpec: values.network,
}
"""For each field type: the function that makes the value from an option's name and text.

A `Literal` accepts one of its choices. A field that is a `Sequence` of one of these types becomes
an option that can be given several times.
"""


def options(
    settings: type,
    *,
    without: Collection[str] = (),
    names: Mapping[str, str | Sequence[str]] = NONE_GIVEN,
    groups: Mapping[str, Collection[str]] = NONE_GIVEN,
) -> Any:
    """The type of a command's argument that has the fields of a dataclass as options.

    Args:
        settings: the dataclass.
        without: fields that are not options of this command.
        names: names of the options that differ from the name of their field.
        groups: titles in the help with their fields, in the help's order; other fields come first.
    """
    docs = {item.arg_name: item.description for item in parse_from_object(settings).params}
    hints = get_type_hints(settings)
    group_of = {
        name: Group(title, sort_key=place)
        for place, (title, members) in enumerate(groups.items(), start=10)
        for name in members
    }
    fields = {
        field.name: _option(
            names.get(field.name, "--" + field.name.replace("_", "-")),
            hints[field.name],
            _default(field),
            " ".join((docs.get(field.name) or "").split()),
            group_of.get(field.name),
        )
        for field in dataclasses.fields(settings)
        if field.name not in without
    }
    # A checker knows only TypedDicts that are written out.
    kind = TypedDict(settings.__name__, fields, total=False)  # type: ignore[misc]
    return Annotated[kind, Parameter(name="*")]


def choice(name: str) -> Parameter:
    """Make a command's own `Literal` argument reject other words with the options' message.

    One whose type is a list of them can be given several times.
    """

    def convert(kind: Any, tokens: Sequence[Token]) -> Any:
        kind = _without_none(kind)
        if get_origin(kind) is not list:
            return _reader(kind)(name, tokens[-1].value)
        read = _reader(get_args(kind)[0])
        return [read(name, token.value) for token in tokens]

    return Parameter(converter=convert, negative=())


def _option(
    name: str | Sequence[str], hint: Any, default: Any, help: str, group: Group | None
) -> Any:
    """An option's type, annotated with everything that cyclopts needs."""
    kind = _without_none(hint)
    container = get_origin(kind)
    parameter: dict[str, Any] = {"name": name, "help": help, "negative": ()}
    if group:
        parameter["group"] = group
    if kind not in (bool, str, Path):  # a value such as -3x4 is refused as one, not as an option
        parameter["allow_leading_hyphen"] = True
    if kind is bool:
        if default:
            del parameter["negative"]  # --no-NAME turns it off
        return Annotated[bool, Parameter(**parameter, show_default=False)]
    if container is collections.abc.Sequence:
        parameter["help"] += " Can be given several times."
        member = get_args(kind)[0]
        read, hint = _reader(member), GenericAlias(list, (_plain(member),))

        def convert(_: Any, tokens: Sequence[Token]) -> Any:
            return tuple(read(_typed_name(token), token.value) for token in tokens)

    else:
        read, hint = _reader(kind), _plain(kind)

        def convert(_: Any, tokens: Sequence[Token]) -> Any:
            return read(_typed_name(tokens[-1]), tokens[-1].value)

    shown = _shown(default) or False
    parameters = Parameter(**parameter, converter=convert, show_default=shown)
    return Annotated[hint, parameters, _AlreadyRead()]


class _AlreadyRead:
    """Keeps pydantic from comparing a value with the type that the help shows.

    cyclopts asks pydantic to do so in every process that has imported it, for whatever reason.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return {"type": "any"}


def _typed_name(token: Token) -> str:
    """The name before an option's value, as the user typed it."""
    assert token.keyword is not None  # only arguments have none
    return token.keyword


def _without_none(hint: Any) -> Any:
    """`int` of `int | None`."""
    members = get_args(hint)
    return next(kind for kind in members if kind is not NoneType) if NoneType in members else hint


def _reader(kind: Any) -> Callable[[str, str], Any]:
    if get_origin(kind) is not Literal:
        return READERS[kind]

    def read(name: str, text: str) -> str:
        check_choice(name, text, get_args(kind))
        return text

    return read


def _plain(kind: Any) -> Any:
    """The type that the help shows: text for every value that is read from one text."""
    return kind if kind in (int, float, Path) or get_origin(kind) is Literal else str


def _default(field: dataclasses.Field) -> Any:
    return (
        field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    )


def _shown(default: Any) -> str:
    """A default as a user would type it; empty if there is none."""
    if default is None:
        return ""
    if not isinstance(default, tuple):
        return str(default)
    separator = "x" if all(isinstance(item, int) for item in default) else ","
    return separator.join(map(_shown, default))
