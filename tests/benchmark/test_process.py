"""The coordinator never waits for the dead, and leaves no process behind."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from lightm_unet.benchmark.contestants import Contestant
from lightm_unet.benchmark.process import (
    ContestantError,
    ContestantProcess,
    MemoryNeededError,
    environment,
)

WHO = Contestant("lightm-unet", (8, 8), threads=2)


def play(code):
    """A contestant's process that runs this code instead."""
    return ContestantProcess(WHO, (sys.executable, "-c", code))


def test_kept_memory_is_set_for_it_alone_and_nothing_that_spins_is_passed_on():
    shell = {"PATH": "/bin", "OMP_WAIT_POLICY": "active", "MALLOC_TRIM_THRESHOLD_": "7"}
    plain = environment(WHO, shell)
    assert plain == {"PATH": "/bin", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    kept = environment(Contestant("lightm-unet", (8, 8), allocator="kept"), shell)
    assert int(kept["MALLOC_TRIM_THRESHOLD_"]) > 2**32
    assert kept["MALLOC_MMAP_MAX_"] == "0"


def test_an_answer_is_an_answer_and_an_error_is_raised_with_its_reason():
    with play("""input(); print('{"parameters": 3}'); input(); print('{"error": "why"}')""") as it:
        assert it.build() == {"parameters": 3}
        with pytest.raises(ContestantError, match=r"^why$"):
            it.turn(0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(7)", "ended by exit code 7"),
        ("raise OSError('no disk')", "exit code 1: OSError: no disk"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9 .the system's way when memory runs out"),
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_process_that_dies_does_not_die_silently(code, message):
    with play(code) as process, pytest.raises(ContestantError, match=message):
        process.build()


def test_a_process_that_leaves_no_memory_is_ended(monkeypatch):
    monkeypatch.setattr("lightm_unet.benchmark.process.SPARE_SHARE", 2.0)
    with (
        play("import time; time.sleep(60)") as process,
        pytest.raises(MemoryNeededError, match=r"out of memory: it held .* GB and wanted more"),
    ):
        process.build()


def test_ending_it_in_the_middle_ends_its_children_and_removes_its_files():
    code = (
        "import subprocess, sys, tempfile, time; tempfile.mkdtemp();"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print('{\"child\": %d}' % child.pid, flush=True); time.sleep(60)"
    )
    with play(code) as process:
        child = psutil.Process(process.build()["child"])
        folder = Path(process._folder.name)
        assert len(list(folder.iterdir())) == 2  # its standard error, and what it made itself
    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not folder.exists()
    process.end()  # twice is no mistake
