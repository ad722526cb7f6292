import pytest

from lightm_unet.comparison.remarks import (
    NOT_CUT,
    OWN_RECIPES,
    SAME_RECIPE,
    make_remarks,
    what_was_cut,
)
from lightm_unet.comparison.table import make_rows
from lightm_unet.networks.peers.m2unet import M2UNet
from lightm_unet.networks.registry import register_network


@pytest.fixture
def remarks_on(make_result, costs):
    def make(plan, results):
        rows = make_rows(plan, {r.run: r for r in results}, costs(plan), {})
        return make_remarks(plan, rows)

    return make


def test_what_the_budget_cut_is_said_in_numbers(make_plan):
    plan = make_plan(training_cases=394)
    assert what_was_cut(plan) == (
        "Epochs: 3 instead of the recipe's 50.",
        "Cases: 2 of the 394 training cases, drawn at random, the same for every network; "
        "all validation and test cases are used.",
        "Size: images of 32×32 instead of 512×512.",
    )


def test_one_recipe_for_all_is_said_once_and_several_each(make_plan, make_result, remarks_on):
    same = remarks_on(make_plan(), [])
    assert same.made[1].startswith("Recipe 'default': SGD, learning rate 0.01, batch 2, 3 epochs, ")
    assert SAME_RECIPE in same.not_shown
    register_network("mine", M2UNet, recipe="paper")
    own = make_plan(("mine", "lightm-unet", "nnu-net"), settings={"recipe": "auto", "epochs": None})
    said = remarks_on(own, [])
    assert said.made[1].startswith(
        "Each network by the recipe that it names: "
        "'paper': SGD, learning rate 0.0001, batch 12, 100 epochs; "
        "'adamw': ADAMW, learning rate 0.002, batch 2, 50 epochs. All: augmentation default, "
    )
    assert OWN_RECIPES in said.not_shown


def test_epochs_are_cut_if_they_are_fewer_than_those_of_any_recipe(make_plan):
    register_network("mine", M2UNet, recipe="paper")
    settings = {"recipe": "auto", "epochs": 60}
    assert "Epochs" not in what_was_cut(make_plan(settings=settings))[0]
    cut = what_was_cut(make_plan(("mine", "lightm-unet"), settings=settings))
    assert cut[0] == "Epochs: 60 instead of the recipes' 50 or 100."


def test_patches_are_a_cut_and_a_whole_run_is_none(make_plan, remarks_on):
    patches = make_plan(settings={"epochs": None, "size": None, "patch": (32, 32)})
    assert what_was_cut(patches) == ("Size: patches of 32×32 instead of whole images.",)
    whole = make_plan(settings={"epochs": 50, "size": None}, size=(512, 512))
    assert remarks_on(whole, []).cut == (NOT_CUT,)


def test_it_says_what_one_seed_and_few_cases_do_not_show(make_plan, make_result, remarks_on):
    scores = {"d": (0.5, 0.5), "e": (0.6, 0.6)}
    results = [make_result(name, scores) for name in ("lightm-unet", "nnu-net")]
    said = " ".join(remarks_on(make_plan(), results).not_shown)
    assert "One seed" in said
    assert "4 test cases and 1 test: no difference" in said
    assert "nnu-net: has fewer stages on small images" in said
    assert "missing" not in said
    assert "artificial" not in said


def test_it_says_that_phantoms_are_artificial_and_runs_are_missing(make_plan, remarks_on):
    said = " ".join(remarks_on(make_plan(dataset="Phantom CT"), []).not_shown)
    assert "artificial" in said
    assert "missing" in said


def test_networks_of_one_seed_among_others_of_several_are_named(make_plan, make_result, remarks_on):
    runs = [("lightm-unet", 0), ("lightm-unet", 1), ("nnu-net", 0)]
    results = [make_result(name, {"d": (0.5, 0.5)}, seed) for name, seed in runs]
    said = " ".join(remarks_on(make_plan(seeds=(0, 1)), results).not_shown)
    assert "One seed (nnu-net): the random variation" in said
