import pytest
import torch

from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.system.device import choose_device


def test_auto_finds_a_device_that_works():
    assert torch.ones(2, device=choose_device("auto")).sum().item() == 2


@pytest.mark.parametrize(
    ("cuda", "mps", "device"),
    [(True, False, "cuda"), (False, True, "mps"), (False, False, "cpu"), (True, True, "cuda")],
)
def test_auto_prefers_a_gpu(monkeypatch, cuda, mps, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto") == torch.device(device)
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "xpu", "cuda:x", ""])
def test_an_unknown_device_is_a_usage_error(name):
    with pytest.raises(UsageError, match="expected auto, cpu, cuda"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there_is_a_missing_part(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(MissingPartError, match=f"finds no device '{name}' here; use --device cpu"):
        choose_device(name)


def test_one_gpu_of_several_is_chosen_by_its_index(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1").index == 1
    assert choose_device("cuda", 2).index is None
    with pytest.raises(MissingPartError, match="finds no device 'cuda:2' here"):
        choose_device("cuda:2")


def test_fewer_gpus_than_asked_for_are_a_missing_part_with_their_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(MissingPartError, match="finds only 2 of 3 devices 'cuda' here; use"):
        choose_device("cuda", 3)


def test_several_of_one_device_are_a_usage_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(UsageError, match="'cuda:1' is one device, but 2 were requested"):
        choose_device("cuda:1", 2)


def test_a_cpu_takes_any_number_of_processes():
    assert choose_device("cpu", 64) == torch.device("cpu")
