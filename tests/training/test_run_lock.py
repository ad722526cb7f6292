import json
import os
import subprocess
import sys
import threading
import time

import pytest

from lightm_unet.errors import UsageError
from lightm_unet.training.run_lock import LOCK, process_start, sole_writer, this_process


def write(folder, **changes):
    """A lock as another process has left it."""
    (folder / LOCK).write_text(json.dumps({**this_process()._asdict(), **changes}))


def ended_process():
    """The number of a process that is no more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_lock_names_its_process_and_goes_with_it(tmp_path):
    with sole_writer(tmp_path / "run"):
        content = json.loads((tmp_path / "run" / LOCK).read_text())
        assert content == this_process()._asdict()
        assert content["pid"] == os.getpid()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_second_start_is_refused_with_process_and_machine(tmp_path):
    own = this_process()
    message = rf"process {own.pid} on {own.host} trains here already"
    with sole_writer(tmp_path):
        with pytest.raises(UsageError, match=message), sole_writer(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()  # still the first one's


def test_an_error_releases_it(tmp_path):
    with pytest.raises(ZeroDivisionError), sole_writer(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["ended", "number used again"])
def test_the_place_of_a_process_that_is_no_more_is_taken_with_a_word(how, tmp_path, listen):
    if how == "ended":
        write(tmp_path, pid=ended_process())
    elif not process_start(os.getppid()):
        pytest.skip("this system does not tell when a process started")
    else:
        write(tmp_path, pid=os.getppid(), started="before")
    said = []
    with listen(said.append), sole_writer(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert len(said) == 1
    assert "has ended without a word; this process takes its place" in said[0]


def test_a_process_that_has_ended_but_was_not_waited_for_is_no_more(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as child:
        child.stdout.read()  # until it ends
        until = time.monotonic() + 30
        while process_start(child.pid) is not None:
            assert time.monotonic() < until


def test_on_another_machine_only_a_person_can_tell(tmp_path):
    write(tmp_path, host="elsewhere", pid=7)
    with (
        pytest.raises(UsageError, match=r"process 7 on another machine, elsewhere, .* remove .*js"),
        sole_writer(tmp_path),
    ):
        pass
    assert json.loads((tmp_path / LOCK).read_text())["host"] == "elsewhere"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x"}', "\x00" * 50, "[" * 9999])
def test_a_file_that_was_being_written_when_its_process_was_killed_holds_nothing(content, tmp_path):
    (tmp_path / LOCK).write_text(content)
    with sole_writer(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_of_many_that_start_together_one_trains(tmp_path):
    write(tmp_path, pid=ended_process())
    inside, refused = [], []
    all_tried = threading.Barrier(8)

    def start():
        try:
            with sole_writer(tmp_path):
                inside.append(1)
                all_tried.wait()
        except UsageError:
            refused.append(1)
            all_tried.wait()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(inside), len(refused)) == (1, 7)
