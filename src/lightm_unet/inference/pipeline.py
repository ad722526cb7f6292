"""Reading, computing and writing at the same time, in the order of the items.

While the network works on one image, the next is read and the one before is written. Three threads
do it: one that reads, the caller's own, which computes, and one that writes. At most one item is
read ahead and at most one is being written, so the memory taken is that of three items; one that is
said to be large is alone from its reading to its writing.

An item whose reading, computing or writing fails is an outcome like any other. What stops all of
them, such as a full disk or Ctrl-C, stops them so: what is being written is finished and counts,
nothing else is begun.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Computed = TypeVar("Computed")

_LOOK_SECONDS = 0.2
"""Between two looks whether another thread has failed, while there is nothing to do."""
_PATIENCE_SECONDS = 5.0
"""How long a reader that a disk keeps waiting is waited for when the work is stopped."""


@dataclass(frozen=True)
class Stages(Generic[Item, Read, Computed]):
    """What is done with each item. Each of the three is called by a thread of its own."""

    read: Callable[[Item], Read]
    compute: Callable[[Item, Read], Computed]
    """In the caller's thread."""
    write: Callable[[Item, Computed], None]
    concerns_one: Callable[[Item, Exception], Exception]
    """The error of this item alone; raises what stops all of them. In the thread that failed."""
    is_large: Callable[[Item], bool] = lambda _: False
    """Whether there is memory for no other item beside it. In the thread that reads."""
    begin: Callable[[Item], None] = lambda _: None
    """Called in the caller's thread before an item's turn, whether it could be read or not."""
    done: Callable[[Item, Exception | None], None] = lambda *_: None
    """Called in the caller's thread, in the order of the items, with an item's error or None."""


_END = object()
"""Instead of a value: there is no more to write."""


@dataclass(frozen=True)
class _Stop:
    """Instead of a value: what ends the work."""

    reason: BaseException


@dataclass(frozen=True)
class _Failed:
    """Instead of a value: an error of this item alone."""

    error: Exception


def run_pipeline(items: Sequence[Item], stages: Stages[Item, Any, Any]) -> None:
    """Take all items through the three stages.

    Raises:
        BaseException: what a stage raised and `concerns_one` did not take for one item's; for every
            item that was written before, `done` has been called.
    """
    flow = _Flow(items, stages)
    try:
        flow.run()
    finally:
        flow.end()


class _Flow(Generic[Item]):
    """One call's threads and what they hand to each other."""

    def __init__(self, items: Sequence[Item], stages: Stages[Item, Any, Any]) -> None:
        self.items, self.stages = items, stages
        self.stopping = threading.Event()
        # Permission to hold one more item; what was read is handed over with it.
        self.may_read, self.may_write = threading.Semaphore(1), threading.Semaphore(1)
        self.read: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.computed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.finished, self.finishing = 0, threading.Condition()
        self.reported = 0
        # A new thread begins with an empty context; limits on images are in the caller's.
        self.threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
            for work in (self._reader, self._writer)
        ]

    def run(self) -> None:
        for thread in self.threads:
            thread.start()
        for item in self.items:
            self.stages.begin(item)
            value = self._wait(self.read)
            self.may_read.release()
            if not isinstance(value, _Failed):
                value = self._attempt(item, self.stages.compute, value)
            while not self.may_write.acquire(timeout=_LOOK_SECONDS):
                self._report()
            self._report()
            self.computed.put(value)
            del value  # the writer alone holds it
        while self.reported < len(self.items):
            self._report_one(self._wait(self.outcomes))

    def end(self) -> None:
        """Let the writer finish what it has, and tell of it."""
        self.stopping.set()
        self.may_read.release()
        self.computed.put(_END)
        with self.finishing:
            self.finishing.notify_all()
        reader, writer = self.threads
        if writer.ident is not None:
            writer.join()
            reader.join(_PATIENCE_SECONDS)
        while not self.outcomes.empty():
            outcome = self.outcomes.get()
            if not isinstance(outcome, _Stop):
                self._report_one(outcome)

    def _reader(self) -> None:
        alone = False
        try:
            for number, item in enumerate(self.items):
                self.may_read.acquire()
                was_alone, alone = alone, self.stages.is_large(item)
                if alone or was_alone:
                    self._wait_for_finished(number)
                if self.stopping.is_set():
                    return
                self.read.put(self._attempt(item, self.stages.read))
        except BaseException as reason:
            self.read.put(_Stop(reason))

    def _writer(self) -> None:
        try:
            for item in self.items:
                value = self.computed.get()
                if value is _END:
                    return
                if not isinstance(value, _Failed):
                    value = self._attempt(item, self.stages.write, value)
                self.outcomes.put(value if isinstance(value, _Failed) else None)
                del value
                with self.finishing:
                    self.finished += 1
                    self.finishing.notify_all()
                self.may_write.release()
        except BaseException as reason:
            self.outcomes.put(_Stop(reason))

    def _attempt(self, item: Item, stage: Callable[..., Any], *values: Any) -> Any:
        try:
            return stage(item, *values)
        except Exception as error:
            return _Failed(self.stages.concerns_one(item, error))

    def _wait_for_finished(self, count: int) -> None:
        """Wait until so many items have been written."""
        with self.finishing:
            self.finishing.wait_for(lambda: self.finished >= count or self.stopping.is_set())

    def _wait(self, source: queue.SimpleQueue[Any]) -> Any:
        """The next value; meanwhile outcomes are told."""
        while True:
            if source is not self.outcomes:
                self._report()
            try:
                value = source.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(value, _Stop):
                raise value.reason
            return value

    def _report(self) -> None:
        while not self.outcomes.empty():
            self._report_one(self.outcomes.get())

    def _report_one(self, outcome: Any) -> None:
        if isinstance(outcome, _Stop):
            raise outcome.reason
        item = self.items[self.reported]
        self.reported += 1
        self.stages.done(item, outcome.error if outcome else None)
