import csv
import json

from lightm_unet.evaluation.evaluate import evaluate

LINE = {1: [(1, 1, 1), (1, 1, 2)]}


def write_three_cases(save_mask, tmp_path):
    """One perfect case, one with nothing predicted, one that has the label nowhere."""
    for name, pred, ref in (("a", LINE, LINE), ("b", {}, LINE), ("c", {}, {})):
        save_mask(f"pred/{name}.nii", pred)
        save_mask(f"ref/{name}.nii", ref)
    save_mask("pred/z.nii", LINE)
    evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out", labels=["liver, left"])
    return tmp_path / "out"


def test_csv_has_one_row_per_case_and_class_and_one_per_failure(save_mask, tmp_path):
    output = write_three_cases(save_mask, tmp_path)
    with (output / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["class"]) for row in rows] == [
        ("a", "liver, left"),
        ("b", "liver, left"),
        ("c", "liver, left"),
        ("z", ""),
    ]
    assert [row["dice"] for row in rows] == ["1", "0", "", ""]
    assert [row["hd95"] for row in rows] == ["0", "", "", ""]
    assert [row["ref_voxels"] for row in rows] == ["2", "2", "0", ""]
    assert "no reference named z" in rows[3]["error"]


def test_json_has_finite_numbers_and_counts_the_others(save_mask, tmp_path):
    output = write_three_cases(save_mask, tmp_path)

    def refuse(literal):
        raise AssertionError(f"{literal} is not JSON")

    summary = json.loads((output / "summary.json").read_text(), parse_constant=refuse)
    (label,) = summary["labels"]
    assert (label["value"], label["name"]) == (1, "liver, left")
    assert label["occurs"]
    assert label["dice"]["mean"] == 1 / 2
    assert label["hd95"] == {
        "mean": 0.0,
        "std": None,
        "median": 0.0,
        "n": 1,
        "infinite": 1,
        "undefined": 1,
    }
    assert summary["mean"]["hd95"] == 0.0
    assert (summary["cases"], summary["unit"], summary["tolerance"]) == (3, "mm", 2.0)
    assert [case["name"] for case in summary["failed"]] == ["z"]
