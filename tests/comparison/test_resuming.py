"""A comparison that is killed goes on from the last epoch of every run that it was in."""

import os
import subprocess
import sys

import pytest
import torch

from lightm_unet.comparison.results import run_folder
from lightm_unet.training.run_folder import LAST
from run_checks import model_weights

OURS = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"
LWNET = "lwnet:features=[4,8]"
SETTINGS = {"recipe": None, "epochs": 3, "cases": 4, "size": (32, 32), "device": "cpu"}

KILLED = """
import logging, os, signal, sys
from lightm_unet.comparison.compare import compare

processes = int(sys.argv[3])
waited_for = set()

class Kill(logging.Handler):
    def emit(self, record):
        run, _, epoch = record.getMessage().partition(": ")
        if epoch.startswith("epoch 2/3"):
            waited_for.add(run)
            if len(waited_for) == processes:
                os.kill(os.getpid(), signal.SIGKILL)

logging.getLogger("lightm_unet").addHandler(Kill())
logging.getLogger("lightm_unet").setLevel(logging.INFO)
compare(
    sys.argv[1], sys.argv[2], sys.argv[4:], processes=processes, bench=False, epochs=3,
    cases=4, size=(32, 32), device="cpu",
)
"""

HOLD = """
import logging, sys, time

class Hold(logging.Handler):
    def emit(self, record):
        if ": epoch 2/3" in record.getMessage():
            time.sleep(600)

if sys.modules["__main__"].__spec__:  # a run's process; the comparison itself is a text
    logging.getLogger("lightm_unet").addHandler(Hold())
"""
"""A plugin that holds each run's process in its second epoch until the comparison is killed."""


@pytest.fixture(scope="module")
def uninterrupted(compare_tiny, tmp_path_factory):
    return compare_tiny(tmp_path_factory.mktemp("whole") / "out", (OURS, LWNET), **SETTINGS)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_comparison_goes_on_from_the_last_epoch_of_each_run(
    processes, phantoms, uninterrupted, compare_tiny, listen, tmp_path
):
    (tmp_path / "hold_runs.py").write_text(HOLD)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, phantoms, tmp_path / "out", str(processes), OURS, LWNET],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": path,
            "LIGHTM_UNET_PLUGINS": "hold_runs",
        },
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -9, killed.stderr
    runs = uninterrupted.plan.runs
    begun = [run for run in runs if (run_folder(tmp_path / "out", run) / LAST).exists()]
    assert len(begun) == processes
    said = []
    with listen(said.append):
        done = compare_tiny(tmp_path / "out", (OURS, LWNET), **SETTINGS)
    for run in begun:
        epochs = [line.split("  ")[0] for line in said if line.startswith(f"{run}: epoch")]
        assert f"{run}: resumes" in said
        # An epoch's line comes before its checkpoint: the second is trained again.
        assert epochs == [f"{run}: epoch 2/3", f"{run}: epoch 3/3"]
    assert not done.failed
    for run in runs:
        assert done.results[run].evaluation.cases == uninterrupted.results[run].evaluation.cases
        one, other = (model_weights(run_folder(each.folder, run)) for each in (done, uninterrupted))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
