"""Progress events of a long job, for a terminal, a server or another machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class ProgressEvent:
    """One step of a job; `dataclasses.asdict` gives it as JSON's own types."""

    task: str
    """The task, such as "predict"."""
    done: int
    """Items that are finished."""
    total: int | None
    """Items of the whole task; None where that is not known."""
    item: str = ""
    """The item that is being worked on; empty when the task is over, and where items have no
    names."""


class Progress(Protocol):
    """A function called with the events of a job, in order. An exception in it stops the job."""

    def __call__(self, event: ProgressEvent) -> None:
        """Take one event."""


def track(
    items: Collection[Item],
    task: str,
    progress: Progress | None,
    name: Callable[[Item], str] = str,
) -> Iterator[Item]:
    """Yield items, with an event before each of them and one after the last.

    Args:
        items: what is worked on.
        task: what is being done.
        progress: called with the events; None calls nothing.
        name: gives an item's name.

    Example:
        >>> for case in track(["a", "b"], "predict", print):
        ...     pass
        ProgressEvent(task='predict', done=0, total=2, item='a')
        ProgressEvent(task='predict', done=1, total=2, item='b')
        ProgressEvent(task='predict', done=2, total=2, item='')
    """
    if progress is None:
        yield from items
        return
    for done, item in enumerate(items):
        progress(ProgressEvent(task, done, len(items), name(item)))
        yield item
    progress(ProgressEvent(task, len(items), len(items)))
