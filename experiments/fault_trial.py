"""Training runs that are killed and damaged: each goes on to the same bits or says why not.

A small run is killed at random moments and between any two of its file operations, its files are
damaged, its disk is full, and two processes want its folder. After each fault the run is resumed on
the command line. Its model, log and checkpoint must then be those of a run that nothing has
disturbed, or one line must say why it cannot go on. Prints a table; the exit code is 1 if anything
else happened.

    python experiments/fault_trial.py OUTPUT --kills 20 --seed 0
"""

from __future__ import annotations

import argparse
import csv
import errno
import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import monai.transforms  # noqa: F401 (for the forks, as the next two)
import pytorch_lightning.loggers  # noqa: F401
import torch
import torch.utils.tensorboard

import lightm_unet.training.train  # noqa: F401
from lightm_unet.cli import main as run_command
from lightm_unet.datasets.phantom import write_phantom_dataset
from lightm_unet.reporting.text_tables import markdown_table
from lightm_unet.training import callbacks, mending  # noqa: F401

SETTINGS = (
    *("--size", "24x24", "--epochs", "4", "--batch-size", "2", "--device", "cpu"),
    *("--recipe", "released", "--learning-rate", "0.02"),
    *("--network", "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"),
)
FILES = (
    "checkpoints/last.ckpt",
    "checkpoints/previous.ckpt",
    "checkpoints/best.ckpt",
    "model/model.safetensors",
    "model/model.json",
    "run.json",
    "split.json",
    "log.csv",
    "prepared/*.image.npy",
    "prepared/*.labels.npy",
    "lock.json",
    "checkpoints/.lightm-unet-0123456789abcdef.tmp",
)
SAME, TOLD = "the same bits", "one line"


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    """Its exit code; negative for a signal."""
    error: str
    """Its standard error."""


class Outcome(NamedTuple):
    """What came of one fault."""

    fault: str
    result: str
    detail: str

    @property
    def right(self) -> bool:
        """Whether it is what a run has to come to."""
        return self.result in (SAME, TOLD)


class Operations:
    """Counts the file operations of a process: files that reach the disk, and renames."""

    def __init__(self) -> None:
        self.count = 0

    def intercept(self, act: Callable[[int], None]) -> None:
        """Call `act` with the number of each operation, before it is done."""
        for name in ("fsync", "replace"):
            setattr(os, name, self._wrapped(getattr(os, name), act))

    def _wrapped(self, operation: Callable, act: Callable[[int], None]) -> Callable:
        def wrapped(*arguments: object) -> object:
            self.count += 1
            act(self.count)
            return operation(*arguments)

        return wrapped


