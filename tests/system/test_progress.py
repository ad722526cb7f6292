import dataclasses
import json

import pytest

from lightm_unet.system.progress import ProgressEvent, track


def test_an_event_comes_before_each_item_and_one_after_the_last():
    heard = []
    for item in track([10, 20], "count", heard.append, name=hex):
        heard.append(item)
    assert heard == [
        ProgressEvent("count", 0, 2, "0xa"),
        10,
        ProgressEvent("count", 1, 2, "0x14"),
        20,
        ProgressEvent("count", 2, 2),
    ]


def test_a_task_of_nothing_is_over_at_once():
    heard = []
    assert list(track([], "count", heard.append)) == []
    assert heard == [ProgressEvent("count", 0, 0)]


def test_without_a_listener_items_are_passed_on():
    assert list(track([1, 2], "count", None)) == [1, 2]


def test_what_the_listener_raises_stops_the_job():
    def cancel(event):
        if event.done == 1:
            raise InterruptedError

    worked_on = []
    with pytest.raises(InterruptedError):
        worked_on.extend(track([1, 2], "count", cancel))
    assert worked_on == [1]


def test_an_event_is_json():
    event = ProgressEvent("predict", 1, None, "case_1")
    assert ProgressEvent(**json.loads(json.dumps(dataclasses.asdict(event)))) == event
