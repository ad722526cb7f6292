"""What tests of several parts need."""

import sys

import pytest
import torch

from lightm_unet.cli import main


@pytest.fixture(scope="session")
def one_thread():
    """Torch with one thread: tiny networks are not worth sharing, threads only wait for another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command with these words; returns exit code, standard output and error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lightm-unet", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
