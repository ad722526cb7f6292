"""From a dataclass to options, and from words to values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from cyclopts import App, CycloptsError

from lightm_unet.cli.mistakes import explain
from lightm_unet.cli.options import NONE_GIVEN, options
from lightm_unet.networks.spec import NetworkSpec

NNUNET = NetworkSpec("nnu-net")


@dataclass(frozen=True)
class Example:
    """A field of each kind."""

    name: str = "x"
    """A text that
    goes on."""
    place: Path | None = None
    """A path."""
    count: int | None = None
    """A whole number."""
    rate: float = 0.5
    """A number."""
    size: tuple[int, ...] = (64, 32)
    """A size."""
    spacing_mm: tuple[float, ...] | None = None
    """A spacing."""
    labels: tuple[str, ...] | None = None
    """Names."""
    colour: Literal["red", "green"] = "red"
    """A choice."""
    sizes: Sequence[tuple[int, ...]] = ((8, 8),)
    """Several sizes."""
    colours: Sequence[Literal["red", "green"]] | None = None
    """Several choices."""
    network: NetworkSpec = NNUNET
    """A network."""
    on: bool = True
    """A switch that is on."""
    off: bool = False
    """A switch that is off."""


@pytest.fixture
def parse():
    """What the words of a command give."""

    def parse(words, **how):
        app = App(result_action="return_value")
        given = options(Example, **how)

        @app.default
        def verb(*, settings: given = NONE_GIVEN):
            return settings

        return app(words, exit_on_error=False, print_error=False), app

    return parse


def test_only_what_was_typed_is_given(parse):
    assert parse([])[0] == {}
    assert parse(["--name", "x"])[0] == {"name": "x"}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("--place a/b", {"place": Path("a/b")}),
        ("--count 3 --rate 1e-3", {"count": 3, "rate": 0.001}),
        ("--size 128x96", {"size": (128, 96)}),
        ("--size=64", {"size": (64,)}),
        ("--spacing-mm 1.5,1,1", {"spacing_mm": (1.5, 1.0, 1.0)}),
        ("--labels liver,tumour", {"labels": ("liver", "tumour")}),
        ("--colour green", {"colour": "green"}),
        ("--sizes 8x8 --sizes 16x16x16", {"sizes": ((8, 8), (16, 16, 16))}),
        ("--colours red --colours green", {"colours": ("red", "green")}),
        (
            "--network unetr:layers=[1,2]:deep=true",
            {"network": NetworkSpec("unetr", {"layers": (1, 2), "deep": True})},
        ),
        ("--no-on --off", {"on": False, "off": True}),
    ],
)
def test_words_become_values_of_the_fields_type(parse, words, given):
    assert parse(words.split())[0] == given


def test_values_stay_as_they_are_where_a_library_has_imported_pydantic(parse):
    pytest.importorskip("pydantic")  # which cyclopts asks in that case
    assert parse(["--size", "128x96", "--network", "unetr"])[0] == {
        "size": (128, 96),
        "network": NetworkSpec("unetr"),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--count 1.5", "--count needs a whole number, got '1.5'"),
        ("--rate fast", "--rate needs a number, got 'fast'"),
        ("--size 8y8", "--size needs whole numbers, such as 128x128, got '8y8'"),
        ("--spacing-mm a", "--spacing-mm needs numbers, such as 1.5,1,1, got 'a'"),
        ("--colour gren", "--colour must be one of red, green; got 'gren'; did you mean 'green'?"),
        ("--colours red --colours blue", "--colours must be one of red, green; got 'blue'"),
        (
            "--network width=16",
            "--network needs a network with its options, such as lightm-unet:width=16, "
            "got 'width=16'",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_the_options_name(parse, words, message):
    with pytest.raises(CycloptsError) as caught:
        parse(words.split())
    assert explain(caught.value) == message


def test_options_can_have_other_names_and_be_left_out(parse):
    how = {"names": {"count": ("--count", "--number")}, "without": ("name",)}
    assert parse(["--number", "2"], **how)[0] == {"count": 2}
    with pytest.raises(CycloptsError, match="Unknown option: --name"):
        parse(["--name", "x"], **how)


def test_the_help_holds_the_sentence_the_default_and_the_choices(parse, capsys):
    _, app = parse([], groups={"Sizes": ("size", "sizes")})
    app.help_print([])
    help = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "A text that goes on. [default: x]" in help
    assert "A size. [default: 64x32]" in help
    assert "Several sizes. Can be given several times. [default: 8x8]" in help
    assert "A choice. [choices: red, green] [default: red]" in help
    assert help.index("A switch") < help.index("Sizes") < help.index("A size")
    assert "--empty" not in help
    assert "--no-off" not in help
