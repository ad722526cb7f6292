"""Where a run may start, where it may go on, and that every refusal leaves the disk as it was."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.networks.spec import NetworkSpec
from lightm_unet.system.files import read_json, write_json
from lightm_unet.system.json_codec import to_json
from lightm_unet.training.run_folder import is_first_process, read_run, write_run
from run_checks import assert_same_training

TINY = {"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1}


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished.folder, tmp_path / "run"))


def contents(folder):
    """Every file in a folder, with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


# --------------------------------------------------------------------------- refusals at the start


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, "no setting epoch"),
        ({"epochs": 0}, "epochs needs a whole number"),
        ({"recipe": "papper"}, "recipe must be one of auto, paper"),
        ({"network": {"widht": 8}}, "no option widht"),
        ({"augmentation": "lots"}, "augmentation must be one of none"),
        ({"size": (24,), "patch": (16,)}, "either size .* or roi_size"),
        ({"size": (24, 24, 24)}, "size needs 2 positive values"),
        (
            {"normalization": "minmax"},
            "must be one of auto, zscore, ct; got 'minmax'",
        ),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_leaves_nothing(
    settings, message, xray, train_tiny, tmp_path
):
    with pytest.raises(UsageError, match=message):
        train_tiny(xray, tmp_path / "run", **settings)
    assert names(tmp_path) == []


def test_a_split_without_validation_is_refused_and_leaves_nothing(squares, train_tiny, tmp_path):
    split = {"training": [f"case_{i}" for i in range(6)], "validation": [], "test": []}
    (squares / "split.json").write_text(json.dumps(split))
    with pytest.raises(UsageError, match=r"squares: the split has no validation case"):
        train_tiny(squares, tmp_path / "run")
    assert names(tmp_path) == ["squares"]


def test_a_folder_that_is_no_data_set_is_refused_and_leaves_nothing(train_tiny, tmp_path):
    with pytest.raises(DataError, match=r"nowhere: found no such folder"):
        train_tiny(tmp_path / "nowhere", tmp_path / "run")
    assert names(tmp_path) == []


@pytest.mark.parametrize("existed", [False, True])
def test_a_bad_case_is_named_leaves_nothing_and_once_repaired_trains(
    existed, squares, train_tiny, tmp_path
):
    output = tmp_path / "run"
    if existed:
        output.mkdir()
    bad = squares / "labelsTr" / "case_3.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(DataError, match=r"case_3\.png"):
        train_tiny(squares, output, epochs=1)

    assert (names(output) == []) if existed else not output.exists()
    bad.write_bytes(whole)
    train_tiny(squares, output, epochs=1)


