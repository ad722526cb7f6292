import sys

import pytest

from lightm_unet.comparison.plan import Run
from lightm_unet.comparison.processes import finish_in_processes, threads_of_each
from lightm_unet.comparison.results import read_result

RUNS = [Run("lightm-unet", 0), Run("nnu-net", 0), Run("unetr", 0)]
# Plays the worker: says its run and its threads; nnu-net's is killed.
ACTOR = """
import os, signal, sys
from pathlib import Path
print(sys.argv[2], os.environ["OMP_NUM_THREADS"], flush=True)
if sys.argv[2] == "nnu-net":
    os.kill(os.getpid(), signal.SIGKILL)
from lightm_unet.comparison.plan import Run
from lightm_unet.comparison.results import DIVERGED, RunResult, write_result
run = Run(sys.argv[2], int(sys.argv[3]))
write_result(RunResult(run, DIVERGED, "as played"), Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_killed_process_fails_its_own_run_alone(tmp_path, monkeypatch, listen):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS")
    said = []
    with listen(said.append):
        finish_in_processes(tmp_path, RUNS, 2, (sys.executable, "-c", ACTOR))
    results = [read_result(tmp_path, run) for run in RUNS]
    assert [result.status for result in results] == ["diverged", "failed", "diverged"]
    assert "signal 9" in results[1].error
    assert {"lightm-unet 3", "nnu-net 3", "unetr 3"} <= set(said)


@pytest.mark.parametrize(("asked", "threads"), [(None, 3), ("", 3), ("5", None), ("4,2", None)])
def test_threads_are_a_share_of_the_cores_unless_the_user_has_set_them(asked, threads, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS")
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads_of_each(2) == threads


def test_what_stops_the_command_stops_its_processes(tmp_path, listen):
    waits = (sys.executable, "-c", "print('here', flush=True); import sys; sys.stdin.read()")

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listen(stop):
        finish_in_processes(tmp_path, RUNS, 2, waits)
    assert not any(read_result(tmp_path, run) for run in RUNS)


def test_a_process_that_leaves_no_memory_fails_its_own_run(tmp_path, monkeypatch):
    monkeypatch.setattr("lightm_unet.system.subprocesses.SPARE_SHARE", 2.0)
    sleeps = (sys.executable, "-c", "import time; time.sleep(60)")
    finish_in_processes(tmp_path, RUNS, 3, sleeps)
    results = [read_result(tmp_path, run) for run in RUNS]
    assert [result.status for result in results] == ["failed"] * 3
    assert all("out of memory: it held" in result.error for result in results)


def test_runs_made_at_once_end_as_those_made_in_turn(
    stopped_and_resumed, compare_tiny, listen, tmp_path, monkeypatch
):
    _, _, in_turn = stopped_and_resumed
    monkeypatch.setattr("os.cpu_count", lambda: 2)  # a thread for each, as in turn
    monkeypatch.delenv("OMP_NUM_THREADS")
    said = []
    with listen(said.append):
        at_once = compare_tiny(tmp_path / "out", in_turn.plan.networks[:2], processes=2)
    for run, result in at_once.results.items():
        assert result.evaluation.cases == in_turn.results[run].evaluation.cases
        assert any(line.startswith(f"{run}: epoch 2/2") for line in said)
    assert len(at_once.results) == 2
