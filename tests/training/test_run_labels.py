"""What a run does with the names of its labels, and with cases that cannot be used."""

import numpy as np
import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.picture import write_picture
from lightm_unet.system.files import read_json, write_json


def test_the_mirrored_axes_are_said_and_stored(squares, train_tiny, listen, tmp_path):
    content = read_json(squares / "dataset.json")
    write_json({**content, "labels": {"background": 0, "left square": 1}}, squares / "dataset.json")
    for asked, axes, word in (
        ("auto", [], "not left-right (the label left square names a side)"),
        (
            "left-right",
            ["left-right"],
            "better not left-right (the label left square names a side)",
        ),
    ):
        lines = []
        with listen(lines.append):
            run = train_tiny(squares, tmp_path / asked, epochs=1, mirror_axes=asked)
        assert sum("mirroring" in line and word in line for line in lines) == 1
        assert read_json(run.model / "model.json")["training"]["mirror_axes"] == axes


def test_every_case_that_cannot_be_used_is_named_before_anything_is_written(
    squares, train_tiny, tmp_path
):
    split = {"training": ["case_0", "case_1", "case_2"], "validation": ["case_3"]}
    write_json({**split, "test": ["case_4", "case_5"]}, squares / "split.json")
    (squares / "imagesTr" / "case_0_0000.png").write_bytes(b"rubbish")
    (squares / "labelsTr" / "case_3.png").unlink()
    write_picture(np.full((24, 24), 7), squares / "labelsTr" / "case_5.png")
    with pytest.raises(DataError, match=r"found 3 problem\(s\)") as caught:
        train_tiny(squares, tmp_path / "run")
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for file in ("case_0_0000.png", "case_3_0000.png", "case_5.png"):
        assert sum(file in line for line in lines) == 1
    assert not (tmp_path / "run").exists()


def test_a_label_that_no_training_case_holds_is_refused(squares, train_tiny, tmp_path):
    split = {"training": ["case_0", "case_1"], "validation": ["case_2", "case_3"], "test": []}
    write_json(split | {"test": ["case_4", "case_5"]}, squares / "split.json")
    labels = {"background": 0, "square": 1, "circle": 2}
    content = read_json(squares / "dataset.json")
    write_json({**content, "labels": labels}, squares / "dataset.json")
    values = np.zeros((24, 24))
    values[:3] = 2
    for case in ("case_3", "case_5"):
        write_picture(values, squares / "labelsTr" / f"{case}.png")
    with pytest.raises(DataError, match=r"no training case with the label\(s\) circle"):
        train_tiny(squares, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_image_in_two_parts_is_told(squares, train_tiny, listen, tmp_path):
    split = {"training": ["case_0", "case_1", "case_2"], "validation": ["case_3"]}
    write_json({**split, "test": ["case_4", "case_5"]}, squares / "split.json")
    for folder, ending in (("imagesTr", "_0000"), ("labelsTr", "")):
        copy = squares / folder / f"case_4{ending}.png"
        copy.write_bytes((squares / folder / f"case_1{ending}.png").read_bytes())
    lines = []
    with listen(lines.append):
        train_tiny(squares, tmp_path / "run", epochs=1)
    twins = "the same image as case_1 (training), case_4 (test)"
    assert sum(line.startswith(twins) for line in lines) == 1


def test_an_axis_that_the_images_lack_is_refused_before_they_are_prepared(
    squares, train_tiny, tmp_path
):
    with pytest.raises(UsageError, match="left-right, up-down for 2D"):
        train_tiny(squares, tmp_path / "run", mirror_axes=("head-foot",))
    assert not (tmp_path / "run").exists()
