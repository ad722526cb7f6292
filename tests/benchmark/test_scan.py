"""The scan's benchmark: forms that agree, turns in order, requests refused."""

import json

import pytest
import torch

from lightm_unet.benchmark import scan
from lightm_unet.errors import LightMUNetError, UsageError


def test_the_plain_form_is_the_recurrence():
    one = torch.ones(1, 1, 3)  # A = 0 forgets nothing: a running sum of softplus(0) * u, plus u
    zero = torch.zeros(1)
    got = scan.plain_recurrence(one, 0 * one, zero[:, None], one, one, torch.ones(1), zero)
    ln2 = 0.693147
    torch.testing.assert_close(got.flatten(), torch.tensor([ln2 + 1, 2 * ln2 + 1, 3 * ln2 + 1]))


def test_forms_take_turns_round_by_round():
    order = []
    scan.take_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=2)
    assert order == ["a", "b", "a", "b"]


def test_each_shape_has_its_row_and_a_long_one_no_plain_form(monkeypatch, tmp_path):
    monkeypatch.setattr(scan, "LONGEST_PLAIN", 10)
    threads = torch.get_num_threads()
    short, long = scan.bench_scan([(9, 4), (17, 4)], tmp_path / "out", rounds=1)
    assert short.plain > 0
    assert long.plain is None
    assert long.both > 0
    assert torch.get_num_threads() == threads
    stored = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert [row["length"] for row in stored["rows"]] == [9, 17]
    assert (tmp_path / "out" / "table.md").read_text().count("\n") == 4


def test_a_form_that_computes_something_else_is_not_timed(monkeypatch):
    monkeypatch.setattr(scan, "plain_recurrence", lambda u, *_: u)
    with pytest.raises(LightMUNetError, match="plain and ours differ"):
        scan.bench_scan([(9, 4)], rounds=1)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"shapes": [(9,)]}, "LENGTHxCHANNELS, all positive"),
        ({"shapes": [(9, 0)]}, "shapes needs a whole number from 1 up, got 0"),
        ({"shapes": (9, 4)}, "shapes needs a list such as"),
        ({"threads": 0}, "threads needs a whole number from 1 up"),
        ({"rounds": True}, "rounds needs a whole number from 1 up"),
        ({"device": None}, "device needs a text"),
    ],
)
def test_a_wrong_request_is_refused(request_, message):
    with pytest.raises(UsageError, match=message):
        scan.bench_scan(**request_)
