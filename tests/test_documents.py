"""What the documents say about results is what the published files hold.

Where the form of a number has changed, `python experiments/publish_results.py` writes the tables
anew.
"""

import re
from pathlib import Path

import pytest

from lightm_unet.comparison.table import cells, columns
from publish_results import between_marks, minutes, without_title
from published import read_published

ROOT = Path(__file__).parents[1]
COMPARISONS = sorted((ROOT / "docs" / "results").iterdir())


def rows_of(text: str) -> dict[str, list[str]]:
    """The rows of all Markdown tables in a text by their first cells."""
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in text.splitlines() if "|" in line]
    return {row[0]: row[1:] for row in rows}


def as_exactly_as(text: str, number: float) -> str:
    """The number with as many decimals as the text has."""
    return f"{number:.{len(text.partition('.')[2])}f}"


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda folder: folder.name)
def test_every_number_of_a_table_follows_from_the_published_scores(comparison):
    found = read_published(comparison)
    shown, rows = rows_of((comparison / "table.md").read_text()), found.rows
    assert len(rows) > 2
    assert shown["network"] == columns(found.plan, rows)[1:]
    for row in rows:
        assert shown[row.network] == cells(found.plan, row, rows)[1:]


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda folder: folder.name)
def test_every_run_has_a_score_for_each_test_case_and_class(comparison):
    found = read_published(comparison)
    for run in found.plan.runs:
        cases = found.results[run].evaluation.cases
        assert tuple(case.name for case in cases) == found.plan.split.test
        classes = set(range(1, len(found.plan.label_names)))
        assert all(set(case.labels) == classes for case in cases)


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda folder: folder.name)
def test_no_published_score_depends_on_how_empty_masks_count(comparison):
    for result in read_published(comparison).results.values():
        for case in result.evaluation.cases:
            assert all(scores.pred_voxels and scores.ref_voxels for scores in case.labels.values())


def test_the_results_page_shows_the_published_tables():
    page = (ROOT / "docs" / "results.md").read_text()
    for comparison in COMPARISONS:
        table = without_title((comparison / "table.md").read_text())
        assert between_marks(page, comparison.name, table) == page
    assert between_marks(page, "minutes", minutes(COMPARISONS)) == page


def test_the_readmes_results_are_the_published_ones():
    named = {
        "LightM-UNet": "lightm-unet",
        "`lightm-unet-small`": "lightm-unet-small",
        "`lightm-unet-tiny`": "lightm-unet-tiny",
        "the authors' released network": "lightm-unet-released",
        "their first upload": "lightm-unet-first-upload",
        "nnU-Net": "nnu-net",
        "SegResNet": "segresnet",
        "U-Mamba": "u-mamba",
    }
    text = (ROOT / "README.md").read_text()
    table = text.split("| lungs | hippocampus |")[1].split("\n\n")[0]
    shown = rows_of(table)
    lungs, hippocampus = (
        {row.network: row for row in read_published(ROOT / "docs" / "results" / name).rows}
        for name in ("lungs", "hippocampus")
    )
    for shown_as, network in named.items():
        cost = lungs[network].cost
        numbers = [
            cost.parameters / 1e6,
            cost.macs / 1e9,
            lungs[network].mean["dice"].mean,
            hippocampus[network].mean["dice"].mean,
        ]
        texts = [cell.removesuffix(" M") for cell in shown[shown_as]]
        assert texts == [as_exactly_as(text, n) for text, n in zip(texts, numbers, strict=True)]
