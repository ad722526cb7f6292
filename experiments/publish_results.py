"""Put what comparisons found into docs/results.md, and their small files beside it.

    python experiments/publish_results.py runs/lungs runs/hippocampus
    python experiments/publish_results.py    # after a change of the tables' form

Of each comparison docs/results/NAME gets the numbers that were found (`published.py` lists the
files) and the figure, but no image, mask or model. From these numbers table.md is then made anew in
every folder there, and put into docs/results.md between the marks with the folder's name.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
from pathlib import Path

from lightm_unet.comparison.exports import markdown
from lightm_unet.comparison.remarks import make_remarks
from lightm_unet.comparison.report import FIGURE_1
from lightm_unet.reporting.formats import NO_VALUE
from lightm_unet.reporting.text_tables import markdown_table
from published import NETWORKS, read_published, write_published

DOCS = Path(__file__).parents[1] / "docs"
TABLE = "table.md"
COPIED = (NETWORKS, FIGURE_1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("comparisons", type=Path, nargs="*", help="folders that `compare` wrote")
    parser.add_argument("--docs", type=Path, default=DOCS)
    arguments = parser.parse_args()
    page, results = arguments.docs / "results.md", arguments.docs / "results"
    text = page.read_text()
    for comparison in arguments.comparisons:  # refused before anything is replaced
        between_marks(text, comparison.name, "")
    for comparison in arguments.comparisons:
        copy_results(comparison, results / comparison.name)
    folders = sorted(results.iterdir())
    for folder in folders:
        table = table_of(folder)
        (folder / TABLE).write_text(table)
        text = between_marks(text, folder.name, without_title(table))
    page.write_text(between_marks(text, "minutes", minutes(folders)))


def copy_results(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    write_published(source, target)
    for name in COPIED:
        shutil.copy(source / name, target / name)


def table_of(published: Path) -> str:
    """The Markdown page that `compare` writes, from the published numbers."""
    found = read_published(published)
    rows = found.rows
    return markdown(found.plan, rows, make_remarks(found.plan, rows))


def without_title(table: str) -> str:
    return table.split("\n", 2)[2].strip()


def minutes(comparisons: list[Path]) -> str:
    """Mean minutes of a network's trainings, a column for each comparison."""
    found: dict[str, dict[str, str]] = {}
    for folder in comparisons:
        with (folder / NETWORKS).open() as file:
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
