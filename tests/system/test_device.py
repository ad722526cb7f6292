import pytest
import torch

from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.system.device import choose_device


def test_auto_finds_a_device_that_works():
    assert torch.ones(2, device=choose_device("auto")).sum().item() == 2


def test_auto_prefers_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("name", ["gpu", "xpu", "cuda:x", ""])
def test_an_unknown_device_is_a_usage_error(name):
    with pytest.raises(UsageError, match="expected auto, cpu, cuda"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there_is_a_missing_part(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(MissingPartError, match=f"finds no device '{name}' here; use --device cpu"):
        choose_device(name)
