"""One part of many cases, for one of several processes: which part, and which cases are in it.

A case's part depends on its name alone, so it stays the same when other cases come or go, and on
every machine. Schedulers tell their processes numbers in the environment, which are read without
being asked for.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lightm_unet.errors import UsageError

NO_SHARD = "none"
"""The text that turns off what the environment says."""


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1.

    Example:
        >>> Shard.parse("2/8")
        Shard(number=2, count=8, source='--shard')
    """

    number: int
    count: int
    source: str = "--shard"
    """Where it comes from, for messages."""

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "i/N".

        Raises:
            UsageError: it is something else.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text) if isinstance(text, str) else None
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise UsageError(
                f"shard needs a part and how many there are, such as 1/8 to 8/8, got {text!r:.40}"
            )
        return shard

    def holds(self, name: str) -> bool:
        """Whether the case of this name is in this part."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1

    def __str__(self) -> str:
        return f"shard {self.number}/{self.count} ({self.source})"


def choose_shard(given: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """The part that an option or a scheduler names; None where there is one part only.

    Understood are SLURM's array jobs (SLURM_ARRAY_TASK_ID with _MIN, _COUNT and _STEP), Kubernetes'
    indexed jobs (JOB_COMPLETION_INDEX; Kubernetes does not tell the count, which the job's file
    sets as JOB_COMPLETIONS) and Google Cloud Run's jobs (CLOUD_RUN_TASK_INDEX and
    CLOUD_RUN_TASK_COUNT).

    Args:
        given: "i/N"; "none" for no part whatever the environment says; None for what it says.
        environment: the process's variables.

    Raises:
        UsageError: the option, or the environment, says something that cannot be.

    Example:
        >>> choose_shard(None, {"CLOUD_RUN_TASK_INDEX": "0", "CLOUD_RUN_TASK_COUNT": "4"})
        Shard(number=1, count=4, source='CLOUD_RUN_TASK_INDEX 0')
    """
    if given == NO_SHARD:
        return None
    if given is not None:
        shard: Shard | None = Shard.parse(given)
    elif "SLURM_ARRAY_TASK_ID" in environment:
        shard = _of_slurm(environment)
    elif "JOB_COMPLETION_INDEX" in environment:
        shard = _of_index(environment, "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")
    elif "CLOUD_RUN_TASK_INDEX" in environment:
        shard = _of_index(environment, "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT")
    else:
        return None
    return None if shard is None or shard.count == 1 else shard


def _of_slurm(environment: Mapping[str, str]) -> Shard:
    name = "SLURM_ARRAY_TASK_ID"
    task, count = _number(environment, name), _number(environment, "SLURM_ARRAY_TASK_COUNT")
    first = _number(environment, "SLURM_ARRAY_TASK_MIN", 0 if task < count else None)
    step = _number(environment, "SLURM_ARRAY_TASK_STEP", 1)
    place, rest = divmod(task - first, max(step, 1))
    if step < 1 or rest or not 0 <= place < count:
        raise UsageError(
            f"{name} is {task}, which is none of {count} tasks from {first} in steps of {step}, as "
            "the other SLURM_ARRAY_TASK_ variables say; number the array without gaps, such as "
            "--array=0-7, or give --shard i/N"
        )
    return Shard(place + 1, count, f"{name} {task}")


def _of_index(environment: Mapping[str, str], index: str, count: str) -> Shard:
    place, total = _number(environment, index), _number(environment, count)
    if place >= total:
        raise UsageError(
            f"{index} is {place} and {count} is {total}; expected an index from 0 below the count"
        )
    return Shard(place + 1, total, f"{index} {place}")


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"\d{1,9}", text):
        found = "is not set" if text is None else f"is {text!r:.40}"
        raise UsageError(
            f"{name} {found}; expected a whole number, to know which part of the cases to do; set "
            f"it, or give --shard i/N, or --shard {NO_SHARD} for all cases"
        )
    return int(text)
