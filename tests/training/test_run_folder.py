"""Where a run may start, where it may go on, and that every refusal leaves the disk as it was."""

import json
import shutil
from pathlib import Path

import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.system.files import read_json, write_json
from lightm_unet.system.json_codec import to_json
from lightm_unet.training.run_folder import is_first_process, read_run

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
        ({"recipe": "papper"}, "recipe must be one of paper"),
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


def test_a_run_without_a_finished_epoch_is_to_be_removed(xray, run, train_tiny):
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UsageError, match=r"a run; it has finished no epoch: remove it"):
        train_tiny(xray, run)


def test_cases_prepared_by_an_interrupted_start_are_used_again(xray, run, train_tiny):
    for entry in run.iterdir():
        if entry.name != "prepared":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    times = {file: file.stat().st_mtime_ns for file in (run / "prepared").iterdir()}
    train_tiny(xray, run, epochs=1)
    assert {file: file.stat().st_mtime_ns for file in (run / "prepared").iterdir()} == times


# -------------------------------------------------------------------------- refusals when going on


def test_a_run_without_a_checkpoint_cannot_go_on(xray, run, train_tiny):
    (run / "checkpoints" / "last.ckpt").unlink()
    before = contents(run)
    with pytest.raises(UsageError, match=r"no checkpoints/last\.ckpt to resume from"):
        train_tiny(xray, run, resume=True)
    assert contents(run) == before


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


def test_a_damaged_checkpoint_is_a_data_error_and_changes_nothing(xray, run, train_tiny):
    (run / "checkpoints" / "last.ckpt").write_bytes(b"PK\x03\x04 and nothing more")
    before = contents(run)
    with pytest.raises(DataError, match=r"last\.ckpt: found it cannot be read"):
        train_tiny(xray, run, resume=True)
    assert contents(run) == before


def test_a_data_set_with_another_label_since_is_a_data_error(squares, train_tiny, tmp_path):
    run = train_tiny(squares, tmp_path / "run", epochs=1).folder
    description = read_json(squares / "dataset.json")
    description["labels"]["circle"] = 2
    write_json(description, squares / "dataset.json")
    with pytest.raises(DataError, match=r"last\.ckpt: found \(2,\) for network\.head"):
        train_tiny(squares, run, resume=True)


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
