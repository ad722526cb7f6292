import pickle
from pathlib import Path

import pytest
import torch

from lightm_unet.errors import DataError
from lightm_unet.training.checkpoints import (
    CheckpointFiles,
    KeptCheckpoint,
    check_fits,
    read_checkpoint,
)


def check_checkpoint(path, module):
    content = read_checkpoint(path)
    check_fits(content, path, module)
    return content


def content_for(module):
    parts = ("optimizer_states", "lr_schedulers", "loops", "callbacks")
    return {"state_dict": module.state_dict(), **{part: {} for part in parts}}


@pytest.fixture
def module():
    return torch.nn.Linear(3, 2)


@pytest.fixture
def path(module, tmp_path) -> Path:
    CheckpointFiles().save_checkpoint(content_for(module), tmp_path / "runs" / "last.ckpt")
    return tmp_path / "runs" / "last.ckpt"


class CannotBeSaved:
    def __reduce__(self):
        raise OSError("disk full")


def test_a_checkpoint_replaces_the_one_before_only_when_it_is_whole(path, module):
    before = path.read_bytes()
    with pytest.raises(OSError, match="disk full"):
        CheckpointFiles().save_checkpoint({"more": CannotBeSaved()}, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_whole_checkpoint_of_the_same_network_passes(path, module):
    check_checkpoint(path, module)


def test_a_checkpoint_that_would_run_code_is_refused_and_not_run(path, module, tmp_path):
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    for write in (
        lambda: path.write_bytes(pickle.dumps(Trap())),
        lambda: torch.save(content_for(module) | {"more": Trap()}, path),
    ):
        write()
        with pytest.raises(DataError, match=r"last\.ckpt: found it cannot be read"):
            check_checkpoint(path, module)
        assert not trap.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused_in_one_line_with_a_way_out(path, module, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"cannot be read .* copy .*best\.ckpt over it") as caught:
        check_checkpoint(path, module)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": 5}, 7])
def test_something_else_that_torch_can_load_is_refused(path, module, content):
    torch.save(content, path)
    with pytest.raises(DataError, match="cannot be read"):
        check_checkpoint(path, module)


def test_weights_alone_are_not_enough_to_go_on_from(path, module):
    torch.save({"state_dict": module.state_dict()}, path)
    with pytest.raises(DataError, match="found no callbacks; expected a checkpoint"):
        check_checkpoint(path, module)


def test_a_checkpoint_of_another_network_is_named_with_the_first_difference(path):
    with pytest.raises(DataError, match=r"found \(2,\) for bias; expected \(4,\)"):
        check_checkpoint(path, torch.nn.Linear(3, 4))
    with pytest.raises(DataError, match=r"found \(2,\) for bias; expected nothing"):
        check_checkpoint(path, torch.nn.Linear(3, 2, bias=False))


def test_a_moved_run_keeps_its_best_score(tmp_path):
    before = KeptCheckpoint(tmp_path / "before" / "best.ckpt", monitor="val_dice")
    before.best_model_score = torch.tensor(0.75)
    after = KeptCheckpoint(tmp_path / "after" / "best.ckpt", monitor="val_dice")
    after.load_state_dict(before.state_dict())
    assert after.best_model_score == 0.75


def test_a_single_changed_bit_is_seen(path, module):
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 97):
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            check_checkpoint(path, module)
        content[place] ^= 4


def test_a_checkpoint_of_an_earlier_version_without_a_checksum_is_read(path, module):
    torch.save(content_for(module), path)
    assert check_checkpoint(path, module)["callbacks"] == {}


def test_the_one_before_last_is_kept_until_the_new_one_is_whole(path, module):
    first = path.read_bytes()
    with torch.no_grad():
        module.bias.zero_()
    CheckpointFiles().save_checkpoint(content_for(module), path)
    assert path.with_name("previous.ckpt").read_bytes() == first
    assert path.read_bytes() != first
