"""What a run does with the names of its labels, and with cases that cannot be used."""

import pytest

from lightm_unet.errors import UsageError
from lightm_unet.system.files import read_json, write_json


def test_the_mirrored_axes_are_said_and_stored(squares, train_tiny, listen, tmp_path):
    content = read_json(squares / "dataset.json")
    write_json({**content, "labels": {"background": 0, "left square": 1}}, squares / "dataset.json")
    for asked, axes, word in (
        ("auto", [], "not left-right (the label left square names a side)"),
        ("left-right", ["left-right"], "although labels name a side (left square)"),
    ):
        lines = []
        with listen(lines.append):
            run = train_tiny(squares, tmp_path / asked, epochs=1, mirror_axes=asked)
        assert sum(line.startswith("mirroring: ") and word in line for line in lines) == 1
        assert read_json(run.model / "model.json")["training"]["mirror_axes"] == axes


def test_an_axis_that_the_images_lack_is_refused_before_they_are_prepared(
    squares, train_tiny, tmp_path
):
    with pytest.raises(UsageError, match="left-right, up-down for 2D"):
        train_tiny(squares, tmp_path / "run", mirror_axes=("head-foot",))
    assert not (tmp_path / "run").exists()
