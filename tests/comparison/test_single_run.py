from dataclasses import replace

import pytest

from lightm_unet.comparison.single_run import finish_run, next_step, one_line, settled_result
from lightm_unet.errors import DivergedError, UsageError
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.training.run_folder import LAST, RunRecord, write_run
from lightm_unet.training.settings import TrainingSettings


def test_a_run_goes_on_from_what_is_there(tmp_path):
    assert next_step(tmp_path) == "start"
    preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(8, 8))
    record = RunRecord("1", "2", "3", tmp_path, "Lungs", TrainingSettings(), preprocessing)
    write_run(record, tmp_path)
    assert next_step(tmp_path) == "start"  # its first epoch was not over
    (tmp_path / LAST).parent.mkdir()
    (tmp_path / LAST).touch()
    assert next_step(tmp_path) == "resume"
    write_run(replace(record, best_dice=0.5), tmp_path)
    assert next_step(tmp_path) == "predict"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (DivergedError("the loss became nan"), "diverged", "the loss became nan"),
        (UsageError("no such device"), "failed", "no such device"),
        (ZeroDivisionError("a bug"), "failed", "ZeroDivisionError: a bug"),
    ],
)
def test_what_goes_wrong_becomes_the_result(
    make_plan, tmp_path, monkeypatch, error, status, message
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("lightm_unet.training.train.train", fail)
    plan = make_plan()
    result = finish_run(tmp_path, plan, plan.runs[0])
    assert (result.status, result.error) == (status, message)
    assert bool(settled_result(tmp_path, plan.runs[0])) == (status == "diverged")
    traces = list(tmp_path.rglob("traceback.txt"))
    assert len(traces) == isinstance(error, ZeroDivisionError)


def test_ctrl_c_is_no_result(make_plan, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lightm_unet.training.train.train", stop)
    plan = make_plan()
    with pytest.raises(KeyboardInterrupt):
        finish_run(tmp_path, plan, plan.runs[0])
    assert settled_result(tmp_path, plan.runs[0]) is None


def test_an_error_takes_one_line():
    assert one_line(RuntimeError("two\n  lines")) == "RuntimeError: two lines"
