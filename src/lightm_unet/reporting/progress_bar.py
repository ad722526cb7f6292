"""Progress events as bars on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from lightm_unet.system.progress import Progress, ProgressEvent


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress | None]:
    """Show a bar for each task that is under way; a bar vanishes when its task is over.

    Whatever else is printed through `console` meanwhile appears above the bars.

    Args:
        console: where the bars are; without a terminal there are none.

    Yields:
        A function for the events; None if standard error is not a terminal.
    """
    if not console.is_interactive:  # a file, a pipe, or a terminal that cannot move its cursor
        yield None
        return
    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[item]}", markup=False),
        console=console,
        transient=True,
        redirect_stdout=False,  # results go to standard output, bars to standard error
    )
    shown: dict[str, TaskID] = {}

    def show(event: ProgressEvent) -> None:
        bars.start()  # not before there is something to show; again it does nothing
        if event.task not in shown:
            shown[event.task] = bars.add_task(event.task, total=event.total, item=event.item)
        bar = shown[event.task]
        bars.update(bar, completed=event.done, total=event.total, item=event.item)
        if event.done == event.total:
            bars.remove_task(shown.pop(event.task))

    try:
        yield show
    finally:
        bars.stop()
