"""Items pass three stages, each in a thread of its own, in their order and one or two at a time."""

import threading

import pytest

from lightm_unet.inference.pipeline import Stages, run_pipeline

SOON = 10
"""Seconds after which a test that waits has failed; it never waits so long when all is well."""


class Trail:
    """Stages that note what happens, and fail where they are told to."""

    def __init__(self, failing=(), fatal=(), large=()):
        self.notes, self.outcomes = [], []
        self.failing, self.fatal, self.large = failing, fatal, large
        self.threads = {}
        self.held, self.most_held, self.counting = set(), 0, threading.Lock()

    def stage(self, name):
        def work(item, *_):
            self.threads.setdefault(name, set()).add(threading.get_ident())
            with self.counting:
                self.held.add(item)
                self.most_held = max(self.most_held, len(self.held))
            self.notes.append((name, item))
            if (name, item) in self.fatal:
                raise OSError("the disk is full")
            if (name, item) in self.failing:
                raise ValueError(f"{name} of {item}")
            return item

        return work

    def concerns_one(self, item, error):
        if isinstance(error, OSError):
            raise error
        return error

    def done(self, item, error):
        self.held.discard(item)
        self.outcomes.append((item, str(error) if error else None))

    def stages(self, **others):
        return Stages(
            **{
                "read": self.stage("read"),
                "compute": self.stage("compute"),
                "write": self.stage("write"),
                "concerns_one": self.concerns_one,
                "is_large": lambda item: item in self.large,
                "done": self.done,
                **others,
            }
        )


def test_every_item_passes_the_three_stages_and_is_told_of_in_order():
    trail = Trail()
    run_pipeline(range(50), trail.stages())
    assert trail.outcomes == [(item, None) for item in range(50)]
    for name in ("read", "compute", "write"):
        assert [item for stage, item in trail.notes if stage == name] == list(range(50))
    assert trail.threads["compute"] == {threading.get_ident()}
    assert len(set.union(*trail.threads.values())) == 3


def test_no_items_are_no_work():
    run_pipeline([], Trail().stages())


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
@pytest.mark.parametrize("item", [0, 1, 4])
def test_an_error_of_one_item_stays_with_it(stage, item):
    trail = Trail(failing=[(stage, item)])
    run_pipeline(range(5), trail.stages())
    assert trail.outcomes == [
        (each, f"{stage} of {item}" if each == item else None) for each in range(5)
    ]
    later = {"read": ["compute", "write"], "compute": ["write"], "write": []}[stage]
    assert not any((name, item) in trail.notes for name in later)


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
def test_what_stops_all_is_raised_after_what_was_written_is_told_of(stage):
    trail = Trail(fatal=[(stage, 3)])
    with pytest.raises(OSError, match="disk is full"):
        run_pipeline(range(9), trail.stages())
    assert trail.outcomes == [(item, None) for item in range(3)]
    assert ("write", 4) not in trail.notes


def test_ctrl_c_before_an_items_turn_lets_the_writer_finish():
    trail = Trail()

    def begin(item):
        if item == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(range(9), trail.stages(begin=begin))
    assert trail.outcomes == [(0, None), (1, None)]


def test_the_next_is_read_and_the_last_is_written_while_one_is_computed():
    """Each stage waits for the two others to be at work on its neighbours."""
    read, written, trail = threading.Event(), threading.Event(), Trail()

    def reading(item):
        if item == 2:
            read.set()
        return item

    def computing(item, _):
        if item == 1:
            assert read.wait(SOON)
            assert written.wait(SOON)

    def writing(item, _):
        if item == 0:
            written.set()

    run_pipeline(range(3), trail.stages(read=reading, compute=computing, write=writing))
    assert trail.outcomes == [(item, None) for item in range(3)]


def test_no_more_than_one_is_read_ahead_and_one_written_behind():
    trail = Trail()
    run_pipeline(range(200), trail.stages())
    # One being read, one computed, one written; `done` tells of the last one a little later.
    assert trail.most_held <= 4


def test_a_large_item_is_alone_from_reading_to_writing():
    trail = Trail(large={2, 5})
    run_pipeline(range(8), trail.stages())
    for item in (2, 5):
        own = [place for place, (_, each) in enumerate(trail.notes) if each == item]
        assert own == list(range(own[0], own[0] + 3))
    assert trail.outcomes == [(item, None) for item in range(8)]


def test_a_reader_that_never_returns_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("lightm_unet.inference.pipeline._PATIENCE_SECONDS", 0.01)
    stalled, trail = threading.Event(), Trail()

    def reading(item):
        if item == 1:
            stalled.wait(SOON)
        return item

    def begin(item):
        if item == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(range(3), trail.stages(read=reading, begin=begin))
    assert trail.outcomes == [(0, None)]
    stalled.set()
