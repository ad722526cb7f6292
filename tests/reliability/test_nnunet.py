"""Slips and damage at the door into nnU-Net."""

import json

import pytest
import torch

from faults import fault
from lightm_unet.deploy.nnunet import run as door
from nnunet_folders import plans, write_plans, write_trained

SECTION = "Within nnU-Net"


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """nnU-Net's folder of prepared images, with one data set."""
    folder = tmp_path / "prepared"
    monkeypatch.setenv("nnUNet_preprocessed", str(folder))
    write_plans(folder)
    return folder


def refused(run, *commands):
    """The exit codes of commands that end in one line each."""
    codes = set()
    for words in commands:
        code, out, error = run("nnunet", *words)
        if out or error.count("\n") != 1 or "Traceback" in error:
            return f"{words}: {out} {error}"
        codes.add(code)
    return f"one line for each, exit code {' or '.join(map(str, sorted(codes)))}"


@fault(
    SECTION,
    "nnU-Net is not installed, or is older than 2.8",
    "one line for each, exit code 4",
)
def test_no_nnunet(run, monkeypatch):
    def absent(name):
        raise door.PackageNotFoundError(name)

    monkeypatch.setattr(door, "version", absent)
    found = refused(run, ["train", "4", "2d", "0"], ["predict", "-d", "4"])
    monkeypatch.setattr(door, "version", lambda _: "2.4.2")
    again = refused(run, ["train", "4", "2d", "0"], ["predict", "-d", "4"])
    return found if found == again else f"{found}; {again}"


@fault(
    SECTION,
    "an unset or wrong variable, an unknown number or configuration, a stage of a cascade, a "
    "network with several outputs",
    "one line for each, exit code 2",
)
def test_slips(prepared, run, monkeypatch):
    found = refused(
        run,
        ["plans", "-d", "7"],
        ["plans", "-d", "4", "-c", "3d"],
        ["plans", "-d", "4", "-c", "3d_lowres"],
        ["plans", "-d", "4", "--network", "nnu-net"],
        ["plans", "-d", "4", "--network", "lightm-unet:width=0"],
    )
    for value in ("", "/no/such/folder"):
        monkeypatch.setenv("nnUNet_preprocessed", value)
        again = refused(run, ["plans", "-d", "4"])
        found = found if again == found else f"{found}; {again}"
    return found


@fault(
    SECTION,
    "a plans file that is missing, damaged, of an earlier nnU-Net, or inherits from itself",
    "one line for each, exit code 3; the file is as it was",
)
def test_plans_files(prepared, run):
    words = ["plans", "-d", "4", "-c", "3d_fullres"]
    path = write_plans(prepared)
    older, endless = plans(), plans()
    del older["configurations"]["3d_fullres"]["architecture"]
    endless["configurations"]["3d_fullres"]["inherits_from"] = "3d_fullres"
    contents = [json.dumps(each) for each in (older, endless, {"plans_per_stage": {}})]
    answers = []
    for content in [*contents, "{", "[]"]:
        path.write_text(content)
        answers.append(refused(run, words))
        if path.read_text() != content or len(list(path.parent.iterdir())) > 1:
            answers.append("changed files")
    path.unlink()
    answers.append(refused(run, words))
    return "; ".join(dict.fromkeys([*answers, "the file is as it was"]))


@fault(
    SECTION,
    "a checkpoint with code in it, of another network, cut off, or no checkpoint",
    "one line for each, exit code 3; nothing is executed or written",
)
def test_checkpoints(tmp_path, run):
    class Code:
        def __reduce__(self):
            return (tmp_path / "executed").touch, ()

    write_trained(tmp_path / "trained")
    file = tmp_path / "trained" / "fold_0" / "checkpoint_final.pth"
    whole = file.read_bytes()
    words = ["import", tmp_path / "trained", tmp_path / "model"]
    answers = []
    for content in ({"network_weights": Code()}, {"network_weights": {"a": torch.zeros(1)}}):
        torch.save(content, file)
        answers.append(refused(run, words))
    for content in (whole[: len(whole) // 2], b"", b"text"):
        file.write_bytes(content)
        answers.append(refused(run, words))
    left = sorted(path.name for path in tmp_path.iterdir())
    clean = "nothing is executed or written" if left == ["trained"] else f"left {left}"
    return "; ".join(dict.fromkeys([*answers, clean]))


@fault(
    SECTION,
    "a trained model whose images nnU-Net prepares as we cannot: other normalizations, masks, "
    "cropping before z-scores, another resampling or reader, regions",
    "one line for each, exit code 2",
)
def test_preparations(tmp_path, run):
    zscore = {"normalization_schemes": ["ZScoreNormalization"]}
    regions = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "whole": [1, 2], "core": 2},
        "file_ending": ".nii.gz",
    }
    cases = [
        (plans(normalization_schemes=["RGBTo01Normalization"]), {}),
        (plans(**zscore, use_mask_for_norm=[True]), {}),
        (plans(**zscore), {"fingerprint": {"median_relative_size_after_cropping": 0.5}}),
        (plans(resampling_fn_data="resample_torch_fornnunet"), {}),
        ({**plans(), "image_reader_writer": "Tiff3DIO"}, {}),
        (plans(), {"dataset": regions}),
    ]
    commands = []
    for number, (content, more) in enumerate(cases):
        write_trained(tmp_path / str(number), content, **more)
        commands.append(["import", tmp_path / str(number), tmp_path / "model"])
    return refused(run, *commands)
