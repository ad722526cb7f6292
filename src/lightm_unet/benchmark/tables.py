"""A report as tables: for the terminal, for Markdown, and all its files."""

from __future__ import annotations

from pathlib import Path

from lightm_unet.benchmark.plot import draw_latency
from lightm_unet.benchmark.report import BenchReport
from lightm_unet.benchmark.results import JOB_NAMES, Result, Spread, series_name
from lightm_unet.diagnosis import describe_instruction_sets
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.reporting import formats
from lightm_unet.reporting.console import print_table
from lightm_unet.reporting.formats import NO_VALUE
from lightm_unet.reporting.text_tables import markdown_table
from lightm_unet.system.files import write_bytes
from lightm_unet.system.records import write_record

UNSTEADY = 1.5
"""Ratio of the slowest to the fastest round above which the report warns."""
COLUMNS = (
    "size",
    "network",
    "parameters",
    "median\nms",
    "min to max\nms",
    "images\nper s",
    "Mvoxels\nper s",
    "share of\nlimit",
    "peak above\nidle, MB",
    "peak in\nall, MB",
    "time /\nfirst's",
)
TEXT_COLUMNS = 2
"""Number of columns, from the left, that contain text."""
RATIO_TITLE = "Ratios of medians"
RATIO_COLUMNS = ("size", "network", "time / time", "ratio")
RATIO_TEXT_COLUMNS = 3


def table_rows(report: BenchReport) -> list[tuple[str, ...]]:
    """A row of `COLUMNS` for each case; a failed one has its reason below."""
    rows = []
    for result in report.results:
        size = formats.size(result.case.size)
        name = series_name(result.case, report.results)
        if result.error:
            rows.append((size, name, "failed", *[NO_VALUE] * (len(COLUMNS) - 3)))
            continue
        latency = result.latency
        rows.append(
            (
                size,
                name,
                f"{result.parameters:,}",
                formats.milliseconds(latency.median),
                f"{formats.milliseconds(latency.min)} to {formats.milliseconds(latency.max)}",
                formats.three_digits(result.images_per_second),
                formats.three_digits(result.voxels_per_second / 1e6),
                _show_share(result.share_of_limit),
                formats.megabytes(result.peak_above_idle),
                formats.megabytes(result.peak_bytes),
                _show_ratio(result.ratio),
            )
        )
    return rows


def _show_share(share: float | None) -> str:
    return NO_VALUE if share is None else f"{share:.0%}"


def _show_ratio(ratio: Spread | None) -> str:
    if ratio is None:
        return NO_VALUE
    return formats.middle_and_range(ratio.median, ratio.min, ratio.max)


def ratio_rows(report: BenchReport) -> list[tuple[str, ...]]:
    """A row of `RATIO_COLUMNS` for each ratio between jobs or numbers of threads."""
    return [
        (formats.size(ratio.size), ratio.name, ratio.of, f"{ratio.value:.2f}")
        for ratio in report.ratios
    ]


def remarks(report: BenchReport) -> list[str]:
    """Sentences below the table: the limit, growth with the size, failures, the run's remarks."""
    lines = _about_the_limit(report)
    for growth in report.growths:
        steps = ", ".join(f"{step:.2f}" for step in growth.steps)
        lines.append(
            f"{growth.name}: time at 2x the voxels / time is {growth.overall:.2f} from "
            f"{formats.size(growth.sizes[0])} to {formats.size(growth.sizes[-1])} "
            f"(from size to size: {steps}); 2.00 is linear"
        )
    for result in report.results:
        if not result.error and result.latency.max > UNSTEADY * result.latency.min:
            lines.append(
                f"{series_name(result.case, report.results)}, "
                f"{formats.size(result.case.size)}: the slowest round took "
                f"{result.latency.max / result.latency.min:.1f} times the fastest; did something "
                "else run on this machine?"
            )
    failures: dict[tuple[NetworkSpec, str, str | None], dict[str, None]] = {}
    for result in report.failed:
        who = result.case
        failures.setdefault((who.network, who.engine, result.error), {})[formats.size(who.size)] = (
            None
        )
    for (network, engine, error), sizes in failures.items():
        lines.append(f"{network} ({engine}), {', '.join(sizes)} failed: {error}")
    return [*lines, *report.notes]


def _about_the_limit(report: BenchReport) -> list[str]:
    sets = report.machine["instruction_sets"]
    lines = [f"Instruction sets: {describe_instruction_sets(sets)}"]
    limits = {r.case.threads: r.flops_limit for r in report.results if r.flops_limit is not None}
    if limits:
        rates = [
            f"{formats.three_digits(rate / 1e9)} GFLOP/s with {formats.plural(threads, 'thread')}"
            for threads, rate in sorted(limits.items())
        ]
        lines.append(f"Limit of the native kernels' multiply-adds: {', '.join(rates)}")
        three = "; a training step counts as 3 passes" if "train" in _jobs(report) else ""
        lines.append(f"Share of limit: operations as in `count` / median / limit{three}")
        if sets["native kernels"].lower() != sets["torch"].lower() and {
            sets["native kernels"].lower(),
            sets["torch"].lower(),
        } <= {"avx2", "avx512"}:
            lines.append(
                "torch has another instruction set than the native kernels: its own limit differs"
            )
    return lines


def _jobs(report: BenchReport) -> list[str]:
    return list(dict.fromkeys(result.case.job for result in report.results))


def title(report: BenchReport) -> str:
    """What was measured, in one line."""
    one = report.results[0].case
    jobs = " and ".join(JOB_NAMES[job] for job in _jobs(report)).capitalize()
    threads = sorted({r.case.threads for r in report.results})
    devices = dict.fromkeys(r.case.device for r in report.results)
    return (
        f"{jobs} on {', '.join(devices)}, batch {one.batch}, float32, "
        f"{' and '.join(map(str, threads))} {formats.noun(max(threads), 'thread')}, "
        f"{formats.plural(report.rounds, 'round')} in turn"
    )


def print_report(report: BenchReport) -> None:
    """Print the tables and the remarks on standard output."""
    print_table(title(report), COLUMNS, table_rows(report), remarks(report), texts=TEXT_COLUMNS)
    if report.ratios:
        print_table(RATIO_TITLE, RATIO_COLUMNS, ratio_rows(report), texts=RATIO_TEXT_COLUMNS)


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
        *markdown_table(COLUMNS, table_rows(report), texts=TEXT_COLUMNS),
        "",
        *(f"- {line}" for line in remarks(report)),
    ]
    if report.ratios:
        table = markdown_table(RATIO_COLUMNS, ratio_rows(report), texts=RATIO_TEXT_COLUMNS)
        lines += ["", f"## {RATIO_TITLE}", "", *table]
    return "\n".join(lines).rstrip() + "\n"


def write_report(report: BenchReport, folder: Path) -> None:
    """Write bench.json, table.md, and where anything was measured latency.png and latency.svg."""
    write_record(report.to_json(), folder / "bench.json")
    write_bytes(markdown(report).encode(), folder / "table.md")
    measured: list[Result] = [result for result in report.results if not result.error]
    if measured:
        draw_latency(measured, title(report), folder / "latency.png", folder / "latency.svg")
