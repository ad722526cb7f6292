"""What the documents say about results is what the published files hold."""

import re
from pathlib import Path
from statistics import mean

import pytest

from lightm_unet.comparison.plan import read_plan
from lightm_unet.comparison.results import read_result

ROOT = Path(__file__).parents[1]
COMPARISONS = sorted((ROOT / "docs" / "results").iterdir())


def found_by(comparison: Path) -> dict[str, str]:
    """Each network's mean test DSC over its seeds, as the tables show it."""
    plan = read_plan(comparison)
    scores: dict[str, list[float]] = {}
    for run in plan.runs:
        if result := read_result(comparison, run):
            scores.setdefault(str(run.network), []).append(result.evaluation.mean("dice"))
    return {network: f"{mean(values):.3f}" for network, values in scores.items()}


def rows_of(text: str) -> dict[str, list[str]]:
    """The rows of all Markdown tables in a text by their first cells."""
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in text.splitlines() if "|" in line]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda folder: folder.name)
def test_the_results_page_shows_the_published_scores(comparison):
    table = (comparison / "table.md").read_text()
    body = table.split("\n", 2)[2].strip()
    assert body in (ROOT / "docs" / "results.md").read_text()
    shown, expected = rows_of(table), found_by(comparison)
    mean_dice = next(i for i, name in enumerate(shown["network"]) if name in ("DSC", "DSC mean"))
    assert len(expected) > 2
    for network, dice in expected.items():
        assert shown[network][mean_dice].split(" ")[0] == dice


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
        found_by(ROOT / "docs" / "results" / name) for name in ("lungs", "hippocampus")
    )
    for shown_as, network in named.items():
        assert shown[shown_as][-2:] == [lungs[network], hippocampus[network]]
