import pytest

from lightm_unet.comparison.names import GROUPS, family_of, find_networks, folder_name
from lightm_unet.comparison.scatter import COLOURS
from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import network_names
from lightm_unet.networks.spec import NetworkSpec


@pytest.mark.parametrize("group", GROUPS)
def test_every_network_of_a_group_can_be_built(group):
    assert tuple(map(str, find_networks([group]))) == GROUPS[group]


def test_groups_and_names_mix_and_each_network_comes_once():
    found = list(map(str, find_networks(["nnu-net, paper", "lightm-unet:width=16"])))
    assert found[0] == "nnu-net"
    assert found[-1] == "lightm-unet:width=16"
    assert sorted(found) == sorted({*GROUPS["paper"], "lightm-unet:width=16"})


def test_the_ablations_change_one_option_at_a_time():
    first, *others = GROUPS["ablations"]
    assert first == "lightm-unet"
    assert all(name.count("=") == 1 for name in others)


def test_a_comma_within_brackets_belongs_to_the_option():
    found = find_networks(["nnu-net:features=[4,8],unetr"])
    assert found == (NetworkSpec("nnu-net", {"features": (4, 8)}), NetworkSpec("unetr"))


def test_a_spec_is_taken_beside_names_and_groups():
    spec = NetworkSpec("nnu-net", {"features": [4, 8]})
    assert find_networks([spec, "unetr"]) == (spec, NetworkSpec("unetr"))


def test_options_in_another_order_are_the_same_network():
    one, other = "lightm-unet:width=16:expand=1", "lightm-unet:expand=1:width=16"
    assert list(map(str, find_networks([one, other]))) == [one]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unet", "network must be one of lightm-unet, .*, paper, ablations; got 'unet'"),
        ("lightm-unet:widht=4", "lightm-unet has no option widht; it has width"),
        ("lightm-unet:width", "NAME:option=value"),
        (",", "needs at least one network"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(text, message):
    with pytest.raises(UsageError, match=message):
        find_networks([text])


def test_every_family_has_a_colour():
    assert {family_of(name) for name in (*network_names(), "my-net")} == set(COLOURS)


def test_folders_of_networks_that_differ_in_signs_alone_differ():
    names = {folder_name(f"nnu-net:features={text}") for text in ("[4,8]", "[4 8]", "4-8")}
    assert len(names) == 3
    assert not any(set(name) & set('[],:/\\*?"<>| ') for name in names)
