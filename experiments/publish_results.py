"""Put what comparisons found into docs/results.md, and their small files beside it.

    python benchmarks/publish_results.py runs/lungs runs/hippocampus

Of each comparison docs/results/NAME gets the plan, the tables, the figure, the times of the race
and each run's scores, but no image, mask or model; docs/results.md gets the table, between the
marks with its name.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
from pathlib import Path

from lightm_unet.comparison.plan import PLAN, read_plan
from lightm_unet.comparison.report import FIGURE_1
from lightm_unet.comparison.results import read_result, run_folder, write_result
from lightm_unet.comparison.speed import BENCH
from lightm_unet.reporting.formats import NO_VALUE
from lightm_unet.reporting.text_tables import markdown_table

DOCS = Path(__file__).parents[1] / "docs"
COPIED = (PLAN, "networks.csv", "table.md", FIGURE_1)
RACE = Path(BENCH, "bench.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("comparisons", type=Path, nargs="+", help="folders that `compare` wrote")
    parser.add_argument("--docs", type=Path, default=DOCS)
    arguments = parser.parse_args()
    page = arguments.docs / "results.md"
    text = page.read_text()
    for comparison in arguments.comparisons:
        text = between_marks(text, comparison.name, table_of(comparison))
    for comparison in arguments.comparisons:  # all of them have their place in the page
        copy_results(comparison, arguments.docs / "results" / comparison.name)
    text = between_marks(text, "minutes", minutes(sorted((page.parent / "results").iterdir())))
    page.write_text(text)


def copy_results(source: Path, target: Path) -> None:
    plan = read_plan(source)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in COPIED:
        shutil.copy(source / name, target / name)
    if (source / RACE).exists():
        (target / BENCH).mkdir()
        shutil.copy(source / RACE, target / RACE)
    for run in plan.runs:
        if result := read_result(source, run):
            run_folder(target, run).mkdir(parents=True)
            write_result(result, target)


def table_of(comparison: Path) -> str:
    """The Markdown page that `compare` wrote, without its title."""
    return (comparison / "table.md").read_text().split("\n", 2)[2].strip()


def minutes(comparisons: list[Path]) -> str:
    """Mean minutes of a network's trainings, a column for each comparison."""
    found: dict[str, dict[str, str]] = {}
    for folder in comparisons:
        with (folder / "networks.csv").open() as file:
            for row in csv.DictReader(file):
                seconds = row["training_seconds"]
                found.setdefault(row["network"], {})[folder.name] = (
                    f"{float(seconds) / 60:.0f}" if seconds else NO_VALUE
                )
    names = [folder.name for folder in comparisons]
    rows = [
        [network, *(cells.get(name, NO_VALUE) for name in names)]
        for network, cells in found.items()
    ]
    return "\n".join(markdown_table(["network", *names], rows))


def between_marks(text: str, name: str, content: str) -> str:
    marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = "(?<={})\n.*?(?={})".format(*map(re.escape, marks))
    replaced, times = re.subn(pattern, lambda _: f"\n{content}\n", text, flags=re.DOTALL)
    if times != 1:
        raise SystemExit(f"expected {' and '.join(marks)} once in the page, found {times}")
    return replaced


if __name__ == "__main__":
    main()
