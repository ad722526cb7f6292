"""The coordinator's end of a contestant's process: start it, ask it, and never wait for the dead.

Memory is watched while a process works. One that leaves the system next to none is ended, before
the system swaps, or ends something else.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from lightm_unet.benchmark.contestants import Contestant
from lightm_unet.errors import LightMUNetError
from lightm_unet.system.json_codec import to_json

WORKER = (sys.executable, "-m", "lightm_unet.benchmark.worker")
SPARE_SHARE = 0.05
"""Share of the machine's memory that a contestant must leave free."""
WATCH_SECONDS = 0.1
KEEP = {  # glibc: heap only, never returned, and grown in steps of 64 MiB
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(2**40),
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_TOP_PAD_": str(2**26),
}


class ContestantError(LightMUNetError):
    """A contestant cannot go on; the message says why."""


class MemoryNeededError(ContestantError):
    """A contestant was ended because the machine's memory was running out."""


def environment(contestant: Contestant, base: Mapping[str, str]) -> dict[str, str]:
    """The variables of a contestant's process: threads, allocator, and none that would disturb.

    Example:
        >>> environment(Contestant("nnu-net", (64, 64), threads=2), {"MALLOC_ARENA_MAX": "1"})
        {'OMP_NUM_THREADS': '2', 'MKL_NUM_THREADS': '2'}
    """
    # A process that waits for its turn must not spin (OMP_WAIT_POLICY, GOMP_SPINCOUNT).
    disturbing = ("MALLOC_", "OMP_", "GOMP_", "KMP_", "MKL_")
    variables = {k: v for k, v in base.items() if not k.startswith(disturbing)}
    variables |= {
        "OMP_NUM_THREADS": str(contestant.threads),
        "MKL_NUM_THREADS": str(contestant.threads),
    }
    return variables | (KEEP if contestant.allocator == "kept" else {})


class ContestantProcess:
    """A running contestant.

    Args:
        contestant: what it measures.
        command: the program, for tests.

    Use it as a context manager, or call `end`: the process must not outlive its coordinator.
    """

    def __init__(self, contestant: Contestant, command: tuple[str, ...] = WORKER) -> None:
        self.contestant = contestant
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._stderr = (Path(self._folder.name) / "stderr").open("w+b")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            # Its exported networks go with the folder, even if it is killed over them.
            env=environment(contestant, os.environ) | {"TMPDIR": self._folder.name},
            start_new_session=True,  # Ctrl-C reaches the coordinator alone, which ends the others
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> ContestantProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def build(self) -> dict[str, Any]:
        """Let it build its network; returns `parameters` and `idle_bytes`.

        Raises:
            ContestantError: it cannot; the message says why.
        """
        return self._ask({"do": "build", "contestant": to_json(self.contestant)})

    def turn(self, seconds: float) -> dict[str, Any]:
        """Let it do passes for so many seconds, one at least; returns `seconds`, `peak_bytes`.

        Raises:
            ContestantError: it failed; the message says why.
        """
        return self._ask({"do": "turn", "seconds": seconds})

    def end(self) -> None:
        """End the process, and those it started, whatever it is doing."""
        if self._process.poll() is None:
            # An ONNX contestant may be waiting for the process that exports it.
            family = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            for child in family:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            with suppress(OSError):  # a request that was never read
                stream.close()
        self._folder.cleanup()

    def _read(self) -> None:
        with suppress(ValueError):  # closed by `end`
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put(None)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except OSError as error:
            raise ContestantError(self._last_words()) from error
        while True:
            try:
                line = self._answers.get(timeout=WATCH_SECONDS)
                break
            except queue.Empty:
                self._watch_memory()
        if line is None:
            raise ContestantError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise ContestantError(answer["error"])
        return answer

    def _watch_memory(self) -> None:
        memory = psutil.virtual_memory()
        if memory.available > SPARE_SHARE * memory.total:
            return
        try:
            held = psutil.Process(self._process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return
        self.end()
        raise MemoryNeededError(
            f"out of memory: it held {held / 1e9:.1f} GB and wanted more, "
            f"with {memory.available / 1e9:.1f} GB left of the machine's {memory.total / 1e9:.1f}"
        )

    def _last_words(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = " (the system's way when memory runs out)" if code == -9 else ""
        said = f": {lines[-1][:300]}" if lines else ""
        return f"its process ended by {how}{hint}{said}"