@pytest.mark.parametrize("name", ["notes.txt", "model"])
def test_a_folder_with_something_in_it_is_refused_and_untouched(name, xray, train_tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")
    with pytest.raises(UsageError, match="run: expected a new or empty folder"):
        train_tiny(xray, tmp_path / "run")
    assert names(tmp_path / "run") == [name]


def test_a_file_where_the_folder_should_be_is_refused(xray, train_tiny, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UsageError, match="run: expected a new or empty folder"):
        train_tiny(xray, tmp_path / "run")


def test_a_second_run_in_a_run_s_folder_is_refused_with_the_way_to_go_on(xray, run, train_tiny):
    before = contents(run)
    with pytest.raises(UsageError, match=r"the folder contains a run; continue it with --resume"):
        train_tiny(xray, run)
    assert contents(run) == before


def test_a_new_run_may_take_the_place_of_one_that_was_killed_before_it_began(
    xray, train_tiny, tmp_path
):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lightm-unet-0123456789abcdef.tmp").write_text("{")
    (tmp_path / "run" / "lock.json").write_text("")
    run = train_tiny(xray, tmp_path / "run", epochs=1).folder
    assert not [name for name in names(run) if name.startswith(".") or name == "lock.json"]


def test_cases_prepared_by_an_interrupted_start_are_used_again(xray, run, train_tiny):
    for entry in run.iterdir():
        if entry.name != "prepared":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    times = {file: file.stat().st_mtime_ns for file in (run / "prepared").iterdir()}
    train_tiny(xray, run, epochs=1)
    assert {file: file.stat().st_mtime_ns for file in (run / "prepared").iterdir()} == times


# -------------------------------------------------------------------------- refusals when going on


def test_a_finished_run_whose_checkpoints_were_removed_cannot_go_on(xray, run, train_tiny):
    shutil.rmtree(run / "checkpoints")
    before = contents(run)
    with pytest.raises(UsageError, match=r"no checkpoint to resume from; the run has ended"):
        train_tiny(xray, run, resume=True)
    assert contents(run) == before


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and nothing more"])
def test_a_checkpoint_that_is_lost_or_damaged_is_told_and_changes_no_bit(
    name, content, xray, run, finished, train_tiny, listen
):
    if content is None:
        (run / "checkpoints" / name).unlink()
    else:
        (run / "checkpoints" / name).write_bytes(content)
    said = []
    with listen(said.append):
        train_tiny(xray, run, resume=True)
    assert f"checkpoints/{name}: " in said[1]
    assert_same_training(finished.folder, run)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
@pytest.mark.parametrize("how", ["cut", "changed", "deleted"])
def test_a_damaged_model_is_saved_again_from_the_best_checkpoint(
    name, how, xray, run, finished, train_tiny, listen
):
    file = run / "model" / name
    content = file.read_bytes()
    file.unlink()
    if how != "deleted":
        file.write_bytes(content[:-50] + (b"" if how == "cut" else b" " + content[-49:]))
    said = []
    with listen(said.append):
        train_tiny(xray, run, resume=True)
    assert said[1].endswith("model: found other files than the best epoch's; saved again")
    assert file.read_bytes() == content


def test_a_model_that_nothing_tells_of_any_more_is_refused_by_name(xray, run, train_tiny):
    (run / "model" / "model.json").unlink()
    (run / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(DataError, match=r"run/model: found no usable model .* start another run"):
        train_tiny(xray, run, resume=True)


def test_without_any_whole_checkpoint_the_way_to_start_again_is_told(xray, run, train_tiny):
    for file in (run / "checkpoints").iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    before = contents(run)
    with pytest.raises(DataError, match=r"last\.ckpt: found it cannot be read .* remove .*checkp"):
        train_tiny(xray, run, resume=True)
    assert contents(run) == before


def unfinished(run):
    """Make a finished run one that is in its first epoch."""
    shutil.rmtree(run / "checkpoints")
    write_run(replace(read_run(run), best_dice=None, seconds=None), run)


@pytest.mark.parametrize("prepared", [True, False])
def test_a_run_that_has_finished_no_epoch_starts_again_with_its_own_settings(
    prepared, xray, run, finished, train_tiny, listen
):
    unfinished(run)
    if not prepared:
        write_run(replace(read_run(run), data=None), run)
        (run / "split.json").unlink()
    said = []
    with listen(said.append):
        train_tiny(xray, run, resume=True)
    assert said[0].startswith("the run has not finished an epoch; it starts again")
    assert_same_training(finished.folder, run)


def test_a_folder_that_is_not_there_cannot_go_on_and_is_not_made(xray, train_tiny, tmp_path):
    with pytest.raises(UsageError, match="to resume from"):
        train_tiny(xray, tmp_path / "run", resume=True)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 9}, "this run has epochs 4, not 9"),
        ({"size": (32,)}, r"this run has size \[24\], not \[32\]"),
        ({"recipe": "paper"}, "this run has recipe 'released', not 'paper'"),
        ({"recipe": "auto"}, "this run has recipe 'released', not 'adamw'"),
        ({"network": {"width": 8}}, "this run has network"),
        ({"seed": 1}, "this run has seed 0, not 1"),
        ({"epoch": 9}, "no setting epoch"),
    ],
    ids=str,
)
def test_what_contradicts_a_run_is_named_and_nothing_is_changed(
    settings, message, xray, run, train_tiny
):
    before = contents(run)
    with pytest.raises(UsageError, match=message):
        train_tiny(xray, run, resume=True, **settings)
    assert contents(run) == before


