"""Control of a case's process: start it, build its network, run its turns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.diagnosis import RESTRICTIONS
from lightm_unet.system.json_codec import to_json
from lightm_unet.system.subprocesses import Child, python_module

WORKER = python_module("lightm_unet.benchmark.worker")
KEEP = {  # glibc: heap only, never returned, and grown in steps of 64 MiB
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(2**40),
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_TOP_PAD_": str(2**26),
}


def environment(case: BenchCase, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a case's process: sets its allocator, and drops disturbing variables.

    What restricts the instruction set stays, as it does in the parent.

    Example:
        >>> environment(BenchCase("nnu-net", (64, 64)), {"HOME": "/", "MALLOC_ARENA_MAX": "1"})
        {'HOME': '/'}
    """
    # A process that waits for its turn must not spin (OMP_WAIT_POLICY, GOMP_SPINCOUNT).
    disturbing = ("MALLOC_", "OMP_", "GOMP_", "KMP_", "MKL_")
    variables = {
        name: value
        for name, value in base.items()
        if not name.startswith(disturbing) or name in RESTRICTIONS
    }
    return variables | (KEEP if case.allocator == "kept" else {})


class BenchCaseProcess(Child):
    """A running case.

    Args:
        case: what it measures.
        command: the program, for tests.
    """

    def __init__(self, case: BenchCase, command: Sequence[str] = WORKER) -> None:
        self.case = case
        super().__init__(command, threads=case.threads, environment=environment(case, os.environ))

    def build(self) -> dict[str, Any]:
        """Build the network in the process; return `parameters` and `idle_bytes`.

        Raises:
            ChildError: it cannot; the message says why.
        """
        return self.ask({"do": "build", "case": to_json(self.case)})

    def turn(self, seconds: float) -> dict[str, Any]:
        """Run passes for this many seconds, at least one; return `seconds` and `peak_bytes`.

        Raises:
            ChildError: it failed; the message says why.
        """
        return self.ask({"do": "turn", "seconds": seconds})
