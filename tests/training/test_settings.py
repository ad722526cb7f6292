import json

import numpy as np
import pytest

from lightm_unet.errors import UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.training.settings import TrainingSettings, make_settings


def test_settings_survive_json():
    settings = TrainingSettings(
        recipe="paper",
        size=(64, 32),
        learning_rate=1e-3,
        network=NetworkSpec("lightm-unet", {"width": 4, "encoder_layers": [1, 2]}),
    )
    text = json.dumps(to_json(settings))
    assert '"lightm-unet:width=4:encoder_layers=[1,2]"' in text
    assert from_json(TrainingSettings, json.loads(text)) == settings


def test_tuples_and_lists_are_the_same_setting_in_json():
    assert to_json(TrainingSettings(size=(64, 32))) == to_json(TrainingSettings(size=[64, 32]))


def test_none_leaves_a_setting_at_its_default():
    assert make_settings({"recipe": None, "epochs": None, "seed": 3}) == TrainingSettings(seed=3)


def test_an_unknown_setting_is_named_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no setting epoch; it has .*batch_size.*epochs"):
        make_settings({"epoch": 3})


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ({}, "lightm-unet"),
        ({"network": "nnu-net:features=[4,8]"}, "nnu-net:features=[4,8]"),
        ({"network": NetworkSpec("unetr")}, "unetr"),
        ({"network": {"width": 16}}, "lightm-unet:width=16"),
        ({"network": {}}, "lightm-unet"),
        ({"architecture": "nnu-net"}, "nnu-net"),
        ({"architecture": "nnu-net", "network": {"features": (4, 8)}}, "nnu-net:features=[4,8]"),
        ({"architecture": None, "network": None}, "lightm-unet"),
    ],
    ids=str,
)
def test_a_network_is_one_text_or_in_the_older_form_a_name_and_options(given, network):
    assert str(make_settings(given).network) == network


def test_the_two_forms_of_a_network_do_not_mix():
    with pytest.raises(UsageError, match="architecture=unetr and network=nnu-net both name a"):
        make_settings({"architecture": "unetr", "network": "nnu-net"})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"size": 64}, {"size": (64,)}),
        ({"size": [64, 32]}, {"size": (64, 32)}),
        ({"size": np.array([64, 32])}, {"size": (64, 32)}),
        ({"patch": np.int64(64)}, {"patch": (64,)}),
        ({"spacing_mm": 1.5}, {"spacing_mm": (1.5,)}),
    ],
    ids=str,
)
def test_one_number_stands_for_all_axes_and_a_list_or_an_array_for_a_tuple(given, kept):
    settings = make_settings(given)
    assert {name: getattr(settings, name) for name in kept} == kept
    assert json.dumps(to_json(settings))
