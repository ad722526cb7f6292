"""A small version of the trial: killed processes, one after the other and in parts."""

import os

import pytest

from many_cases_trial import Trial

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_every_good_case_is_done_once_and_every_bad_one_named(tmp_path):
    trial = Trial(tmp_path, cases=24, seed=1)
    found = trial.one_process(kills=2)
    assert found["killed"] > 0
    assert found["right"], found