class Trial:
    """The data, the undisturbed run, and what is done to others.

    Processes are forks of this one, which has imported everything: they start at once.

    Args:
        folder: for everything that is written.
        seed: of moments and places.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.data = folder / "data"
        write_phantom_dataset(self.data, "xray", cases=6, size=32)
        counted = folder / "operations"

        def note(count: int) -> None:
            counted.write_text(str(count))

        for name in ("first", "whole"):
            started = time.perf_counter()
            ended = self.train(folder / name, before=note)
            self.seconds = time.perf_counter() - started
            if ended.code:
                raise SystemExit(f"the undisturbed run failed: {ended.error}")
        self.operations = int(counted.read_text())
        self.wanted = self.bits(folder / "whole")
        if self.wanted != self.bits(folder / "first"):
            raise SystemExit("two undisturbed runs differ")

    def train(
        self,
        run: Path,
        *words: str,
        before: Callable[[int], None] | None = None,
        kill_after: float | None = None,
    ) -> Ended:
        """Run `lightm-unet train` in a process of its own, and wait for its end.

        Args:
            run: the run's folder.
            words: further options.
            before: called in that process before each file operation, with its number.
            kill_after: seconds until SIGKILL.
        """
        return self.wait(self.begin(run, *words, before=before), run, kill_after)

    def begin(self, run: Path, *words: str, before: Callable[[int], None] | None = None) -> int:
        """The number of a process that trains."""
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            output = os.open(self._output(run, os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            if before is not None:
                Operations().intercept(before)
            sys.argv = ["lightm-unet", "train", str(self.data), "--output", str(run), *words]
            if "--resume" not in words:
                sys.argv += SETTINGS
            run_command()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def wait(self, pid: int, run: Path, kill_after: float | None = None) -> Ended:
        """How a process ends, if need be by SIGKILL."""
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        output = self._output(run, pid)
        error = output.read_text(errors="replace")
        output.unlink()
        return Ended(os.waitstatus_to_exitcode(status), error)

    def _output(self, run: Path, pid: int) -> Path:
        return self.folder / f"{run.name}.{pid}.txt"

    def bits(self, run: Path) -> dict[str, object]:
        """What has to be the same: weights, card, last state, and the log without clock and RAM."""
        with (run / "log.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            del row["seconds"], row["peak_memory_mb"]
        state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        return {
            "model": _digest(run / "model/model.safetensors"),
            "card": _digest(run / "model/model.json"),
            "last": {name: tensor.tolist() for name, tensor in state.items()},
            "log": rows,
            "left": sorted(str(path.relative_to(run)) for path in run.rglob(".*.tmp")),
        }

    def resume(self, fault: str, run: Path) -> Outcome:
        """Go on with a run, and compare."""
        begun = (run / "run.json").exists()
        ended = self.train(run, "--resume") if begun else self.train(run)
        how = "" if begun else "started again, since it had not begun; "
        return self.judge(fault, run, ended, how)

    def judge(self, fault: str, run: Path, ended: Ended, how: str = "") -> Outcome:
        """What a command that has ended came to."""
        *said, last = ended.error.strip().splitlines() or [""]
        if ended.code == 0:
            found = self.bits(run)
            wrong = [name for name in self.wanted if found[name] != self.wanted[name]]
            notes = [
                line
                for line in [*said, last]
                if not line.startswith(("cases: ", "epoch ", "best validation"))
            ]
            text = how + "; ".join(_short(line, run) for line in notes)
            return Outcome(fault, f"other {', '.join(wrong)}" if wrong else SAME, text)
        told = last.startswith("lightm-unet: ") and "Traceback" not in ended.error
        return Outcome(
            fault,
            TOLD if told and ended.code in (2, 3, 4) else "neither",
            f"exit code {ended.code}: {_short(last, run)}",
        )

    def copy(self, source: Path) -> Path:
        """A copy of a run to be disturbed, with links to the files left as they are."""
        target = self.folder / "disturbed"
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(source, target)) if source.exists() else target

    # ------------------------------------------------------------------------------- the faults

    def kill_at_a_moment(self, number: int) -> Outcome:
        """SIGKILL after a random time."""
        run = self.copy(self.folder / "nothing")
        delay = self.random.uniform(0, self.seconds)
        ended = self.train(run, kill_after=delay)
        fault = f"killed after {100 * delay / self.seconds:.0f} % of the time"
        if ended.code == 0:
            return self.judge(f"{fault} (it had ended)", run, ended)
        return self.resume(fault, run)

    def kill_at_an_operation(self, number: int) -> Outcome:
        """SIGKILL just before a file operation."""
        run = self.copy(self.folder / "nothing")

        def kill(count: int) -> None:
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        self.train(run, before=kill)
        return self.resume(f"killed at file operation {number} of {self.operations}", run)

    def fill_the_disk(self, number: int) -> Outcome:
        """No space from a file operation on; then resumed with space."""
        run = self.copy(self.folder / "nothing")

        def fail(count: int) -> None:
            if count >= number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        told = self.judge("", run, self.train(run, before=fail))
        fault = f"disk full from file operation {number} of {self.operations} on"
        if told.result != TOLD:
            return told._replace(fault=fault)
        return self.resume(f"{fault}; then space again", run)

    def interrupted(self) -> Path:
        """A run killed while it wrote the checkpoint of its third epoch."""
        run = self.folder / "interrupted"

        def kill(count: int) -> None:
            temporary = [path.name for path in (run / "checkpoints").glob(".last.ckpt.*")]
            rows = (run / "log.csv").read_text().count("\n") if temporary else 0
            if rows == 4:
                os.kill(os.getpid(), signal.SIGKILL)

        self.train(run, before=kill)
        return run

    def damage(self, source: Path, name: str, how: str) -> Outcome:
        """A file that is cut, changed, deleted or emptied."""
        run = self.copy(source)
        file = sorted(run.glob(name))[0] if "*" in name else run / name
        content = bytearray(file.read_bytes()) if file.exists() else bytearray(b"half a file")
        if how == "truncated":
            del content[self.random.randrange(len(content)) :]
        elif how == "with a flipped bit":
            content[self.random.randrange(len(content))] ^= 1 << self.random.randrange(8)
        elif how == "empty":
            content.clear()
        file.write_bytes(content)
        if how == "deleted":
            file.unlink()
        return self.resume(f"{name.replace('*', 'CASE')} {how}", run)

    def start_twice(self) -> list[Outcome]:
        """Two processes at the same moment; and a third while one of them trains."""
        run = self.copy(self.folder / "nothing")
        first, second = self.begin(run), self.begin(run)
        ends = [self.wait(pid, run) for pid in (first, second)]
        outcomes = [self.judge("two starts at the same moment", run, end) for end in ends]
        if sorted(outcome.result for outcome in outcomes) != sorted([SAME, TOLD]):
            outcomes = [outcome._replace(result="neither") for outcome in outcomes]
        return outcomes


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _short(line: str, run: Path) -> str:
    return line.replace(f"{run}/", "").replace(str(run), "RUN").removeprefix("lightm-unet: ")


def spread(count: int, total: int) -> list[int]:
    """So many numbers from 1 to `total`, evenly spread.

    Example:
        >>> spread(3, 100)
        [1, 50, 100]
    """
    return sorted({1 + round(place * (total - 1) / max(count - 1, 1)) for place in range(count)})


def try_faults(
    folder: Path, kills: int, operations: int, seed: int, files: Sequence[str] = FILES
) -> list[Outcome]:
    """All faults.

    Args:
        folder: for everything that is written; new.
        kills: kills at random moments.
        operations: kills, and full disks, at so many file operations.
        seed: of the random moments and places.
        files: those that are damaged, each in four ways.
    """
    torch.set_num_threads(1)  # also: a fork inherits no thread
    folder.mkdir(parents=True)
    trial = Trial(folder, seed)
    outcomes = [trial.kill_at_a_moment(number) for number in range(kills)]
    numbers = spread(operations, trial.operations)
    outcomes += [trial.kill_at_an_operation(number) for number in numbers]
    outcomes += [trial.fill_the_disk(number) for number in numbers]
    source = trial.interrupted()
    outcomes += [
        trial.damage(source, name, how)
        for name in files
        for how in ("truncated", "with a flipped bit", "deleted", "empty")
    ]
    return outcomes + trial.start_twice()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--operations", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    outcomes = try_faults(options.output, options.kills, options.operations, options.seed)
    print("\n".join(markdown_table(["fault", "came to", "what it said"], outcomes, texts=3)))
    wrong = [outcome for outcome in outcomes if not outcome.right]
    print(f"\n{len(outcomes)} faults, {len(wrong)} came to something else")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