def test_another_data_set_contradicts_a_run(xray, squares, run, train_tiny):
    before = contents(run)
    with pytest.raises(UsageError, match=r"this run has dataset '.*xray', not '.*squares'"):
        train_tiny(squares, run, resume=True)
    assert contents(run) == before


def test_what_a_run_has_may_be_said_again(xray, run, train_tiny):
    train_tiny(
        xray,
        run,
        resume=True,
        epochs=4,
        size=(24,),
        seed=0,
        network=TINY,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"settings": None},
        {"settings": {"speed": 9}},
        {"preprocessing": {}},
        {"preprocessing": []},
        {"dataset": 5},
    ],
    ids=str,
)
def test_a_record_that_cannot_be_used_is_a_data_error(change, xray, run, train_tiny):
    write_json({**read_json(run / "run.json"), **change}, run / "run.json")
    with pytest.raises(DataError, match=r"run\.json: found a record that cannot be used"):
        train_tiny(xray, run, resume=True)


def as_format_1(run):
    """Rewrite run.json as it was before a network was one text, and files had formats."""
    record = read_json(run / "run.json")
    assert record.pop("format") == 2
    record["settings"]["architecture"] = "lightm-unet"
    record["settings"]["network"] = {
        "width": 4, "encoder_layers": [1], "bottleneck_layers": 1
    }  # fmt: skip
    write_json(record, run / "run.json")


def test_a_run_with_a_record_of_format_1_goes_on(xray, run, train_tiny):
    before = read_run(run)
    as_format_1(run)
    assert read_run(run) == before
    train_tiny(xray, run, resume=True, network=str(before.settings.network))
    train_tiny(xray, run, resume=True, architecture="lightm-unet", network=TINY)
    assert read_json(run / "run.json")["settings"] == to_json(before.settings)


def test_a_record_of_format_1_with_another_network_is_named(xray, run, train_tiny):
    as_format_1(run)
    with pytest.raises(UsageError, match=r"this run has network 'lightm-unet:width=4:.*, not 'nnu"):
        train_tiny(xray, run, resume=True, architecture="nnu-net")


def test_a_record_of_a_later_version_is_refused(xray, run, train_tiny):
    write_json({**read_json(run / "run.json"), "format": 3}, run / "run.json")
    with pytest.raises(DataError, match=r"found format 3; expected format 1 to 2; upgrade"):
        train_tiny(xray, run, resume=True)


# --------------------------------------------------------------------- what has changed meanwhile


def test_a_data_set_with_another_label_since_is_a_data_error(squares, train_tiny, tmp_path):
    run = train_tiny(squares, tmp_path / "run", epochs=1).folder
    description = read_json(squares / "dataset.json")
    description["labels"]["circle"] = 2
    write_json(description, squares / "dataset.json")
    with pytest.raises(DataError, match=r"found dataset\.json with other labels; .*resume-anyway"):
        train_tiny(squares, run, resume=True)
    with pytest.raises(DataError, match=r"last\.ckpt: found \(2,\) for network\.head"):
        train_tiny(squares, run, resume_anyway=True, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: edit_picture(root / "labelsTr" / "case_1.png"),
            r"found changed file: labelsTr/case_1\.png; expected what the run began with",
        ),
        (
            lambda root: edit_picture(root / "imagesTr" / "case_1_0000.png"),
            r"found changed file: imagesTr/case_1_0000\.png",
        ),
        (
            lambda root: [
                shutil.copy(root / "imagesTr" / "case_1_0000.png", root / "imagesTr/new_0000.png"),
                shutil.copy(root / "labelsTr" / "case_1.png", root / "labelsTr/new.png"),
            ],
            "found added case: new",
        ),
        (
            lambda root: [
                (root / "imagesTr" / "case_1_0000.png").unlink(),
                (root / "labelsTr" / "case_1.png").unlink(),
            ],
            "found missing case: case_1",
        ),
    ],
    ids=["labels", "image", "added", "missing"],
)
def test_data_that_have_changed_are_named_and_nothing_is_changed(
    change, message, squares, train_tiny, tmp_path
):
    split = {"training": [f"case_{i}" for i in range(5)], "validation": ["case_5"], "test": []}
    (squares / "split.json").write_text(json.dumps(split))
    run = train_tiny(squares, tmp_path / "run", epochs=1).folder
    change(squares)
    before = contents(run)
    with pytest.raises(DataError, match=message):
        train_tiny(squares, run, resume=True)
    assert contents(run) == before


