"""A report as tables: for the terminal, for Markdown, and all its files."""

from __future__ import annotations

from pathlib import Path

from lightm_unet.benchmark.plot import draw_latency
from lightm_unet.benchmark.report import BenchReport
from lightm_unet.benchmark.results import Result, Spread, series_name, three_digits
from lightm_unet.system.files import write_bytes
from lightm_unet.system.records import write_record

UNSTEADY = 1.5
"""Slowest round / fastest round from which the reader is warned."""
COLUMNS = (
    "size",
    "contestant",
    "parameters",
    "median ms",
    "min to max ms",
    "images/s",
    "Mvoxels/s",
    "peak above idle, MB",
    "peak in all, MB",
    "time / first's",
)


def show_ratio(ratio: Spread | None) -> str:
    """The median ratio and its range over the rounds; a dash where there is nothing to compare.

    Example:
        >>> show_ratio(Spread(2.5, 2.4, 2.75))
        '2.50 (2.40 to 2.75)'
    """
    return "–" if ratio is None else f"{ratio.median:.2f} ({ratio.min:.2f} to {ratio.max:.2f})"


def table_rows(report: BenchReport) -> list[tuple[str, ...]]:
    """A row of `COLUMNS` for each contestant; a failed one has dashes, and its reason below."""
    rows = []
    for result in report.results:
        size = result.contestant.size_text
        name = series_name(result.contestant, report.results)
        if result.error:
            rows.append((size, name, "failed", *["–"] * (len(COLUMNS) - 3)))
            continue
        latency = result.latency
        rows.append(
            (
                size,
                name,
                f"{result.parameters:,}",
                three_digits(latency.median * 1e3),
                f"{three_digits(latency.min * 1e3)} to {three_digits(latency.max * 1e3)}",
                three_digits(result.images_per_second),
                three_digits(result.voxels_per_second / 1e6),
                f"{result.peak_above_idle / 1e6:.0f}",
                f"{result.peak_bytes / 1e6:.0f}",
                show_ratio(result.ratio),
            )
        )
    return rows


def remarks(report: BenchReport) -> list[str]:
    """Sentences below the table: growth with the size, failures, and how the run went."""
    lines = []
    for growth in report.growths:
        steps = ", ".join(f"{step:.2f}" for step in growth.steps)
        lines.append(
            f"{growth.name}: time at 2x the voxels / time is {growth.overall:.2f} from "
            f"{growth.sizes[0]} to {growth.sizes[-1]} (from size to size: {steps}); "
            "2.00 is linear"
        )
    for result in report.results:
        if not result.error and result.latency.max > UNSTEADY * result.latency.min:
            lines.append(
                f"{series_name(result.contestant, report.results)}, "
                f"{result.contestant.size_text}: the slowest round took "
                f"{result.latency.max / result.latency.min:.1f} times the fastest; did something "
                "else run on this machine?"
            )
    failures: dict[tuple[str, str, str], dict[str, None]] = {}
    for result in report.failed:
        who = result.contestant
        failures.setdefault((who.network, who.engine, result.error), {})[who.size_text] = None
    for (network, engine, error), sizes in failures.items():
        lines.append(f"{network} ({engine}), {', '.join(sizes)} failed: {error}")
    return [*lines, *report.notes]


def title(report: BenchReport) -> str:
    """What was measured, in one line."""
    one = report.results[0].contestant
    job = {"forward": "Inference", "train": "Training step"}[one.job]
    threads = sorted({r.contestant.threads for r in report.results})
    devices = dict.fromkeys(r.contestant.device for r in report.results)
    return (
        f"{job} on {', '.join(devices)}, batch {one.batch}, float32, "
        f"{' and '.join(map(str, threads))} thread{'' if threads == [1] else 's'}, "
        f"{report.rounds} round{'' if report.rounds == 1 else 's'} in turn"
    )


def print_report(report: BenchReport) -> None:
    """Print the table and the remarks on standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    # A file or a pipe has no width of its own: let no number be cut there.
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    table = Table(*COLUMNS, title=title(report), box=SIMPLE_HEAD, title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in table_rows(report):
        table.add_row(*row)
    console.print(table)
    for line in remarks(report):
        console.print(line, markup=False, soft_wrap=True)


def markdown(report: BenchReport) -> str:
    """The report as a Markdown page."""
    machine = report.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    lines = [
        f"# {title(report)}",
        "",
        f"lightm-unet {machine['version']} on {machine['system']}; "
        f"{machine['devices']['cpu']}; {packages}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- | --- |" + " ---: |" * (len(COLUMNS) - 2),
        *("| " + " | ".join(row) + " |" for row in table_rows(report)),
        "",
        *(f"- {line}" for line in remarks(report)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def write_report(report: BenchReport, folder: Path) -> None:
    """Write bench.json, table.md, and where anything was measured latency.png and latency.svg."""
    write_record(report.to_json(), folder / "bench.json")
    write_bytes(markdown(report).encode(), folder / "table.md")
    measured: list[Result] = [result for result in report.results if not result.error]
    if measured:
        draw_latency(measured, title(report), folder / "latency.png", folder / "latency.svg")
