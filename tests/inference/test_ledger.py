"""The ledger: lines survive kills and damage, and say what has to be done."""

import json
import os
import threading

import pytest

from lightm_unet.errors import DataError
from lightm_unet.inference.ledger import MOST_BEGINS, Ledger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "ledger.jsonl"


def test_lines_of_one_process_are_read_by_the_next(path):
    ledger = Ledger(path)
    ledger.begin("a", "key", alone=False)
    ledger.end("a", "key", {"sha256": "1"})
    ledger.begin("b", "key", alone=False)
    ledger.end("b", "key", {"error": "found nothing"})
    again = Ledger(path)
    assert again.ended["a"]["sha256"] == "1"
    assert again.ended["b"]["error"] == "found nothing"
    assert again.interrupted() == []


def test_a_ledger_that_is_only_read_makes_no_file(path):
    Ledger(path).close()
    assert not path.exists()


def test_what_another_process_adds_is_seen(path):
    one, other = Ledger(path), Ledger(path)
    other.end("a", "key", {"sha256": "1"})
    one.refresh()
    assert one.ended["a"]["key"] == "key"


@pytest.mark.parametrize("left", [b'{"format":1,"event":"end","ca', b"\x00\x00\x00", b"{", b"\xff"])
def test_a_torn_last_line_is_told_and_does_not_touch_the_next(path, left, caplog):
    Ledger(path).end("a", "key", {"sha256": "1"})
    with path.open("ab") as file:
        file.write(left)
    Ledger(path).end("b", "key", {"sha256": "2"})
    again = Ledger(path)
    assert set(again.ended) == {"a", "b"}
    assert again.damaged == [2]
    assert "line 2" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[]",
        "3",
        '"text"',
        "null",
        "{}",
        '{"format":1,"event":"end"}',
        '{"format":1,"event":"other","case":"b","key":""}',
        '{"format":1,"event":"end","case":7,"key":"k"}',
        '{"format":1,"event":"end","case":"b","key":[]}',
        "1], [2",
        "[" * 2000,
    ],
)
def test_a_damaged_line_in_the_middle_is_told_and_the_others_count(path, line):
    Ledger(path).end("a", "key", {"sha256": "1"})
    with path.open("a") as file:
        file.write(line + "\n")
    Ledger(path).end("c", "key", {"sha256": "3"})
    again = Ledger(path)
    assert again.damaged == [2]
    assert set(again.ended) == {"a", "c"}


def test_a_newer_format_is_refused(path):
    path.parent.mkdir()
    path.write_text('{"format":2,"event":"end","case":"a","key":"k"}\n')
    with pytest.raises(DataError, match="upgrade"):
        Ledger(path)


def test_a_case_that_ends_its_process_is_known_by_its_begins(path):
    for _ in range(MOST_BEGINS):
        Ledger(path).begin("bad", "key", alone=True)
    again = Ledger(path)
    assert again.times_begun("bad", "key") == MOST_BEGINS
    assert again.times_begun("bad", "another file's key") == 0
    again.end("bad", "key", {"error": "set aside", "set_aside": True})
    assert Ledger(path).times_begun("bad", "key") == MOST_BEGINS  # it stays set aside


def test_begins_in_company_count_once_however_many(path):
    for _ in range(10):
        Ledger(path).begin("innocent", "key", alone=False)
    assert Ledger(path).times_begun("innocent", "key") == 1


def test_an_end_clears_the_begins(path):
    ledger = Ledger(path)
    ledger.begin("a", "key", alone=True)
    ledger.end("a", "key", {"sha256": "1"})
    assert Ledger(path).times_begun("a", "key") == 0


def test_what_was_stopped_in_order_is_not_held_against_a_case(path):
    for _ in range(5):
        ledger = Ledger(path)
        ledger.begin("a", "key", alone=True)
        ledger.close()  # as Ctrl-C does
    assert Ledger(path).times_begun("a", "key") == 0


def test_threads_and_processes_that_share_a_ledger_lose_no_line(path):
    def write(number):
        ledger = Ledger(path)
        for case in range(20):
            ledger.end(f"{number}.{case}", "k", {"warnings": ["x" * 500]})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    child = os.fork() if hasattr(os, "fork") else 0
    if hasattr(os, "fork") and child == 0:
        write("child")
        os._exit(0)
    for thread in threads:
        thread.join()
    expected = 80
    if child:
        os.waitpid(child, 0)
        expected += 20
    again = Ledger(path)
    assert (len(again.ended), again.damaged) == (expected, [])


def test_names_of_any_bytes_are_kept(path):
    name = os.fsdecode(b"\xff caf\xe9\n")
    Ledger(path).end(name, "k", {"error": name})
    assert len(path.read_bytes().splitlines()) == 1
    assert Ledger(path).ended[name]["error"] == name


def test_a_full_disk_is_an_error_and_leaves_a_line_that_is_passed_over(path, monkeypatch):
    Ledger(path).end("a", "k", {})
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))
    with pytest.raises(OSError, match="No space left"):
        Ledger(path).end("b", "k", {})
    monkeypatch.undo()
    Ledger(path).end("c", "k", {})
    assert set(Ledger(path).ended) == {"a", "c"}


def test_a_line_is_one_json_object(path):
    Ledger(path).end("a", "k", {"seconds": 0.5, "warnings": []})
    (line,) = map(json.loads, path.read_text().splitlines())
    assert line["format"] == 1
    assert line["event"] == "end"
