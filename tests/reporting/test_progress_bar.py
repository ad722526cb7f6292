import io

import pytest
from rich.console import Console

from lightm_unet.reporting.progress_bar import progress_bar
from lightm_unet.system.progress import ProgressEvent


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    return Console(file=io.StringIO(), force_terminal=True, width=100)


def test_without_a_terminal_there_is_no_bar_and_nothing_is_printed():
    console = Console(file=io.StringIO())
    with progress_bar(console) as progress:
        assert progress is None
    assert console.file.getvalue() == ""


def test_a_terminal_sees_task_count_and_item(terminal):
    with progress_bar(terminal) as progress:
        progress(ProgressEvent("predict [1]", 1, 3, "case_[2]"))
    shown = terminal.file.getvalue()
    assert "predict [1]" in shown
    assert "1/3" in shown
    assert "case_[2]" in shown


def test_a_job_that_reports_nothing_prints_nothing(terminal):
    with progress_bar(terminal):
        pass
    assert terminal.file.getvalue() == ""


def test_a_line_printed_meanwhile_stays_whole(terminal):
    with progress_bar(terminal) as progress:
        progress(ProgressEvent("train", 1, 3))
        terminal.out("epoch 1/4  loss 0.5", highlight=False)
    assert "epoch 1/4  loss 0.5\n" in terminal.file.getvalue()


def test_a_finished_task_loses_its_bar_and_can_begin_again(terminal):
    with progress_bar(terminal) as progress:
        progress(ProgressEvent("first", 2, 2))
        before = terminal.file.tell()
        progress(ProgressEvent("second", 0, 2))
        assert "first" not in terminal.file.getvalue()[before:]
        progress(ProgressEvent("first", 0, 2))
    assert "first" in terminal.file.getvalue()[before:]
