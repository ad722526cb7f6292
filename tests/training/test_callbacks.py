import csv
import logging
from types import SimpleNamespace

import pytest
import torch

from lightm_unet.errors import DataError
from lightm_unet.training.callbacks import CsvLog, EpochLines, EpochProgress, SaveBestModel

ON_CPU = SimpleNamespace(device=torch.device("cpu"))  # as much of a module as the log looks at


def trainer(epoch, **metrics):
    """As much of a trainer as a callback looks at, at the end of an epoch (from 0)."""
    return SimpleNamespace(
        current_epoch=epoch,
        max_epochs=4,
        global_step=10 * (epoch + 1),
        num_training_batches=2,
        num_val_batches=[1],
        is_global_zero=True,
        sanity_checking=False,
        callback_metrics={name: torch.tensor(value) for name, value in metrics.items()},
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])],
    )


def epoch(number, dice):
    return trainer(number, **{"train_loss": 1.5, "val_dice": dice, "val_dice/lung": dice})


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_only_a_higher_dice_than_ever_before_saves_the_model():
    saved = []
    best = SaveBestModel(saved.append)
    for number, dice in enumerate([0.5, 0.25, 0.5, 0.75]):
        best.on_validation_end(epoch(number, dice), None)
    assert [scores["epoch"] for scores in saved] == [1, 4]
    assert saved[-1] == {"epoch": 4, "val_dice": 0.75, "val_dice/lung": 0.75}


def test_a_first_epoch_with_a_dice_of_0_is_saved_so_that_there_is_a_model():
    saved = []
    SaveBestModel(saved.append).on_validation_end(epoch(0, 0.0), None)
    assert len(saved) == 1


def test_a_resumed_run_remembers_the_best_dice():
    saved = []
    before, after = SaveBestModel(saved.append), SaveBestModel(saved.append)
    before.on_validation_end(epoch(0, 0.5), None)
    after.load_state_dict(before.state_dict())
    after.on_validation_end(epoch(1, 0.4), None)
    assert len(saved) == 1
    assert after.best == 0.5


def test_of_several_processes_only_the_first_writes(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    saved, told = [], []
    other = epoch(0, 0.5)
    other.is_global_zero = False
    best, log = SaveBestModel(saved.append), CsvLog(tmp_path / "log.csv")
    best.on_validation_end(other, None)
    log.on_train_epoch_end(other, None)
    EpochLines(logging.getLogger()).on_train_epoch_end(other, None)
    EpochProgress(told.append).on_train_epoch_start(other, None)
    assert (saved, told, caplog.messages) == ([], [], [])
    assert not (tmp_path / "log.csv").exists()
    assert best.best == 0.5  # all of them know it


def test_the_log_has_a_row_for_each_epoch_counted_from_1(tmp_path):
    log = CsvLog(tmp_path / "log.csv")
    log.on_train_start(trainer(0), None)
    for number, dice in enumerate([0.25, 0.5]):
        log.on_train_epoch_start(epoch(number, dice), None)
        log.on_train_epoch_end(epoch(number, dice), ON_CPU)
    rows = read(tmp_path / "log.csv")
    assert [(row["epoch"], row["step"], row["val_dice"]) for row in rows] == [
        ("1", "10", "0.25"),
        ("2", "20", "0.5"),
    ]
    assert list(rows[0]) == [
        "epoch", "step", "seconds", "learning_rate", "peak_memory_mb", "train_loss", "val_dice",
        "val_dice/lung",
    ]  # fmt: skip


def test_a_resumed_log_keeps_the_epochs_before_the_checkpoint_and_repeats_the_others(tmp_path):
    first = CsvLog(tmp_path / "log.csv")
    for number, dice in enumerate([0.1, 0.2, 0.3]):
        first.on_train_epoch_end(epoch(number, dice), ON_CPU)
    resumed = CsvLog(tmp_path / "log.csv")
    resumed.on_train_start(trainer(2), None)  # two epochs are in the checkpoint
    resumed.on_train_epoch_end(epoch(2, 0.35), ON_CPU)
    dice = [row["val_dice"] for row in read(tmp_path / "log.csv")]
    assert dice == ["0.1", "0.2", "0.35"]


def test_a_line_tells_epoch_loss_dice_and_the_time_to_go(caplog):
    caplog.set_level(logging.INFO)
    lines = EpochLines(logging.getLogger())
    lines.on_train_start(trainer(0), None)
    lines.on_train_epoch_end(epoch(0, 0.5), ON_CPU)
    (line,) = caplog.messages
    assert line.startswith("epoch 1/4  loss 1.5000  validation Dice 0.5000 (lung 0.5000)  ")
    assert line.endswith(" s an epoch, 0 min to go")


def logged(path):
    """A log of three epochs."""
    log = CsvLog(path)
    for number, dice in enumerate([0.1, 0.2, 0.3]):
        log.on_train_epoch_end(epoch(number, dice), ON_CPU)
    return log


@pytest.mark.parametrize("content", [None, b"", b"epoch,st", b"\x00\xff\n1,2", b"epoch\n1\n1\n7\n"])
def test_a_lost_or_damaged_log_is_written_again_from_the_checkpoint(content, tmp_path):
    state = logged(tmp_path / "log.csv").state_dict()
    whole = (tmp_path / "log.csv").read_bytes()
    (tmp_path / "log.csv").unlink()
    if content is not None:
        (tmp_path / "log.csv").write_bytes(content)
    log = CsvLog(tmp_path / "log.csv")
    log.load_state_dict(state)
    log.on_fit_start(trainer(3), None)
    log.on_train_start(trainer(3), None)
    assert (tmp_path / "log.csv").read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"\x00\xff\n1,2", b"epoch\n1\n1\n7\n", b"epoch\n2\n"])
def test_without_rows_in_the_checkpoint_a_damaged_log_is_refused_by_name(content, tmp_path):
    (tmp_path / "log.csv").write_bytes(content)
    log = CsvLog(tmp_path / "log.csv")
    if content:
        with pytest.raises(DataError, match=r"log\.csv: found a log that cannot be used .* remove"):
            log.on_train_start(trainer(3), None)
    else:  # nothing to lose
        log.on_train_start(trainer(3), None)


def test_the_best_scores_are_in_the_checkpoint_too():
    before, after = SaveBestModel(print), SaveBestModel(print)
    before.on_validation_end(epoch(0, 0.5), None)
    after.load_state_dict(before.state_dict())
    assert after.scores == {"epoch": 1, "val_dice": 0.5, "val_dice/lung": 0.5}
    after.load_state_dict({"best": 0.25})  # of an earlier version
    assert (after.best, after.scores) == (0.25, {})
