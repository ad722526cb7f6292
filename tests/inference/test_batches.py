"""One input that cannot be used never stops the others, nor the record."""

import json
import os
import socket
import unicodedata

import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.errors import DataError, UsageError
from lightm_unet.inference.predict import predict
from lightm_unet.inference.record import RECORD_NAME


@pytest.fixture
def model(make_model):
    return make_model(spatial_dims=2, size=(8, 8))


@pytest.fixture
def folder(tmp_path):
    """A folder with the good pictures a.png and z.png."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "z"):
        Picture.fromarray(np.eye(8, dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def put(folder, name):
    """A good picture under any name."""
    data = (folder / "a.png").read_bytes()
    descriptor = os.open(
        os.path.join(os.fsencode(folder), os.fsencode(name)), os.O_CREAT | os.O_RDWR
    )
    os.write(descriptor, data)
    os.close(descriptor)


def recorded(out):
    return json.loads((out / RECORD_NAME).read_text())["cases"]


def pipe(path):
    os.mkfifo(path)


def bound_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path has to be short
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(here)


BAD = {
    "named pipe": (pipe, "a named pipe"),
    "socket": (bound_socket, "a socket"),
    "device": (lambda path: path.symlink_to("/dev/null"), "a device"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "link to nothing": (lambda path: path.symlink_to("gone.png"), "a link to a file that is gone"),
    "link to itself": (lambda path: path.symlink_to(path.name), "a link to a file that is gone"),
    "empty": (lambda path: path.touch(), "an empty file"),
    "text": (lambda path: path.write_text("text"), "no known picture format"),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("by_name", [True, False])
def test_what_cannot_be_read_is_named_and_the_others_are_done(model, folder, kind, by_name):
    make, found = BAD[kind]
    make(folder / "m.png")
    out = folder.parent / "out"
    inputs = [folder / f"{name}.png" for name in "amz"] if by_name else [folder]
    results = predict(model, inputs, out, device="cpu")
    errors = {result.name.removesuffix(".png"): result.error for result in results}
    assert found in errors.pop("m")
    assert errors == {"a": None, "z": None}
    assert sorted(file.name for file in out.iterdir()) == ["a.png", RECORD_NAME, "z.png"]
    assert len(recorded(out)) == 3


def test_a_folder_named_like_an_image_is_passed_over(model, folder):
    (folder / "m.png").mkdir()
    results = predict(model, folder, folder.parent / "out", device="cpu")
    assert [result.name for result in results] == ["a", "z"]


NAMES = {
    "no UTF-8": b"caf\xe9 \xff.png",
    "line break": b"two\nlines.png",
    "dash": b"-output.png",
    "spaces": b"  a  b .png",
    "250 characters": b"x" * 246 + b".png",
    "255 bytes": b"x" * 251 + b".png",
    "composed": unicodedata.normalize("NFC", "café.png").encode(),
    "decomposed": unicodedata.normalize("NFD", "café.png").encode(),
    "quotes": b"a'\"\\$(b);.png",
    "colours": b"\x1b[31mred.png",
}


@pytest.mark.parametrize("kind", NAMES)
def test_any_name_gets_its_mask_and_its_line_in_the_record(model, folder, kind):
    put(folder, NAMES[kind])
    out = folder.parent / "out"
    results = predict(model, folder, out, device="cpu")
    assert all(result.error is None for result in results)
    assert NAMES[kind] in os.listdir(os.fsencode(out))
    assert os.fsdecode(NAMES[kind]) in [case["output"] for case in recorded(out)]


def test_probabilities_whose_name_is_too_long_fail_for_this_case_alone(model, folder):
    put(folder, NAMES["255 bytes"])
    out = folder.parent / "out"
    results = predict(model, folder, out, device="cpu", probabilities=True)
    assert [result.error is None for result in results] == [True, False, True]
    assert "File name too long" in results[1].error
    assert not (out / os.fsdecode(NAMES["255 bytes"])).exists()


@pytest.mark.parametrize(
    "missing", ["gone.png", "notes.txt", "empty_folder", "a" * 300 + ".png", "a.png/below.png"]
)
def test_an_input_without_an_image_is_a_case_that_failed(model, folder, missing):
    (folder / "empty_folder").mkdir()
    (folder / "notes.txt").touch()
    out = folder.parent / "out"
    results = predict(model, [folder / missing, folder / "a.png"], out, device="cpu")
    assert [result.error is None for result in results] == [True, False]
    assert missing.split("/")[-1] in results[1].error
    with pytest.raises(DataError, match=missing.split("/")[-1]):
        predict(model, folder / missing, out, device="cpu")


def test_a_file_that_vanishes_meanwhile_does_not_stop_the_others(model, folder):
    def remove(event):
        if event.item == "a":
            (folder / "z.png").unlink()

    results = predict(model, folder, folder.parent / "out", device="cpu", progress=remove)
    assert results[0].error is None
    assert "no such file" in results[1].error


def test_an_output_that_is_a_folder_fails_for_this_case_alone(model, folder):
    out = folder.parent / "out"
    (out / "a.png").mkdir(parents=True)
    results = predict(model, folder, out, device="cpu")
    assert "no regular file" in results[0].error
    assert results[1].error is None


def test_ctrl_c_leaves_whole_masks_and_their_record(model, folder, caplog):
    def stop(event):
        if event.item == "z":
            raise KeyboardInterrupt

    out = folder.parent / "out"
    with pytest.raises(KeyboardInterrupt):
        predict(model, folder, out, device="cpu", progress=stop)
    assert sorted(file.name for file in out.iterdir()) == ["a.png", RECORD_NAME]
    assert [case["name"] for case in recorded(out)] == ["a"]
    assert caplog.messages == ["stopped after 1 of 2 images"]


def test_a_full_disk_is_one_error_and_keeps_the_old_masks(model, folder, monkeypatch):
    out = folder.parent / "out"
    predict(model, folder, out, device="cpu")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    calls = []

    def full(self, *_, **__):
        calls.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Picture.Image, "save", full)
    with pytest.raises(DataError, match=r"a\.png: found that it cannot be written \(No space left"):
        predict(model, folder, out, device="cpu")
    assert len(calls) == 1  # the next would fail as well
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_the_output_is_refused_before_the_work(model, folder):
    (folder.parent / "file").touch()
    with pytest.raises(UsageError, match="expected a folder"):
        predict(model, folder, folder.parent / "file" / "out", device="cpu")
    assert model.network.grids == []


@pytest.mark.parametrize("form", ["text", "path", "list", "tuple", "generator", "folder"])
def test_inputs_may_be_one_path_or_several(model, folder, form):
    file = folder / "a.png"
    (folder / "z.png").unlink()
    inputs = {
        "text": str(file),
        "path": file,
        "list": [str(file)],
        "tuple": (file,),
        "generator": (path for path in [file]),
        "folder": str(folder),
    }[form]
    (result,) = predict(model, inputs, str(folder.parent / "out"), device="cpu")
    assert result.output == folder.parent / "out" / "a.png"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": 3}, "inputs needs paths, got 3"),
        ({"inputs": [None]}, "inputs needs paths"),
        ({"inputs": b"a.png"}, "inputs needs paths"),
        ({"inputs": ""}, "inputs needs paths, got \\[''\\]"),
        ({"inputs": ["a.png", "b\0.png"]}, "inputs needs paths"),
        ({"output": ""}, "output needs paths"),
        ({"inputs": []}, "at least one image"),
        ({"output": None}, "output needs paths"),
        ({"model": None}, "a model is the path of its folder, got None"),
        ({"model": 3}, "a model is the path of its folder, got 3"),
        ({"overlap": "half"}, "overlap needs a number"),
        ({"overlap": None}, "overlap needs a number"),
        ({"device": "gpu"}, "device must exist"),
        ({"device": 1}, "device must exist"),
    ],
)
def test_an_argument_of_another_type_is_named(model, folder, changes, message):
    arguments = {"model": model, "inputs": folder, "output": folder.parent / "out", **changes}
    with pytest.raises(UsageError, match=message):
        predict(**arguments)
