"""A parent never waits for the dead and leaves no process behind; a child ends with its parent."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from lightm_unet.system import subprocesses
from lightm_unet.system.subprocesses import Child, ChildError, MemoryNeededError

SLEEP = "import time; time.sleep(60)"


def play(code, **options):
    """A child that runs this code."""
    return Child((sys.executable, "-c", code), **options)


def wait_until_gone(process):
    deadline = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_answer_is_an_answer_and_an_error_is_raised_with_its_reason():
    code = """input(); print('{"parameters": 3}'); input(); print('{"error": "why"}')"""
    with play(code) as child:
        assert child.ask({}) == {"parameters": 3}
        with pytest.raises(ChildError, match=r"^why$"):
            child.ask({})


def test_its_lines_are_passed_on_until_it_ends():
    with play("print('one'); print('two', end='')") as child:
        assert list(child.lines()) == ["one", "two"]
        assert list(child.lines()) == []
        assert child.how_it_ended() == "its process ended by exit code 0"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(7)", "ended by exit code 7"),
        ("raise OSError('no disk')", "exit code 1: OSError: no disk"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9 .the system's way when memory runs out"),
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11$"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_child_that_dies_does_not_die_silently(code, message):
    with play(code) as child, pytest.raises(ChildError, match=message):
        child.ask({})


def test_it_gets_the_environment_and_the_threads_that_it_is_given():
    code = "import os; print(os.environ.get('COLOUR'), os.environ.get('OMP_NUM_THREADS'))"
    with play(code, environment={"COLOUR": "blue"}, threads=3) as child:
        assert list(child.lines()) == ["blue 3"]
    with play(code, environment={}) as child:
        assert list(child.lines()) == ["None None"]


@pytest.fixture
def no_memory(monkeypatch):
    """A machine that has less memory left than must stay free."""
    monkeypatch.setattr(subprocesses, "SPARE_SHARE", 2.0)


def test_a_child_that_leaves_no_memory_is_ended(no_memory):
    with (
        play(SLEEP) as child,
        pytest.raises(MemoryNeededError, match=r"out of memory: it held .* GB and wanted more"),
    ):
        child.ask({})


def test_a_child_that_another_process_watches_is_left_alone(no_memory):
    with play("import time; time.sleep(0.5); print('done')", watch_memory=False) as child:
        assert list(child.lines()) == ["done"]


def test_ending_it_in_the_middle_ends_its_children_and_removes_its_files():
    code = (
        "import subprocess, sys, tempfile, time; tempfile.mkdtemp();"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]);"
        f"print('{{\"child\": %d}}' % child.pid, flush=True); {SLEEP}"
    )
    with play(code) as child:
        grandchild = psutil.Process(child.ask({})["child"])
        assert len(list(child.folder.iterdir())) == 2  # its stderr, and what it made itself
    wait_until_gone(grandchild)
    assert not child.folder.exists()
    child.end()  # twice is no mistake
    assert "ended by" in child.how_it_ended()


BUSY_CHILD = f"""
from lightm_unet.system.subprocesses import join_parent
requests, answers = join_parent()
print("for people")
print(next(requests).strip(), file=answers, flush=True)
{SLEEP}
"""


def test_what_a_library_prints_in_the_child_is_no_answer():
    with play(BUSY_CHILD) as child:
        assert child.ask({"ping": 1}) == {"ping": 1}
        child._process.kill()
        assert child.how_it_ended().endswith("for people")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_busy_child_ends_when_its_parent_is_killed(tmp_path):
    parent = f"""
import sys
from lightm_unet.system.subprocesses import Child
child = Child((sys.executable, "-c", {BUSY_CHILD!r}))
child.ask({{}})
print(child._process.pid, flush=True)
{SLEEP}
"""
    command = [sys.executable, "-c", parent]
    environment = os.environ | {"TMPDIR": str(tmp_path)}  # for what a killed parent leaves
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        child = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        wait_until_gone(child)
