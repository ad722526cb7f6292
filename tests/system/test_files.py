import errno
import os
import stat
from pathlib import Path

import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.system.files import (
    check_output_folder,
    new_folder,
    open_atomic,
    open_sealed,
    read_bytes,
    read_json,
    remove_temporary_files,
    seal_holds,
    write_bytes,
    write_json,
    write_together,
)


def test_an_interrupted_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "case.bin"
    path.write_bytes(b"old")

    def interrupted():
        with open_atomic(path) as file:
            file.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "new"

    def fail():
        with new_folder(target) as folder:
            (folder / "half").write_text("")
            assert not target.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with new_folder(target) as folder:
        (folder / "whole").write_text("")
    assert [file.name for file in target.iterdir()] == ["whole"]


def test_an_empty_folder_may_be_filled_but_a_full_one_is_never_touched(tmp_path):
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    (full / "mine").write_text("")
    with new_folder(empty) as folder:
        (folder / "file").write_text("")
    assert (empty / "file").exists()
    with pytest.raises(UsageError, match="files there already"), new_folder(full):
        pass
    assert [file.name for file in full.iterdir()] == ["mine"]


def test_json_never_holds_what_json_cannot_express(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json({"dice": float("nan")}, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[1]", "", "\x00\xff", "[" * 100_000, '{"a":' * 100_000])
def test_something_else_than_a_json_object_is_one_data_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.json"):
        read_json(path)


@pytest.mark.parametrize("depth", [51, 300, 100_000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_json_nested_deeply_is_one_data_error(tmp_path, depth, pair):
    opening, closing = ('{"a":', "}") if pair == "{}" else ("[", "]")
    path = tmp_path / "a.json"
    path.write_text('{"a": ' + opening * depth + "1" + closing * depth + "}")
    with pytest.raises(DataError, match="more than 50 deep"):
        read_json(path)


def test_json_nested_as_deeply_as_allowed_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": ' + "[" * 49 + "1" + "]" * 49 + "}")
    assert str(read_json(path)["a"]).count("[") == 49


def test_bytes_of_a_name_that_are_no_text_come_back_from_json(tmp_path):
    name = os.fsdecode(b"caf\xe9 \xff.png")
    write_json({"file": name, "text": "é\n"}, tmp_path / "a.json")
    (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"file": name, "text": "é\n"}


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    path = tmp_path / ("x" * 255)
    write_bytes(b"whole", path)
    assert path.read_bytes() == b"whole"


def test_an_error_of_the_system_names_the_file_that_was_to_be_written(tmp_path):
    path = tmp_path / "mask.png"

    def full():
        with open_atomic(path):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left") as raised:
        full()
    assert raised.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="found a named pipe; expected a regular file"):
        read_bytes(tmp_path / "a.png")


def test_a_folder_or_a_missing_file_is_a_data_error(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError):
            read_bytes(path)


@pytest.mark.skipif(not Path(os.devnull).exists(), reason="this system has no such device")
def test_a_device_is_never_replaced_by_a_file():
    with pytest.raises(UsageError, match="is no regular file"):
        write_bytes(b"text", Path(os.devnull))
    assert not Path(os.devnull).is_file()


def test_files_are_written_together_or_not_at_all(tmp_path):
    write_together({"a": b"old", "b": b"old"}, tmp_path / "new")
    files = {file.name: file.read_bytes() for file in (tmp_path / "new").iterdir()}
    assert files == {"a": b"old", "b": b"old"}
    (tmp_path / "new" / "c").mkdir()
    with pytest.raises(UsageError, match="c is no regular file"):
        write_together({"a": b"new", "b": b"new", "c": b"new"}, tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["a", "b", "c"]
    assert (tmp_path / "new" / "a").read_bytes() == b"old"


def test_what_the_system_says_against_writing_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    for folder in (tmp_path / "file" / "below", tmp_path / "zero\0byte", tmp_path / ("n" * 300)):
        for try_it in (check_output_folder, lambda f, names: write_together({"a": b""}, f)):
            with pytest.raises(UsageError, match="cannot be written") as caught:
                try_it(folder, ["a"])
            assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_folder_is_tried_without_a_trace(tmp_path):
    check_output_folder(tmp_path / "new" / "below", ["a"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_bytes(b"old")
    check_output_folder(tmp_path, ["a"])
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_name_that_is_no_text_is_read_back_from_json(tmp_path):
    name = os.fsdecode(b"\xff")
    write_json({"name": name}, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == {"name": name}


def test_a_file_is_on_the_disk_before_it_gets_its_name_and_then_the_name_is(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    kinds = {True: "folder", False: "file"}
    monkeypatch.setattr(
        os, "fsync", lambda d: [done.append(kinds[stat.S_ISDIR(os.fstat(d).st_mode)]), fsync(d)]
    )
    monkeypatch.setattr(os, "replace", lambda *names: [done.append("name"), replace(*names)])
    write_bytes(b"text", tmp_path / "a")
    assert done == ["file", "name", "folder"][: 2 + (os.name != "nt")]


def test_a_disk_that_is_full_at_the_last_moment_keeps_the_old_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_bytes(b"old", tmp_path / "a")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(b"new", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_file_before_can_be_kept_under_another_name(tmp_path):
    for text in (b"1", b"2", b"3"):
        with open_atomic(tmp_path / "a", keep=tmp_path / "b") as file:
            file.write(text)
    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"3", b"2"]


def test_a_seal_breaks_when_any_byte_changes(tmp_path):
    path = tmp_path / "a"
    with open_sealed(path) as file:
        file.write(b"some ")
        file.write(b"text")
    whole = path.read_bytes()
    assert whole.startswith(b"some text")
    assert seal_holds(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not seal_holds(path)
        path.write_bytes(whole[:place])
        assert not seal_holds(path)


def test_a_file_without_a_seal_and_no_file_have_none(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 200)
    assert seal_holds(tmp_path / "a") is None
    assert seal_holds(tmp_path / "b") is None


def test_only_files_that_a_writer_left_are_removed(tmp_path):
    name = ".lightm-unet-0123456789abcdef.tmp"
    kept = [".a.tmp", name[1:], name.removesuffix(".tmp"), name.upper(), "notes.txt"]
    left = [name, name.replace("0", "e")]
    folder = name.replace("0", "d")
    for name in [*kept, *left]:
        (tmp_path / name).write_text("")
    (tmp_path / folder).mkdir()
    assert remove_temporary_files(tmp_path) == left
    assert sorted(e.name for e in tmp_path.iterdir()) == sorted([*kept, folder])
    assert remove_temporary_files(tmp_path / "nowhere") == []


@pytest.mark.parametrize("text", ["null", "1", "NaN", "true", "1e999", '"a"', "[]"])
def test_json_that_is_no_object_is_refused(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"found a JSON \w+; expected a JSON object"):
        read_json(tmp_path / "a.json")


def test_json_with_two_values_for_a_key_is_refused_at_any_depth(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"labels": {"liver": 1, "liver": 1}}')
    assert read_json(path) == {"labels": {"liver": 1}}
    path.write_text('{"labels": {"liver": 1, "liver": 2}}')
    with pytest.raises(DataError, match='two values for the key "liver"'):
        read_json(path)


def test_an_error_while_a_new_folder_is_filled_names_the_file_as_the_user_knows_it(tmp_path):
    target = tmp_path / "new"

    def fill():
        with new_folder(target) as folder, open_atomic(folder / "a" / "b.bin"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as caught:
        fill()
    assert caught.value.filename == str(target / "a" / "b.bin")
