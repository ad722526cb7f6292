"""`export`: formats, settings and outputs, before any work."""

import pytest

import lightm_unet
from lightm_unet.deploy.export import WRITERS
from lightm_unet.deploy.settings import FORMATS, ExportSettings
from lightm_unet.errors import MissingPartError, UsageError


def test_every_format_has_a_writer():
    assert tuple(WRITERS) == FORMATS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"operators": "loops"}, "operators must be one of scan, basic; got 'loops'"),
        ({"size": (0, 8)}, "size needs a whole number from 1 up, got 0"),
        ({"size": "64"}, "size needs"),
        ({"opset": 9}, "export has no setting opset; it has operators, size"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        lightm_unet.export("lungs", "onnx", "lungs.onnx", **settings)


def test_an_unknown_format_is_named():
    with pytest.raises(UsageError, match=r"format must be one of onnx.*; got 'tflite'"):
        lightm_unet.export("lungs", "tflite", "lungs.tflite")


def test_a_setting_that_a_format_does_not_have_is_refused(monkeypatch):
    monkeypatch.setitem(WRITERS, "onnx", WRITERS["onnx"]._replace(takes=("size",)))
    with pytest.raises(UsageError, match="operators does not go with the format onnx"):
        lightm_unet.export("lungs", "onnx", "lungs.onnx", operators="basic")


def test_a_size_of_other_dimensions_is_refused():
    with pytest.raises(UsageError, match="size needs 2 numbers for a 2D model, got 8x8x8"):
        ExportSettings(size=(8, 8, 8)).size_for(2)


def test_an_output_that_cannot_be_written_is_told_before_any_work(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "file").touch()
    for output in (tmp_path, tmp_path / "file" / "model.onnx"):
        with pytest.raises(UsageError, match=r"no regular file|is a file; expected a folder"):
            lightm_unet.export("no model", "onnx", output)


def test_a_model_that_is_not_there_leaves_nothing_behind(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(UsageError, match=r"no model\.json here"):
        lightm_unet.export(tmp_path / "none", "onnx", tmp_path / "new" / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_command_that_installs_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("lightm_unet.system.extras.is_installed", lambda name: name != "onnx")
    with pytest.raises(MissingPartError, match=r"needs onnx, .* pip install 'lightm-unet\[onnx\]'"):
        lightm_unet.export("lungs", "onnx", tmp_path / "lungs.onnx")
