"""Faults that must not come back, and the document that lists them.

A function of `tests/reliability` that is marked with `fault` returns what it found, as text that
a reader understands; `tests/reliability/conftest.py` compares this with what is expected.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "reliability"
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"

INTRODUCTION = """# Reliability

Inputs and events that often end in a wrong mask, a wrong number or a lost run, with what this
package does about each. Every line is a test in `tests/reliability`; `make reliability` runs the
tests and writes this page.
"""


@dataclass(frozen=True)
class Fault:
    """One line of the document."""

    section: str
    """The heading that it stands under."""
    given: str
    """The input or the event."""
    expected: str
    """What has to come of it."""


def fault(section: str, given: str, expected: str) -> Callable[[Callable], Callable]:
    """Mark a test function that returns what it found; it has to be `expected`."""

    def mark(function: Callable) -> Callable:
        function.fault = Fault(section, given, expected)
        return function

    return mark


def all_faults() -> list[Fault]:
    """The faults of all files in `tests/reliability`, in the order of the files and functions."""
    faults = []
    for file in sorted(FOLDER.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"reliability_{file.stem}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        faults += [f.fault for f in vars(module).values() if hasattr(f, "fault")]
    return faults


def render(faults: list[Fault], found: Callable[[Fault], str]) -> str:
    """The document: a table for each section, in the order in which the sections first occur."""
    parts = [INTRODUCTION]
    for section in dict.fromkeys(fault.section for fault in faults):
        rows = [
            f"| {_cell(fault.given)} | {_cell(fault.expected)} | {_cell(found(fault))} |"
            for fault in faults
            if fault.section == section
        ]
        head = [f"## {section}\n", "| given | expected | found |", "| --- | --- | --- |"]
        parts.append("\n".join(head + rows) + "\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
