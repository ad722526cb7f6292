"""Configurations added to a plans file: what they say, and what happens to the file."""

import json

import pytest

from lightm_unet.deploy.nnunet.plans import add_configurations, file_axes
from nnunet_folders import SMALL, plans, write_plans

NAME = "3d_fullres_lightm-unet_width_4_encoder_layers_1_bottleneck_layers_1_d_state_2"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of prepared images, which holds one data set with plans."""
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    write_plans(tmp_path)
    return tmp_path


def content(folder):
    return json.loads((folder / "Dataset004_Made" / "nnUNetPlans.json").read_text())


def test_ours_inherit_all_but_the_architecture(folder):
    planned = add_configurations("4", network=SMALL)
    assert planned.configurations == (NAME.replace("3d_fullres", "2d"), NAME)
    entry = content(folder)["configurations"][NAME]
    assert set(entry) == {"inherits_from", "architecture"}
    arguments = entry["architecture"]["arch_kwargs"]
    assert entry["inherits_from"] == "3d_fullres"
    assert arguments["network"] == "lightm-unet"
    assert arguments["axes"] == [2, 1, 0]
    assert arguments["options"]["width"] == 4
    assert arguments["options"]["expand"] == 2  # all options: later defaults do not matter
    assert (
        content(folder)["configurations"]["3d_fullres"] == plans()["configurations"]["3d_fullres"]
    )


def test_the_patch_is_rounded_up_to_the_networks_multiples(folder, listen):
    said = []
    with listen(said.append):
        add_configurations("4", ["3d_fullres"], "lightm-unet-nano")
    entry = content(folder)["configurations"]["3d_fullres_lightm-unet-nano"]
    assert entry["patch_size"] == [16, 16, 24]  # of 12 x 16 x 20
    assert said == [
        "3d_fullres_lightm-unet-nano: patches of 16x16x24 instead of 12x16x20, multiples of 8"
    ]


def test_the_file_as_it_was_is_kept_and_doing_it_again_changes_nothing(folder):
    path = folder / "Dataset004_Made" / "nnUNetPlans.json"
    before = path.read_bytes()
    assert add_configurations("Dataset004_Made", ["3d_fullres"], SMALL).changed
    after = path.read_bytes()
    assert path.with_name("nnUNetPlans.json.bak").read_bytes() == before
    assert not add_configurations("4", ["3d_fullres"], SMALL).changed
    assert path.read_bytes() == after
    assert path.with_name("nnUNetPlans.json.bak").read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "nnUNetPlans.json",
        "nnUNetPlans.json.bak",
    ]
    # As nnU-Net writes it: lines are added, none is changed.
    assert set(before.decode().splitlines()) <= set(after.decode().splitlines())


def test_ours_follow_a_data_set_that_is_planned_again(folder):
    add_configurations("4", ["3d_fullres"], "lightm-unet-nano")
    changed = content(folder)
    changed["configurations"]["3d_fullres"]["patch_size"] = [24, 24, 24]
    write_plans(folder, changed)
    assert add_configurations("4", ["3d_fullres"], "lightm-unet-nano").changed
    assert "patch_size" not in content(folder)["configurations"]["3d_fullres_lightm-unet-nano"]


@pytest.mark.parametrize(
    ("transpose", "axes"), [((0, 1, 2), [2, 1, 0]), ((2, 0, 1), [0, 2, 1]), ((1, 0, 2), [2, 0, 1])]
)
def test_the_axes_undo_nnunets_order(transpose, axes):
    file = ("i", "j", "k")
    read = file[::-1]
    prepared = [read[axis] for axis in transpose]
    assert file_axes(transpose, 3) == axes
    assert tuple(prepared[axis] for axis in axes) == file


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-d", "5"], 2, "no data set 5 in nnUNet_preprocessed="),
        (["-d", "Dataset004"], 2, "which holds Dataset004_Made"),
        (["-d", "4", "-p", "Mine"], 3, "Mine.json: found no plans file"),
        (["-d", "4", "-c", "3d_fulres"], 2, "did you mean '3d_fullres'?"),
        (["-d", "4", "-c", "3d_lowres"], 2, "3d_lowres is a stage of a cascade"),
        (["-d", "4", "--network", "nnu-net"], 2, "in training it gives several outputs"),
        (["-d", "4", "--network", "lwnet", "-c", "2d"], 2, "in training it gives several outputs"),
        (["-d", "4", "--network", "lwnet", "-c", "3d_fullres"], 2, "takes 2D images only"),
        (["-d", "4", "--network", "lightm"], 2, "network must be one of"),
        ([], 2, "nnunet plans needs --dataset"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_line(folder, run, words, code, said):
    before = (folder / "Dataset004_Made" / "nnUNetPlans.json").read_bytes()
    found, out, error = run("nnunet", "plans", *words)
    assert (found, out, error.count("\n")) == (code, "", 1)
    assert said in error
    assert [each.name for each in (folder / "Dataset004_Made").iterdir()] == ["nnUNetPlans.json"]
    assert (folder / "Dataset004_Made" / "nnUNetPlans.json").read_bytes() == before


def test_plans_of_another_version_are_refused(folder, run):
    older = plans()
    del older["configurations"]["3d_fullres"]["architecture"]
    oldest = {"plans_per_stage": {"0": {}}}
    endless = plans()
    endless["configurations"]["3d_fullres"]["inherits_from"] = "3d_lowres"
    for broken in (older, oldest, endless, {**plans(), "transpose_forward": [0, 1]}):
        write_plans(folder, broken)
        code, _, error = run("nnunet", "plans", "-d", "4", "-c", "3d_fullres")
        assert (code, error.count("\n")) == (3, 1), error
    (folder / "Dataset004_Made" / "nnUNetPlans.json").write_text("{")
    assert run("nnunet", "plans", "-d", "4")[0] == 3


def test_a_name_that_is_taken_and_a_base_that_is_ours_are_refused(folder, run):
    taken = plans()
    taken["configurations"]["3d_fullres_lightm-unet-nano"] = {"inherits_from": "3d_fullres"}
    write_plans(folder, taken)
    words = ("nnunet", "plans", "-d", "4", "--network", "lightm-unet-nano", "-c")
    code, _, error = run(*words, "3d_fullres")
    assert (code, "there already and not one of ours" in error) == (2, True)
    assert run(*words, "2d")[0] == 0
    code, _, error = run(*words, "2d_lightm-unet-nano")
    assert (code, "is one of ours already" in error) == (2, True)


@pytest.mark.parametrize("value", [None, "", "/nowhere/at/all"])
def test_a_variable_that_names_no_folder_is_told(value, monkeypatch, run):
    if value is None:
        monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    else:
        monkeypatch.setenv("nnUNet_preprocessed", value)
    code, _, error = run("nnunet", "plans", "-d", "4")
    assert (code, error.count("\n")) == (2, 1)
    assert "nnUNet_preprocessed is " in error


def test_two_data_sets_of_one_number_are_refused(folder, run):
    (folder / "Dataset004_Other").mkdir()
    code, _, error = run("nnunet", "plans", "-d", "4")
    assert (code, "ambiguous: Dataset004_Made, Dataset004_Other" in error) == (2, True)
