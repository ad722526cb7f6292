"""Programs in processes of their own: started, asked, watched and ended.

Parent and child speak in lines of text over the child's stdin and stdout. Neither is left waiting
for the other: a child that dies says how, one that leaves the machine next to no memory is ended
before the system swaps or ends something else, and a child ends when its parent does.

    with Child(python_module("lightm_unet.benchmark.worker")) as child:      # the parent
        answer = child.ask({"do": "build"})

    requests, answers = join_parent()                                        # the child
    for line in requests:
        print('{"parameters": 3}', file=answers, flush=True)
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil

from lightm_unet.errors import LightMUNetError

SPARE_SHARE = 0.05
"""Share of the machine's memory that children must leave free."""
WATCH_SECONDS = 0.1
"""Between two looks at the machine's memory."""
_ORPHANED = 1
"""Exit code of a child whose parent has gone."""
_watching = threading.Lock()


class ChildError(LightMUNetError):
    """A child cannot go on; the message says why."""


class MemoryNeededError(ChildError):
    """A child was ended because the machine's memory was running out."""


def python_module(name: str, *arguments: str | Path) -> tuple[str, ...]:
    """The command that runs a module with this Python."""
    return (sys.executable, "-m", name, *map(str, arguments))


class Child:
    """A running program, with what it needs to be ended without a trace.

    It has a session of its own, so that Ctrl-C reaches the parent alone, which ends its children.
    Its temporary files and its stderr lie in a folder that goes with it.

    Args:
        command: the program and its arguments.
        threads: for OpenMP and MKL, and so for torch; None leaves that to the environment.
        environment: its variables; by default those of this process.
        watch_memory: end it when the machine's memory runs out. A child's own child is left to
            whoever watches the child.

    Use it as a context manager, or call `end`: it must not outlive its parent.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
        watch_memory: bool = True,
    ) -> None:
        self.watch_memory = watch_memory
        variables = dict(os.environ if environment is None else environment)
        if threads is not None:
            variables |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self._stderr = (self.folder / "stderr").open("w+b")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            errors="replace",
            env=variables | {"TMPDIR": self._folder.name},
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._ending = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer; both are JSON objects on one line.

        Raises:
            ChildError: it answered with `{"error": reason}`, or ended instead of answering.
            MemoryNeededError: it had to be ended.
        """
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except OSError as error:
            raise ChildError(self.how_it_ended()) from error
        line = self._next_line()
        if line is None:
            raise ChildError(self.how_it_ended())
        answer = json.loads(line)
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer

    def lines(self) -> Iterator[str]:
        """Each line that it prints, until it ends.

        Raises:
            MemoryNeededError: it had to be ended.
        """
        while (line := self._next_line()) is not None:
            yield line.rstrip("\n")

    def how_it_ended(self) -> str:
        """Wait until it ends; returns how, in a few words, with the last line of its stderr."""
        code = self._process.wait()
        lines = []
        with self._ending:
            if not self._stderr.closed:  # as `end` leaves it
                self._stderr.seek(0)
                lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1][:300]}" if lines else ""
        return f"its process ended by {describe_exit(code)}{said}"

    def end(self) -> None:
        """End the process, and those it started, whatever it is doing."""
        with self._ending:
            if self._process.poll() is None:
                family = self._family()
                self._process.kill()
                for process in family:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            self._process.wait()
            with suppress(OSError):  # a request that was never read
                assert self._process.stdin is not None  # a pipe
                self._process.stdin.close()
            self._stderr.close()
            self._folder.cleanup()

    def _read(self) -> None:
        assert self._process.stdout is not None  # a pipe
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _next_line(self) -> str | None:
        """The next line of its stdout; None once there are no more."""
        while True:
            try:
                line = self._lines.get(timeout=WATCH_SECONDS)
            except queue.Empty:
                if self.watch_memory:
                    self._look_at_memory()
                continue
            if line is None:
                self._lines.put(None)  # for whoever asks again
            return line

    def _look_at_memory(self) -> None:
        # One child at a time: what the first leaves may be enough for the others.
        with _watching:
            memory = psutil.virtual_memory()
            if memory.available > SPARE_SHARE * memory.total:
                return
            held = 0
            for process in self._family():
                with suppress(psutil.NoSuchProcess):
                    held += process.memory_info().rss
            if not held:  # it has ended by itself
                return
            self.end()
        raise MemoryNeededError(
            f"out of memory: it held {held / 1e9:.1f} GB and wanted more, "
            f"with {memory.available / 1e9:.1f} GB left of the machine's {memory.total / 1e9:.1f}"
        )

    def _family(self) -> list[psutil.Process]:
        """The process and all its descendants, as far as they live."""
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def describe_exit(code: int) -> str:
    """How a process ended, from `Popen.returncode`.

    Example:
        >>> describe_exit(7), describe_exit(-9)
        ('exit code 7', "signal 9 (the system's way when memory runs out)")
    """
    if code >= 0:
        return f"exit code {code}"
    hint = " (the system's way when memory runs out)" if code == -9 else ""
    return f"signal {-code}{hint}"


def join_parent() -> tuple[Iterator[str], IO[str]]:
    """Become a child of `Child`: from here on this process ends when its parent does.

    It ends at once, whatever it is doing. What the rest of the program prints goes to stderr, so
    that libraries that print do not speak to the parent.

    Returns:
        The lines that the parent sends, and a file for the lines that it shall get.
    """
    requests: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            requests.put(line)
        os._exit(_ORPHANED)

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=listen, daemon=True).start()
    return iter(requests.get, None), answers