def edit_picture(path):
    """Change one pixel, and neither the file's time nor, as far as the form allows, its size."""
    before = path.stat()
    array = np.array(PIL.Image.open(path))
    array[5, 10] = 1 - array[5, 10] % 2
    PIL.Image.fromarray(array).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_is_passed_over_is_told_and_recorded(squares, train_tiny, listen, tmp_path):
    run = train_tiny(squares, tmp_path / "run", epochs=1).folder
    name = read_json(run / "split.json")["training"][0]
    edit_picture(squares / "labelsTr" / f"{name}.png")
    said = []
    with listen(said.append):
        train_tiny(squares, run, resume=True, resume_anyway=True)
    assert said[0] == f"passes over: {squares}: changed file: labelsTr/{name}.png"
    assert read_run(run).passed_over == (f"squares: changed file: labelsTr/{name}.png",)
    train_tiny(squares, run, resume=True)  # from now on these are the run's data


def test_a_data_set_that_was_moved_is_the_same_one(squares, train_tiny, listen, tmp_path):
    run = train_tiny(squares, tmp_path / "run", epochs=1).folder
    moved = squares.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"squares: found no such folder; .* give its new folder"):
        train_tiny(squares, run, resume=True)
    said = []
    with listen(said.append):
        train_tiny(moved, run, resume=True)
    assert said[0] == f"the data set of this run has moved from {squares} to {moved}"
    assert read_run(run).dataset == moved


def test_another_algorithm_is_refused_and_another_version_is_told(
    xray, run, train_tiny, listen, monkeypatch
):
    said = []
    write_run(replace(read_run(run), lightm_unet="0.0.9"), run)
    with listen(said.append):
        train_tiny(xray, run, resume=True)
    assert said[0].startswith("the run began with lightm-unet 0.0.9 and torch ")
    monkeypatch.setattr("lightm_unet.training.run_folder.ALGORITHM", 9)
    with pytest.raises(DataError, match=r"run\.json: found algorithm \d .* has algorithm 9"):
        train_tiny(xray, run, resume=True)


def test_a_record_that_was_changed_by_hand_is_refused(xray, run, train_tiny):
    record = read_json(run / "run.json")
    record["settings"]["learning_rate"] = 0.03
    write_json(record, run / "run.json")
    with pytest.raises(DataError, match=r"run\.json: found a record that was changed"):
        train_tiny(xray, run, resume=True)


def test_a_damaged_split_is_drawn_again_and_another_one_is_refused(squares, train_tiny, tmp_path):
    run = train_tiny(squares, tmp_path / "run", epochs=1).folder
    before = (run / "split.json").read_bytes()
    (run / "split.json").write_bytes(before[:40])
    train_tiny(squares, run, resume=True)
    assert (run / "split.json").read_bytes() == before
    names = [f"case_{i}" for i in range(6)]
    split = {"training": names[1:], "validation": names[:1], "test": []}
    (squares / "split.json").write_text(json.dumps(split))
    (run / "split.json").write_text(json.dumps(split))
    with pytest.raises(DataError, match=r"split\.json: found another split"):
        train_tiny(squares, run, resume=True)


def test_the_order_of_a_network_s_options_does_not_matter(xray, run, train_tiny):
    options = dict(reversed(TINY.items()))
    train_tiny(xray, run, resume=True, network=str(NetworkSpec("lightm-unet", options)))


# ------------------------------------------------------------------------------ several processes


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_the_process_of_rank_0_everywhere_is_the_first(name, monkeypatch):
    for other in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(other, raising=False)
    assert is_first_process()
    monkeypatch.setenv(name, "0")
    assert is_first_process()
    monkeypatch.setenv(name, "1")
    assert not is_first_process()
