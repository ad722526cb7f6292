"""The cases that a run kept for validation or the test."""

import pytest

from lightm_unet.datasets.phantom import write_phantom_dataset
from lightm_unet.datasets.splits import read_split
from lightm_unet.errors import UsageError
from lightm_unet.inference.parts import PARTS, images_of_part
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.training.run_folder import RunRecord, write_run
from lightm_unet.training.settings import TrainingSettings


@pytest.fixture
def run(tmp_path):
    data, folder = tmp_path / "data", tmp_path / "run"
    write_phantom_dataset(data, "xray", cases=5, size=32)
    folder.mkdir()
    (folder / "split.json").write_bytes((data / "split.json").read_bytes())
    preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(32, 32))
    record = RunRecord("1", "2", "3", data, "Phantoms", TrainingSettings(), preprocessing)
    write_run(record, folder)
    return folder


def test_the_parts_together_are_every_image_once(run):
    files = [file for part in PARTS for file in images_of_part(run, part)]
    assert sorted(files) == sorted((run.parent / "data" / "imagesTr").iterdir())


def test_the_test_part_is_the_one_of_the_runs_own_split(run):
    names = [file.name.removesuffix("_0000.png") for file in images_of_part(run, "test")]
    assert tuple(names) == read_split(run / "split.json").test


def test_what_cannot_be_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="training, validation, test; got 'all'"):
        images_of_part(run, "all")
    with pytest.raises(UsageError, match="folder of a training run"):
        images_of_part(tmp_path, "test")
