"""The machine's limits as a table, for the terminal and for Markdown."""

from __future__ import annotations

from lightm_unet.benchmark.limits_report import PROBE_SECONDS, REPEATS, STREAM_FLOATS, LimitsReport
from lightm_unet.diagnosis import describe_instruction_sets
from lightm_unet.reporting import formats
from lightm_unet.reporting.console import print_table
from lightm_unet.reporting.formats import NO_VALUE
from lightm_unet.reporting.text_tables import markdown_table

TEXT_COLUMNS = 2
"""Number of columns, from the left, that contain text."""


def columns(report: LimitsReport) -> tuple[str, ...]:
    """The headings; a column for each number of threads."""
    return ("limit", "unit", *(formats.plural(count, "thread") for count in report.threads))


def table_rows(report: LimitsReport) -> list[tuple[str, ...]]:
    """A row for each limit; its rates are in billions."""
    return [
        (
            limit.name,
            f"G{limit.unit}",
            *(
                formats.three_digits(limit.rates[count] / 1e9) if limit.rates else NO_VALUE
                for count in report.threads
            ),
        )
        for limit in report.limits
    ]


def remarks(report: LimitsReport) -> list[str]:
    """What was measured, and why a rate is missing."""
    lines = [
        f"Machine: {report.machine['devices']['cpu']}",
        f"Instruction sets: {describe_instruction_sets(report.machine['instruction_sets'])}",
        f"The best of {formats.plural(report.rounds * REPEATS, 'measurement')} of "
        f"{PROBE_SECONDS * 1e3:.0f} ms or more; float32; a multiply-add is 2 FLOP.",
        f"Memory: bytes of two buffers of {formats.megabytes(4 * STREAM_FLOATS)} MB, one read, one "
        "written by ordinary stores.",
    ]
    if not all(limit.rates for limit in report.limits):
        lines.append(f"{NO_VALUE}: needs the native kernels, which `lightm-unet doctor` misses.")
    return lines


TITLE = "Limits of this machine"


def print_limits(report: LimitsReport) -> None:
    """Print the table and the remarks on standard output."""
    print_table(TITLE, columns(report), table_rows(report), remarks(report), texts=TEXT_COLUMNS)


def markdown(report: LimitsReport) -> str:
    """The report as a Markdown page."""
    lines = [
        f"# {TITLE}",
        "",
        *markdown_table(columns(report), table_rows(report), texts=TEXT_COLUMNS),
        "",
        *(f"- {line}" for line in remarks(report)),
    ]
    return "\n".join(lines) + "\n"
