import json

import pytest

from lightm_unet.errors import UsageError
from lightm_unet.training.settings import TrainingSettings, make_settings


def test_settings_survive_json():
    settings = TrainingSettings(
        recipe="paper",
        size=(64, 32),
        learning_rate=1e-3,
        network={"width": 4, "encoder_layers": [1, 2]},
    )
    text = json.dumps(settings.to_json_dict())
    assert TrainingSettings.from_json_dict(json.loads(text)) == settings


def test_tuples_and_lists_are_the_same_setting_in_json():
    with_tuple = TrainingSettings(size=(64, 32), network={"encoder_layers": (1, 2)})
    with_list = TrainingSettings(size=[64, 32], network={"encoder_layers": [1, 2]})
    assert with_tuple.to_json_dict() == with_list.to_json_dict()


def test_none_leaves_a_setting_at_its_default():
    assert make_settings({"recipe": None, "epochs": None, "seed": 3}) == TrainingSettings(seed=3)


def test_an_unknown_setting_is_named_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no setting epoch; it has .*batch_size.*epochs"):
        make_settings({"epoch": 3})
