"""What tests of several parts need."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

# Before torch is loaded, and for the processes that tests start: tests run side by side, and
# threads that wait for each other take the others' cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings

from lightm_unet.cli import main
from lightm_unet.datasets.dataset import write_dataset_json
from lightm_unet.datasets.phantom import write_phantom_dataset
from lightm_unet.imaging.nifti import write_nifti

# The same examples in every run, so that a failure is one everywhere. New ones are looked for by
# `pytest --hypothesis-profile=explore`.
usual = {"deadline": None, "print_blob": True}
settings.register_profile("usual", max_examples=50, derandomize=True, **usual)
settings.register_profile("explore", max_examples=2000, **usual)
settings.load_profile("usual")


@pytest.fixture(autouse=True)
def threads():
    """Every test starts with one torch thread; call this to have another number of them."""
    yield torch.set_num_threads
    torch.set_num_threads(1)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command with these words; returns exit code, standard output and error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lightm-unet", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def listen():
    """Within `with listen(hear)`, `hear` is called with each line that the package logs."""

    @contextmanager
    def listen(hear: Callable[[str], object]):
        handler = logging.Handler()
        handler.emit = lambda record: hear(record.getMessage())
        logger = logging.getLogger("lightm_unet")
        level = logger.level
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

    return listen


@pytest.fixture
def make_dataset(tmp_path) -> Callable[..., Path]:
    """Write CT-like cases of 6x7x8 voxels with label 1 in a block; returns the folder."""

    def make(cases: int = 4, patients: dict[str, str] | None = None) -> Path:
        root = tmp_path / "dataset"
        generator = np.random.default_rng(0)
        affine = np.diag([1.0, 2.0, 3.0, 1.0])
        for index in range(cases):
            labels = np.zeros((6, 7, 8), np.uint8)
            labels[1:4, 2:5, 3:6] = 1
            image = generator.normal(0, 10, labels.shape).astype(np.float32) + 100 * labels
            write_nifti(image, affine, root / "imagesTr" / f"case_{index}_0000.nii.gz")
            write_nifti(labels, affine, root / "labelsTr" / f"case_{index}.nii.gz")
        write_dataset_json(
            root,
            name="Blocks",
            channel_names=["CT"],
            label_names=["background", "block"],
            training_cases=cases,
            file_ending=".nii.gz",
            patients=patients,
        )
        return root

    return make


@pytest.fixture(scope="session")
def ct_phantoms(tmp_path_factory) -> Path:
    """Six small CT phantoms; read only."""
    root = tmp_path_factory.mktemp("phantoms") / "ct"
    write_phantom_dataset(root, "ct", cases=6, size=48, seed=3)
    return root


@pytest.fixture(scope="session")
def xray_phantoms(tmp_path_factory) -> Path:
    """Six small X-ray phantoms; read only."""
    root = tmp_path_factory.mktemp("phantoms") / "xray"
    write_phantom_dataset(root, "xray", cases=6, size=48, seed=3)
    return root


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images beside the repository; tests that need them skip where they are absent."""
    folder = (Path(__file__).parents[1] / ".." / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip("real images are not here (../shared/data)")
    return folder
