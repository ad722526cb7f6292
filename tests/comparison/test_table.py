import math

import pytest

from lightm_unet.comparison.plan import Run
from lightm_unet.comparison.results import FAILED, RunResult
from lightm_unet.comparison.table import case_scores, cells, columns, make_rows


def rows_of(plan, results, costs):
    by_run = {result.run: result for result in results}
    return make_rows(plan, by_run, costs(plan), {})


def test_scores_are_means_over_cases_then_classes_then_seeds(make_plan, make_result, costs):
    plan = make_plan(("lightm-unet",), (0, 1))
    results = [
        make_result("lightm-unet", {"d": (0.2, 0.4), "e": (0.4, 0.8)}, seed=0),
        make_result("lightm-unet", {"d": (0.4, 0.6), "e": (0.6, 1.0)}, seed=1),
    ]
    (row,) = rows_of(plan, results, costs)
    assert row.by_class["dice"]["left"].mean == pytest.approx(0.4)  # of 0.3 and 0.5
    assert row.mean["dice"].mean == pytest.approx(0.55)  # of 0.45 and 0.65
    assert row.mean["dice"].std == pytest.approx(0.2 / 2**0.5)
    assert row.mean["iou"].mean == pytest.approx(0.275)
    assert row.seeds == (0, 1)


def test_every_network_is_tested_against_the_first_over_shared_seeds(make_plan, make_result, costs):
    plan = make_plan(("lightm-unet", "nnu-net"), (0, 1))
    first = {"d": (0.5, 0.5), "e": (0.5, 0.5), "f": (0.5, 0.5)}
    results = [
        make_result("lightm-unet", first, seed=0),
        make_result("lightm-unet", {name: (0.9, 0.9) for name in first}, seed=1),
        make_result("nnu-net", {"d": (0.6, 0.6), "e": (0.7, 0.7), "f": (0.8, 0.8)}, seed=0),
    ]
    reference, other = rows_of(plan, results, costs)
    assert reference.test is None
    assert other.test.difference == pytest.approx(0.2)  # seed 1 of the first is not counted
    assert other.test.p == pytest.approx(0.25)
    assert other.missing == (
        "seed 1: not made yet; repeat the command without --part and --report-only",
    )


def test_a_failed_run_stands_in_its_row_with_its_reason(make_plan, make_result, costs):
    plan = make_plan(("lightm-unet", "nnu-net"))
    results = [
        make_result("lightm-unet", {"d": (0.5, 0.5)}),
        RunResult(Run("nnu-net", 0), FAILED, "out of memory"),
    ]
    first, second = rows_of(plan, results, costs)
    assert second.missing == ("seed 0: failed: out of memory",)
    assert second.seeds == ()
    assert second.test is None
    shown = dict(zip(columns(plan, [first, second]), cells(plan, second, [second]), strict=True))
    assert shown["DSC mean"] == "–"
    assert shown["parameters (M)"] == "2.000"


def test_the_recipe_is_a_column_where_each_network_has_its_own(make_plan, make_result, costs):
    result = make_result("lightm-unet", {"d": (0.5, 0.5)})
    for settings, shown in (({"recipe": "auto"}, True), ({"recipe": "adamw"}, False)):
        plan = make_plan(("lightm-unet",), settings=settings)
        (row,) = rows = rows_of(plan, [result], costs)
        table = dict(zip(columns(plan, rows), cells(plan, row, rows), strict=True))
        assert row.recipe == "adamw"
        assert table.get("recipe") == ("adamw" if shown else None)


def test_columns_and_cells_agree_with_and_without_classes(make_plan, make_result, costs):
    plan = make_plan(("lightm-unet",))
    rows = rows_of(plan, [make_result("lightm-unet", {"d": (0.5, 0.75)})], costs)
    shown = dict(zip(columns(plan, rows), cells(plan, rows[0], rows), strict=True))
    assert (shown["DSC left"], shown["DSC right"], shown["DSC mean"]) == ("0.500", "0.750", "0.625")
    brief = dict(zip(columns(plan, rows, False), cells(plan, rows[0], rows, False), strict=True))
    assert "DSC left" not in brief
    assert brief["IoU mean"] == "0.312"


def test_a_case_without_any_label_has_no_score_and_an_absent_class_no_mean(
    make_plan, make_result, costs
):
    plan = make_plan(("lightm-unet", "nnu-net"))
    results = [make_result(name, {"d": (0.5, 0.25), "e": (0.5, 0.5)}) for name in plan.networks]
    for result in results:
        d, e = result.evaluation.cases
        del d.labels[2], e.labels[1], e.labels[2]
    first, second = rows_of(plan, results, costs)
    assert math.isnan(case_scores([results[0].evaluation])["e"])
    assert first.by_class["dice"]["left"].mean == first.mean["dice"].mean == 0.5
    assert math.isnan(first.by_class["dice"]["right"].mean)
    assert second.test.cases == 1
