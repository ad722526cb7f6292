"""The order of turns, and what happens when a case cannot go on."""

import pytest

from lightm_unet.system.subprocesses import MemoryNeededError


def turns(diary):
    return [line.split()[1] for line in diary if line.startswith("turn")]


def test_cases_take_turns_round_by_round_and_rest_before_each(bench):
    done = bench(["a", "b"], rounds=2)
    assert done.diary == [
        *("start a", "warm-up a", "start b", "warm-up b"),
        *("rest", "turn a", "rest", "turn b"),
        *("rest", "turn a", "rest", "turn b"),
        *("end b", "end a"),
    ]
    assert done.by_name["b"].seconds == (2.0, 2.0)  # the median of each turn's passes
    assert done.by_name["b"].ratio.median == 1.0


@pytest.mark.parametrize("moment", ["build", "warm-up", "turn"])
def test_a_case_that_fails_is_reported_and_the_others_go_on(bench, moment):
    done = bench(["a", "b", "c"], {("b", moment): "no such layer"}, rounds=2)
    assert done.by_name["b"].error == "no such layer"
    assert turns(done.diary) == ["a", "c", "a", "c"]
    assert done.by_name["c"].ratio.median == 1.0


def test_the_limit_is_measured_before_each_round_and_its_best_is_kept(bench):
    rates = iter([3.0, 5.0, 4.0])

    def probe(threads):
        assert threads == 1
        return next(rates)

    done = bench(["a", "b"], rounds=3, probe=probe)
    assert done.limits == {1: 5.0}
    # A rest before the probe, one before each case.
    assert done.diary.count("rest") == 3 * 3


def test_the_limit_of_a_gpu_is_not_measured(bench):
    done = bench(["a"], probe=lambda _: 1.0, device="cuda")
    assert done.limits == {}


def test_without_its_first_case_a_group_has_times_but_no_ratios(bench):
    done = bench(["a", "b"], {("a", "turn"): "broken"})
    assert done.by_name["a"].error == "broken"
    assert done.by_name["b"].latency.median == 2.0
    assert done.by_name["b"].ratio is None


def test_where_memory_is_short_the_others_run_in_a_later_session_with_the_first(bench):
    def beside_b(diary):
        together = diary.count("start b") > diary.count("end b")
        return MemoryNeededError("out of memory") if together else None

    done = bench(["a", "b", "c", "d"], {("c", "warm-up"): beside_b})
    assert turns(done.diary) == ["a", "b", "a", "c", "d"]
    assert [done.by_name[name].session for name in "abcd"] == [1, 1, 2, 2]
    assert done.by_name["d"].ratio.median == 1.0
    assert "c (torch), d (torch) were measured in a later session" in done.notes[0]


def test_what_does_not_fit_beside_the_first_alone_is_reported_not_tried_for_ever(bench):
    done = bench(["a", "b", "c"], {("c", "warm-up"): MemoryNeededError("wanted 99 GB")})
    assert turns(done.diary) == ["a", "b", "a"]
    assert done.by_name["c"].error == "wanted 99 GB"


def test_an_interrupt_ends_every_process(bench):
    diary = []

    def interrupt(lines):
        diary.append(lines)
        return KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        bench(["a", "b"], {("b", "turn"): interrupt})
    assert diary[0][-2:] == ["end b", "end a"]
