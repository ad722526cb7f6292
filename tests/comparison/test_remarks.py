import pytest

from lightm_unet.comparison.remarks import NOT_CUT, make_remarks, what_was_cut
from lightm_unet.comparison.table import make_rows


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
