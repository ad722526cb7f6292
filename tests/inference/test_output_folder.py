"""The output folder is tried before the work."""

import logging
import os

import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.inference import output_folder
from lightm_unet.inference.output_folder import check_masks_folder


def test_nothing_is_left_in_a_good_folder_or_where_one_will_be_made(tmp_path):
    check_masks_folder(tmp_path, ["a.png"])
    check_masks_folder(tmp_path / "new" / "deep", ["a.png"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for folder in ("file", "file/below", "link", "link/below"):
        with pytest.raises(UsageError, match="expected a folder for the masks"):
            check_masks_folder(tmp_path / folder, ["a.png"])
    assert (tmp_path / "file").read_text() == "mine"


def test_what_stands_where_the_record_or_the_probabilities_go_is_refused(tmp_path):
    (tmp_path / "a" / "prediction.json").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"prediction\.json is a folder"):
        check_masks_folder(tmp_path / "a", ["a.png"])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "probabilities").write_text("mine")
    with pytest.raises(UsageError, match="probabilities is a file"):
        check_masks_folder(tmp_path / "b", ["a.png"])


def test_a_folder_that_takes_no_file_is_refused(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(DataError, match=r"it cannot be written \(No space left on device\)"):
        check_masks_folder(tmp_path / "out", ["a.png"])


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="this system has no /proc")
def test_a_folder_of_the_system_is_refused():
    with pytest.raises(DataError, match="cannot be written"):
        check_masks_folder(output_folder.Path("/proc/self/out"), ["a.png"])


NAMES = [
    "Case.png",
    "case.png",
    "stra\u00dfe.png",
    "STRASSE.png",
    "caf\u00e9.png",
    "cafe\u0301.png",
]


@pytest.mark.parametrize("pair", [NAMES[:2], NAMES[2:4], NAMES[4:]])
def test_names_that_some_file_systems_take_for_one_are_warned_of(tmp_path, caplog, pair):
    with caplog.at_level(logging.WARNING, logger="lightm_unet"):
        check_masks_folder(tmp_path, pair)
    (line,) = caplog.messages
    assert all(ascii(name) in ascii(line) or repr(name) in line for name in pair)
    assert "one would replace the other" in line


def test_they_are_refused_where_the_file_system_does_so(tmp_path, monkeypatch):
    monkeypatch.setattr(output_folder, "_try", lambda folder: True)
    with pytest.raises(UsageError, match=r"takes 'Case\.png' and 'case\.png' for one name"):
        check_masks_folder(tmp_path, NAMES[:2])
    check_masks_folder(tmp_path, ["a.png", "b.png"])
