import dataclasses
import json

import pytest

from lightm_unet.comparison.plan import (
    OF_A_RUN,
    PLAN,
    Plan,
    Run,
    enter_folder,
    first_difference,
    image_size,
    part_of,
    plan_runs,
    read_plan,
)
from lightm_unet.datasets.splits import Split
from lightm_unet.errors import DataError, UsageError
from lightm_unet.networks import registry
from lightm_unet.networks.peers.m2unet import M2UNet
from lightm_unet.networks.registry import register_network
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.training.settings import TrainingSettings


def test_runs_come_seed_by_seed_so_that_a_stopped_comparison_has_whole_rounds():
    runs = plan_runs(["a", "b"], [3, 1, 3])
    assert runs == (Run("a", 3), Run("b", 3), Run("a", 1), Run("b", 1))


@pytest.mark.parametrize("seeds", [[], [0, -1], "01", [True], [None], 3, [2**64]])
def test_seeds_that_cannot_be_used_are_refused(seeds):
    with pytest.raises(UsageError, match=r"^seeds needs a "):
        plan_runs(["a"], seeds)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_the_parts_together_are_all_runs_once(parts):
    runs = plan_runs("abcde", [0])
    made = [run for part in range(1, parts + 1) for run in part_of(runs, f"{part}/{parts}")]
    assert sorted(map(str, made)) == sorted(map(str, runs))


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_part_that_is_none_is_refused(part):
    with pytest.raises(UsageError, match="part needs i/N"):
        part_of([], part)


def test_a_plan_survives_its_file(make_plan, tmp_path):
    plan = make_plan(("lightm-unet:width=16", "nnu-net"), (0, 5))
    assert enter_folder(tmp_path / "new", plan) == plan
    assert read_plan(tmp_path / "new") == plan


def test_networks_and_seeds_may_be_added_and_stay(make_plan, tmp_path):
    enter_folder(tmp_path, make_plan(("a", "b")))
    both = enter_folder(tmp_path, make_plan(("b",), (0, 1)))
    assert both.runs == (Run("a", 0), Run("b", 0), Run("b", 1))
    assert both.networks == (NetworkSpec("a"), NetworkSpec("b"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"epochs": 5}}, "epochs 3, not 5"),
        ({"settings": {"recipe": "paper", "size": (8, 8)}}, "recipe default, not paper"),
        ({"settings": {"size": (64, 64)}}, "size 32, 32, not 64, 64"),
        ({"dataset": "Livers"}, "the data set Lungs, not Livers"),
        ({"label_names": ("background", "left")}, "labels background, left, right, not back"),
        ({"split": Split(("a",), ("c",), ("d",), 0)}, "training cases a, b, not a$"),
    ],
)
def test_a_folder_of_another_comparison_is_refused_by_the_first_difference(
    make_plan, tmp_path, change, message
):
    enter_folder(tmp_path, make_plan())
    with pytest.raises(UsageError, match="this comparison has " + message.rstrip("$")):
        enter_folder(tmp_path, make_plan(**change))
    assert first_difference(make_plan(), make_plan()) is None


def test_a_folder_of_something_else_is_refused_and_left_alone(make_plan, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="expected a new or empty folder"):
        enter_folder(tmp_path, make_plan())
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_plan_of_a_later_version_is_refused(make_plan, tmp_path):
    enter_folder(tmp_path, make_plan())
    content = json.loads((tmp_path / PLAN).read_text())
    assert content["format"] == 1
    (tmp_path / PLAN).write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(DataError, match=r"plan\.json: found format 2; expected format 1; upgrade"):
        read_plan(tmp_path)


def test_networks_stand_in_a_plan_as_people_write_them(make_plan, tmp_path):
    enter_folder(tmp_path, make_plan(("lightm-unet:width=16", "nnu-net")))
    content = json.loads((tmp_path / PLAN).read_text())
    assert content["runs"] == [
        {"network": "lightm-unet:width=16", "seed": 0},
        {"network": "nnu-net", "seed": 0},
    ]


def test_a_damaged_plan_is_a_data_error(make_plan, tmp_path):
    enter_folder(tmp_path, make_plan())
    content = json.loads((tmp_path / PLAN).read_text())
    del content["split"]
    (tmp_path / PLAN).write_text(json.dumps(content))
    with pytest.raises(DataError, match="a plan that cannot be used"):
        read_plan(tmp_path)


def test_every_field_of_a_plan_is_stored(make_plan):
    stored = make_plan().to_json_dict()
    assert set(stored) == {field.name for field in dataclasses.fields(Plan)}
    assert set(stored["settings"]).isdisjoint(OF_A_RUN)


AUTO = {"settings": {"recipe": "auto"}}


def test_each_network_has_its_own_recipe_unless_one_is_named_for_all(make_plan):
    register_network("mine", M2UNet, recipe="released")
    own, same = make_plan(("mine", "nnu-net"), **AUTO), make_plan(("mine", "nnu-net"))
    assert [own.recipe_of(network) for network in own.networks] == ["released", "adamw"]
    assert own.recipes == {"mine": "released", "nnu-net": "adamw"}
    assert [same.recipe_of(network) for network in same.networks] == ["default"] * 2
    assert same.recipes == {}


def test_a_recipe_stays_as_it_was_settled_whatever_the_network_names_later(
    make_plan, tmp_path, monkeypatch
):
    enter_folder(tmp_path, make_plan(("lightm-unet:width=16:stem=conv",), **AUTO))
    entries = registry.NETWORKS
    for name in ("lightm-unet", "nnu-net"):
        monkeypatch.setitem(entries, name, entries[name]._replace(recipe="released"))
    more = make_plan(("lightm-unet:stem=conv:width=16", "nnu-net"), **AUTO)
    plan = enter_folder(tmp_path, more)
    assert [plan.recipe_of(network) for network in plan.networks] == ["adamw", "released"]
    assert [plan.recipe_of(network) for network in more.networks] == ["adamw", "released"]
    assert read_plan(tmp_path) == plan


def test_a_recipe_that_does_not_exist_is_refused_with_the_network_that_names_it(make_plan):
    register_network("mine", M2UNet, recipe="adamm")
    with pytest.raises(UsageError, match=r"the recipe of mine must be .* got 'adamm'"):
        make_plan(("mine",), **AUTO)


def test_a_plan_from_before_networks_named_recipes_is_read_as_it_was(make_plan, tmp_path):
    enter_folder(tmp_path, make_plan())
    content = json.loads((tmp_path / PLAN).read_text())
    del content["recipes"]
    (tmp_path / PLAN).write_text(json.dumps(content))
    assert read_plan(tmp_path) == make_plan()
    with pytest.raises(UsageError, match="this comparison has recipe default, not auto"):
        enter_folder(tmp_path, make_plan(**AUTO))


@pytest.mark.parametrize(
    ("settings", "dims", "expected"),
    [
        ({}, 2, (512, 512)),
        ({}, 3, (128, 128, 128)),
        ({"size": (64,)}, 3, (64, 64, 64)),
        ({"patch": (32, 48)}, 2, (32, 48)),
    ],
)
def test_the_size_that_networks_see(settings, dims, expected):
    assert image_size(TrainingSettings(**settings), dims, channels=1) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (64, 64)}, r"size needs 3 positive values for a 3D image, got \(64, 64\)"),
        ({"size": (64,), "patch": (32,)}, "either size .whole image. or roi_size"),
        ({"spacing_mm": (1.0,)}, "either size .whole image. or roi_size"),
    ],
)
def test_a_size_that_training_would_refuse_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        image_size(TrainingSettings(**settings), 3, channels=1)
