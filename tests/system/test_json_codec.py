"""What a dataclass may hold comes back from JSON as it was; anything else is named."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.json_codec import from_json, to_json


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclass(frozen=True)
class Inner:
    name: str
    score: float


@dataclass(frozen=True)
class Everything:
    number: int
    flag: bool
    spacing: tuple[float, ...]
    pair: tuple[int, str]
    inner: Inner
    inners: tuple[Inner, ...]
    by_label: Mapping[int, Inner]
    by_name: dict[str, list[int]]
    point: Point
    path: Path
    network: NetworkSpec
    anything: Any
    maybe: int | None = None
    either: int | str = 0
    empty: tuple[Inner, ...] | None = field(default_factory=tuple)


floats = st.floats(allow_nan=False)
inners = st.builds(Inner, st.text(), floats)
everything = st.builds(
    Everything,
    number=st.integers(),
    flag=st.booleans(),
    spacing=st.lists(floats).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    inner=inners,
    inners=st.lists(inners).map(tuple),
    by_label=st.dictionaries(st.integers(), inners),
    by_name=st.dictionaries(st.text(), st.lists(st.integers())),
    point=st.builds(Point, st.integers(), floats),
    path=st.text("ab/.", min_size=1).map(Path),
    network=st.builds(
        NetworkSpec, st.just("a"), st.dictionaries(st.just("b"), st.text() | st.integers())
    ),
    anything=st.none() | st.text() | st.lists(st.integers()),
    maybe=st.none() | st.integers(),
    either=st.integers() | st.text(),
    empty=st.none() | st.lists(inners).map(tuple),
)
WHOLE = Everything(
    1, True, (1.5,), (2, "b"), Inner("c", 0.5), (), {3: Inner("d", math.inf)}, {"e": [4]},
    Point(5), Path("f/g.png"), NetworkSpec("h", {"i": 6}), None,
)  # fmt: skip


@given(everything)
def test_what_is_written_is_read_as_it_was(value):
    text = json.dumps(to_json(value), allow_nan=False)
    assert from_json(Everything, json.loads(text)) == value


def test_the_form_is_plain_json():
    assert to_json(WHOLE) == {
        "number": 1,
        "flag": True,
        "spacing": [1.5],
        "pair": [2, "b"],
        "inner": {"name": "c", "score": 0.5},
        "inners": [],
        "by_label": {"3": {"name": "d", "score": "inf"}},
        "by_name": {"e": [4]},
        "point": {"x": 5, "y": 0.0},
        "path": str(Path("f/g.png")),
        "network": "h:i=6",
        "anything": None,
        "maybe": None,
        "either": 0,
        "empty": [],
    }


def test_nan_comes_back_as_nan():
    assert to_json(math.nan) == "nan"
    assert math.isnan(from_json(float, "nan"))


def test_fields_with_defaults_may_be_missing():
    content = to_json(WHOLE)
    for name in ("maybe", "either", "empty"):
        del content[name]
    del content["point"]["y"]
    assert from_json(Everything, content) == WHOLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "the content has colour, which Everything has not"),
        ({"inner": {"name": "c"}}, "inner lacks score"),
        ({"inner": [1]}, r"inner is \[1\], expected name, score"),
        ({"point": {"x": 1, "z": 2}}, "point has z, which Point has not"),
        ({"number": "1"}, "number is '1', expected int"),
        ({"number": True}, "number is True, expected int"),
        ({"flag": 1}, "flag is 1, expected bool"),
        ({"maybe": 1.5}, r"maybe is 1\.5, expected int"),
        ({"either": 1.5}, r"either is 1\.5, expected str"),
        ({"spacing": "1"}, r"spacing is '1', expected tuple\[float, \.\.\.\]"),
        ({"spacing": [1, "one"]}, r"spacing\[1\] is 'one', expected float"),
        ({"spacing": [10**400]}, r"spacing\[0\] is 1000.*, expected float"),
        ({"pair": [1]}, r"pair is \[1\], expected tuple\[int, str\]"),
        ({"by_label": {"three": {}}}, "by_label is 'three', expected int"),
        ({"by_label": {"3": None}}, r"by_label\.3 is None, expected name, score"),
        ({"path": 5}, "path is 5, expected Path"),
        ({"network": "h:i"}, "needs NAME:option=value"),
    ],
    ids=str,
)
def test_anything_else_is_named_with_its_place(change, message):
    with pytest.raises(UsageError, match=message):
        from_json(Everything, {**to_json(WHOLE), **change})


def test_every_missing_field_is_named():
    with pytest.raises(UsageError, match=r"the content lacks number, flag, .*, anything$"):
        from_json(Everything, {})


def test_a_value_without_a_form_is_a_programmer_s_mistake():
    with pytest.raises(TypeError, match="no JSON form for a set"):
        to_json({"a": [{1, 2}]})
