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

class Kill(logging.Handler):
    def emit(self, record):
        if "seed 0: epoch 2/3" in record.getMessage():
            os.kill(os.getpid(), signal.SIGKILL)

logging.getLogger("lightm_unet").addHandler(Kill())
logging.getLogger("lightm_unet").setLevel(logging.INFO)
compare(
    sys.argv[1], sys.argv[2], sys.argv[4:], processes=int(sys.argv[3]), bench=False, epochs=3,
    cases=4, size=(32, 32), device="cpu",
)
"""


@pytest.fixture(scope="module")
def uninterrupted(compare_tiny, tmp_path_factory):
    return compare_tiny(tmp_path_factory.mktemp("whole") / "out", (OURS, LWNET), **SETTINGS)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_comparison_goes_on_from_the_last_epoch_of_each_run(
    processes, phantoms, uninterrupted, compare_tiny, listen, tmp_path
):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, phantoms, tmp_path / "out", str(processes), OURS, LWNET],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -9, killed.stderr
    runs = uninterrupted.plan.runs
    folders = {run: run_folder(tmp_path / "out", run) for run in runs}
    begun = [run for run in runs if (folders[run] / LAST).exists()]
    assert begun
    said = []
    with listen(said.append):
        done = compare_tiny(tmp_path / "out", (OURS, LWNET), **SETTINGS)
    for run in begun:
        epochs = [line.split("  ")[0] for line in said if line.startswith(f"{run}: epoch")]
        # Its process may have finished some epochs more, or all, before it found itself alone.
        assert f"{run}: resumes" in said or (processes == 2 and not epochs)
        assert epochs in ([f"{run}: epoch 2/3", f"{run}: epoch 3/3"], [f"{run}: epoch 3/3"], [])
    assert not done.failed
    for run in runs:
        assert done.results[run].evaluation.cases == uninterrupted.results[run].evaluation.cases
        one, other = (model_weights(run_folder(each.folder, run)) for each in (done, uninterrupted))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
