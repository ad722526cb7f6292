import csv
import io
import json
import math

from lightm_unet.comparison.exports import cases_csv, comparison_json, markdown, networks_csv
from lightm_unet.comparison.plan import Run
from lightm_unet.comparison.remarks import make_remarks
from lightm_unet.comparison.results import DIVERGED, RunResult
from lightm_unet.comparison.table import make_rows


def example(make_plan, make_result, costs):
    plan = make_plan()
    done = make_result("lightm-unet", {"d": (0.5, 0.75), "e": (0.25, 1.0)})
    lost = RunResult(Run("nnu-net", 0), DIVERGED, "the loss became nan")
    results = {done.run: done, lost.run: lost}
    return plan, results, make_rows(plan, results, costs(plan), {})


def test_the_networks_file_has_every_number_and_blanks_where_there_is_none(
    make_plan, make_result, costs
):
    plan, _, rows = example(make_plan, make_result, costs)
    first, second = csv.DictReader(io.StringIO(networks_csv(plan, rows)))
    assert (first["network"], first["dice_left"], first["dice_mean"]) == (
        "lightm-unet",
        "0.375",
        "0.625",
    )
    assert first["macs"] == "3000000000"
    assert second["dice_mean"] == second["latency_seconds"] == ""
    assert second["missing"] == "seed 0: diverged: the loss became nan"


def test_the_cases_file_has_a_row_for_each_run_case_and_class(make_plan, make_result, costs):
    _, results, _ = example(make_plan, make_result, costs)
    rows = list(csv.DictReader(io.StringIO(cases_csv(results))))
    assert len(rows) == 4
    assert (rows[3]["case"], rows[3]["class"], rows[3]["dice"]) == ("e", "right", "1")
    assert (rows[3]["pred_voxels"], rows[3]["ref_voxels"]) == ("5", "5")


def test_the_json_is_valid_and_names_what_failed(make_plan, make_result, costs):
    plan, results, rows = example(make_plan, make_result, costs)
    content = comparison_json(plan, rows, results, make_remarks(plan, rows), {"version": "1"})
    text = json.dumps(content, allow_nan=False)
    assert json.loads(text)["runs"][1]["status"] == "diverged"
    assert content["networks"][1]["dice"]["mean"]["mean"] is None
    assert not any(math.isnan(v) for v in content["networks"][0]["dice"]["mean"].values() if v)


def test_the_markdown_table_holds_together_and_names_what_is_missing(make_plan, make_result, costs):
    plan, _, rows = example(make_plan, make_result, costs)
    text = markdown(plan, rows, make_remarks(plan, rows))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 4
    assert "- nnu-net, seed 0: diverged: the loss became nan" in text
