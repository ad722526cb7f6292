import json

import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.system.records import expect_usable, is_as_written, read_record, write_record


def test_a_record_carries_its_format_and_gives_the_rest_back(tmp_path):
    path = tmp_path / "run.json"
    write_record({"seed": 3}, path, 2)
    assert json.loads(path.read_text()) == {"format": 2, "seed": 3}
    assert read_record(path, 2) == {"seed": 3}


def test_a_file_without_a_format_is_of_the_first(tmp_path):
    (tmp_path / "old.json").write_text('{"seed": 3}')
    assert read_record(tmp_path / "old.json") == {"seed": 3}


@pytest.mark.parametrize(("newest", "expected"), [(1, "format 1"), (2, "format 1 to 2")])
def test_a_newer_format_is_refused(tmp_path, newest, expected):
    path = tmp_path / "run.json"
    write_record({}, path, 3)
    message = rf"run\.json: found format 3; expected {expected}; upgrade lightm-unet$"
    with pytest.raises(DataError, match=message):
        read_record(path, newest)


@pytest.mark.parametrize("number", [0, -1, "1", 1.0, None, True])
def test_a_format_that_is_none_is_refused(tmp_path, number):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"format": number}))
    with pytest.raises(DataError, match="found format"):
        read_record(path)


@pytest.mark.parametrize("change", [{"seed": 4}, {"format": 1}, {"more": 0}, {"checksum": "0"}])
def test_a_record_with_a_checksum_tells_that_it_has_been_changed(change, tmp_path):
    path = tmp_path / "run.json"
    write_record({"seed": 3, "names": ["a"]}, path, 2, checksum=True)
    content = json.loads(path.read_text())
    assert read_record(path, 2) == {"seed": 3, "names": ["a"]}
    path.write_text(json.dumps(dict(reversed(content.items()))))
    assert is_as_written(path)
    path.write_text(json.dumps(content | change))
    assert not is_as_written(path)


def test_a_record_without_a_checksum_cannot_tell(tmp_path):
    write_record({"seed": 3}, tmp_path / "run.json")
    assert is_as_written(tmp_path / "run.json")


def test_what_is_wrong_with_the_content_names_the_file(tmp_path):
    message = r"plan\.json: found a plan that cannot be used \(no runs\); expected .*; begin anew$"
    with (
        pytest.raises(DataError, match=message),
        expect_usable(tmp_path / "plan.json", "a plan", "begin anew"),
    ):
        raise UsageError("no runs")
