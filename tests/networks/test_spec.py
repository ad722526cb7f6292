"""A network's text: what it says, and that nothing is lost on the way there and back."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import build_network, check_spec
from lightm_unet.networks.spec import NetworkSpec

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text('{}[]":,=0123.e-'),  # whatever could be taken for JSON or for an option's end
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
names = st.text(st.characters(exclude_characters=":="), min_size=1)
specs = st.builds(NetworkSpec, names, st.dictionaries(names, values, max_size=4))


@given(specs)
def test_the_text_of_a_spec_is_read_as_the_same_spec(spec):
    again = NetworkSpec.parse(str(spec))
    assert again == spec
    assert hash(again) == hash(spec)
    assert str(again) == str(spec)


@given(st.text())
def test_any_text_is_a_spec_or_refused_in_a_sentence(text):
    try:
        spec = NetworkSpec.parse(text)
    except UsageError:
        return
    assert NetworkSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("lightm-unet", "lightm-unet", {}),
        ("lightm-unet:width=16", "lightm-unet", {"width": 16}),
        ("nnu-net:features=[4,8]:deep_supervision=false", "nnu-net", {
            "features": (4, 8), "deep_supervision": False,
        }),
        ("lightm-unet:stem=conv", "lightm-unet", {"stem": "conv"}),
        ("lightm-unet:bottleneck_width=null:expand=1.5", "lightm-unet", {
            "bottleneck_width": None, "expand": 1.5,
        }),
        ('a:b="16":c=', "a", {"b": "16", "c": ""}),
        ('a:b={"c":[1]}:d="x:y"', "a", {"b": {"c": (1,)}, "d": "x:y"}),
        ("a:b=NaN", "a", {"b": "NaN"}),  # no JSON
    ],
)  # fmt: skip
def test_a_text_says_which_network_with_which_options(text, name, options):
    spec = NetworkSpec.parse(text)
    assert (spec.name, spec.options) == (name, options)
    assert str(spec) == text


def test_a_spec_is_taken_as_it_is():
    spec = NetworkSpec("unetr")
    assert NetworkSpec.parse(spec) is spec


def test_options_stay_in_the_order_given_which_makes_no_difference():
    one = NetworkSpec.parse("lightm-unet:width=16:expand=1")
    other = NetworkSpec.parse("lightm-unet:expand=1:width=16")
    assert str(one) != str(other)
    assert {one: "same"}[other] == "same"
    assert one != NetworkSpec.parse("lightm-unet:width=16")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lightm-unet:width", "needs NAME:option=value, got 'width'"),
        ("lightm-unet:width:conv=spatial", "needs NAME:option=value, got 'width'"),
        ("lightm-unet:=16", "needs NAME:option=value, got '=16'"),
        ("lightm-unet:", "needs NAME:option=value, got ''"),
        ("lightm-unet:width=1:width=2", "width is given twice"),
        ("lightm-unet:expand=1e999", "expand needs a value that JSON can hold, got inf"),
        ("", "name is a text without a colon, got ''"),
        (5, "written as lightm-unet:width=16 is, got 5"),
        ({"width": 16}, "written as lightm-unet:width=16 is, got"),
    ],
)
def test_what_is_no_spec_is_refused_with_what_was_expected(text, message):
    with pytest.raises(UsageError, match=message):
        NetworkSpec.parse(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, object, {1: 2}, [{"a": {3}}]], ids=repr)
def test_a_value_that_json_cannot_hold_is_refused(value):
    with pytest.raises(UsageError, match="a: b needs a value that JSON can hold"):
        NetworkSpec("a", {"b": value})


@pytest.mark.parametrize("option", ["", "a:b", "a=b", 3])
def test_an_option_needs_a_name_that_can_stand_in_a_text(option):
    with pytest.raises(UsageError, match="an option needs a name"):
        NetworkSpec("a", {option: 1})


def test_a_spec_does_not_change_with_the_options_it_was_made_from():
    options = {"encoder_layers": [1, 2]}
    spec = NetworkSpec("lightm-unet", options)
    options["encoder_layers"].append(3)
    options["width"] = 16
    assert spec == NetworkSpec("lightm-unet", {"encoder_layers": (1, 2)})


# -------------------------------------------------------------------------------- in the registry


def test_a_network_is_built_from_its_text_its_spec_and_its_name_with_options_alike():
    options = {"init_filters": 8, "blocks_up": [1, 1, 2]}
    spec = NetworkSpec("segresnet", options)
    built = [
        build_network(str(spec), 2, 1, 2),
        build_network(spec, 2, 1, 2),
        build_network("segresnet", 2, 1, 2, **options),
        build_network("segresnet:init_filters=8", 2, 1, 2, blocks_up=(1, 1, 2)),
    ]
    assert all(network.config == built[0].config for network in built)
    assert built[0].config["blocks_up"] == (1, 1, 2)


def test_an_option_in_the_spec_and_beside_it_is_refused():
    with pytest.raises(UsageError, match="segresnet:init_filters=8: init_filters is given beside"):
        build_network("segresnet:init_filters=8", 2, 1, 2, init_filters=16)


def test_the_image_size_in_a_spec_goes_before_the_caller_s():
    small = "hidden_size=12:mlp_dim=16:num_heads=2"
    network = build_network(f"unetr:{small}:image_size=[16,16]", 2, 1, 2, image_size=(64, 64))
    assert network.config["image_size"] == (16, 16)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unet", "network must be one of lightm-unet, "),
        ("segresnet:width=8", "segresnet has no option width; it has init_filters"),
        ("lightm-unet-tiny:width=8", "lightm-unet-tiny means width=16, got 8"),
    ],
)
def test_a_spec_of_no_network_is_refused_without_building_it(text, message):
    with pytest.raises(UsageError, match=message):
        check_spec(text)
    assert check_spec("lightm-unet-tiny:width=16") == NetworkSpec("lightm-unet-tiny", {"width": 16})


def test_speaking_of_networks_does_not_load_torch():
    code = (
        "import sys; from lightm_unet.networks.spec import NetworkSpec; "
        "import lightm_unet.training.settings, lightm_unet.benchmark.worker; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
