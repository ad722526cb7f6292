"""`nnunet train`, `predict` and `path`: the words that nnU-Net gets, and what is refused before."""

import os
import sys
import types

import pytest

from lightm_unet.deploy.nnunet import run as door
from lightm_unet.deploy.nnunet.folders import OUR_TRAINERS, TRAINERS, trainers_path
from nnunet_folders import write_plans


@pytest.fixture
def nnunet(tmp_path, monkeypatch):
    """nnU-Net's folders, and entry points that note what they are called with."""
    calls = []

    def entry_point():
        calls.append((sys.argv, os.environ[TRAINERS]))

    training, prediction = types.ModuleType("run_training"), types.ModuleType("predict")
    training.run_training_entry = prediction.predict_entry_point = entry_point
    for name in ("nnunetv2", "nnunetv2.run", "nnunetv2.inference"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "nnunetv2.run.run_training", training)
    monkeypatch.setitem(sys.modules, "nnunetv2.inference.predict_from_raw_data", prediction)
    monkeypatch.setattr(door, "version", lambda _: "2.8.1")
    for variable in ("raw", "preprocessed", "results"):
        folder = tmp_path / variable
        folder.mkdir()
        monkeypatch.setenv(f"nnUNet_{variable}", str(folder))
    monkeypatch.setenv("nnUNet_extTrainer", "/mine")
    write_plans(tmp_path / "preprocessed")
    return calls


def test_training_passes_its_words_on_with_our_trainer_and_this_machines_device(nnunet, run):
    before = sys.argv
    assert run("nnunet", "train", "4", "3d_fullres", "0", "--npz", "-num_gpus", "1")[0] == 0
    (words, trainers) = nnunet[0]
    typed = "nnUNetv2_train 4 3d_fullres 0 --npz -num_gpus 1"
    assert words == f"{typed} -tr nnUNetTrainerLightMUNet -device cpu".split()
    assert trainers == f"/mine{os.pathsep}{OUR_TRAINERS}"
    assert before is not words


def test_a_trainer_and_a_device_that_are_named_stay(nnunet, run):
    run("nnunet", "train", "4", "2d", "all", "-tr", "nnUNetTrainer", "-device", "cpu", "--c")
    words = "nnUNetv2_train 4 2d all -tr nnUNetTrainer -device cpu --c"
    assert nnunet[0][0] == words.split()


def test_what_is_missing_in_the_words_is_left_to_nnunet(nnunet, run):
    run("nnunet", "train", "-tr", "X")
    assert nnunet[0][0] == ["nnUNetv2_train", "-tr", "X", "-device", "cpu"]


def test_prediction_passes_its_words_on(nnunet, run, tmp_path):
    fold = "results/Dataset004_Made/nnUNetTrainerLightMUNet__nnUNetPlans__3d_x/fold_0"
    (tmp_path / fold).mkdir(parents=True)
    (tmp_path / fold / "checkpoint_final.pth").touch()
    words = ["-d", "4", "-c", "3d_x", "-f", "0", "-i", tmp_path, "-o", "masks", "--disable_tta"]
    assert run("nnunet", "predict", *words)[0] == 0
    completed = [*map(str, words), "-tr", "nnUNetTrainerLightMUNet", "-device", "cpu"]
    assert nnunet[0][0] == ["nnUNetv2_predict", *completed]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "5", "3d_fullres", "0"], 2, "no data set 5"),
        (["train", "4", "3d_fulres", "0"], 2, "did you mean '3d_fullres'?"),
        (["train", "4", "2d", "0", "-p", "Mine"], 3, "found no plans file"),
        (["train", "4", "2d", "0", "-device", "gpu"], 2, "gpu"),
        (["train", "4", "2d", "0", "-device", "cuda"], 4, "cuda"),
        (["predict", "-d", "4", "-c", "2d", "-i", "/nowhere"], 2, "/nowhere is no folder"),
        (["predict", "-d", "4", "-c", "2d", "-i", "/"], 2, "no data set 4 in nnUNet_results="),
    ],
)
def test_what_would_end_in_a_traceback_of_nnunet_is_told_in_one_line(
    nnunet, run, words, code, said
):
    found, out, error = run("nnunet", *words)
    assert (found, out, error.count("\n"), nnunet) == (code, "", 1, [])
    assert said in error


def test_a_fold_that_was_not_trained_is_told(nnunet, run, tmp_path):
    (tmp_path / "results" / "Dataset004_Made").mkdir()
    code, _, error = run("nnunet", "predict", "-d", "4", "-c", "2d", "-i", "/", "-f", "1", "2")
    assert (code, "no checkpoint_final.pth of fold 1, 2" in error) == (2, True)


def test_an_unset_variable_is_told(nnunet, run, monkeypatch):
    monkeypatch.delenv("nnUNet_results")
    code, _, error = run("nnunet", "train", "4", "2d", "0")
    assert (code, "nnUNet_results is not set" in error) == (2, True)


@pytest.mark.parametrize("verb", ["train", "predict"])
def test_an_nnunet_that_is_missing_or_too_old_is_told(nnunet, run, monkeypatch, verb):
    monkeypatch.setattr(door, "version", lambda _: "2.5.1")
    code, _, error = run("nnunet", verb, "4")
    assert (code, "nnU-Net 2.5.1 is too old, expected 2.8 or later" in error) == (4, True)

    def absent(name):
        raise door.PackageNotFoundError(name)

    monkeypatch.setattr(door, "version", absent)
    code, _, error = run("nnunet", verb, "4")
    assert (code, "pip install nnunetv2" in error) == (4, True)
    assert nnunet == []


def test_the_folder_of_our_trainers_is_printed_and_joined_to_others(run, monkeypatch):
    code, out, _ = run("nnunet", "path")
    assert (code, out) == (0, f"{OUR_TRAINERS}\n")
    assert [path.name for path in OUR_TRAINERS.glob("*.py")] == ["nnUNetTrainerLightMUNet.py"]
    monkeypatch.delenv("nnUNet_extTrainer", raising=False)
    assert trainers_path() == str(OUR_TRAINERS)
    monkeypatch.setenv("nnUNet_extTrainer", trainers_path())
    assert trainers_path() == str(OUR_TRAINERS)  # once
