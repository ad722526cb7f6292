"""Training, final validation and prediction within nnU-Net itself, and the same model here."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("nnunetv2") is None:
    pytest.skip("nnunetv2 is not installed: pip install nnunetv2", allow_module_level=True)

HERE = Path(__file__).parent
STAND_IN = "def __getattr__(name):\n    return type(name, (), {})\n"


def stand_in_for_timm(folder: Path) -> None:
    """nnU-Net loads trainers of networks that are made of timm, whichever trainer it looks for."""
    for name in ("timm/__init__.py", "timm/layers.py", "timm/models/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(STAND_IN if name == "timm/layers.py" else "")
    (folder / "timm" / "models" / "eva.py").write_text(STAND_IN)


@pytest.mark.slow
def test_nnunet_trains_validates_and_predicts_with_our_network_and_so_do_we(tmp_path):
    variables = {f"nnUNet_{name}": tmp_path / f"nnUNet_{name}" for name in ("raw", "preprocessed")}
    search = [HERE.parents[1] / "support", *sys.path]
    if importlib.util.find_spec("timm") is None:
        stand_in_for_timm(tmp_path)
        search.append(tmp_path)
    environment = {
        **os.environ,
        **variables,
        "nnUNet_results": tmp_path / "nnUNet_results",
        "nnUNet_extTrainer": tmp_path / "trainers",
        "nnUNet_n_proc_DA": "0",  # augmentation within the training's own process
        "nnUNet_def_n_proc": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, search)),
    }
    done = subprocess.run(
        [sys.executable, HERE / "whole_way.py", tmp_path],
        env={name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    for trainer, found in json.loads((tmp_path / "found.json").read_text()).items():
        assert (found["masks"], found["validated"]) == (3, 1), trainer
        assert found["same"] >= 0.999, trainer
