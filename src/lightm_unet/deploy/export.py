"""A trained model in a form that runs where this package is not."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from lightm_unet.deploy import page
from lightm_unet.deploy.settings import ExportSettings, Format
from lightm_unet.deploy.writer import Exported, Writer
from lightm_unet.errors import SettingError, UsageError
from lightm_unet.models.model_folder import ModelFolder, load_model
from lightm_unet.system.choices import check_choice
from lightm_unet.system.extras import require_extra
from lightm_unet.system.files import check_output_folder, refuse_used
from lightm_unet.system.values import path


def _write_onnx(model: ModelFolder, file: Path, settings: ExportSettings) -> Exported:
    from lightm_unet.deploy.onnx.write import write_onnx  # needs packages of an extra

    return write_onnx(model, file, settings)


def _write_bundle(model: ModelFolder, folder: Path, _: ExportSettings) -> Exported:
    from lightm_unet.deploy.monai_bundle.write import write_bundle  # loads MONAI

    return write_bundle(model, folder)


def _check_onnx(file: Path) -> None:
    require_extra("onnx", "an ONNX file", "onnx", "onnxruntime")
    check_output_folder(file.parent, [file.name])


WRITERS: dict[Format, Writer] = {
    "onnx": Writer(_write_onnx, _check_onnx, takes=("operators", "size")),
    "web": Writer(lambda model, output, _: page.write_folder(model, output), page.check_folder),
    "html": Writer(lambda model, output, _: page.write_file(model, output), page.check_file),
    "monai-bundle": Writer(_write_bundle, refuse_used),
}
"""The formats by their names, which `Format` lists too."""


def export(
    model: str | os.PathLike[str], format: Format, output: str | os.PathLike[str], **settings: Any
) -> Exported:
    """Write a trained model in a form for other programs.

    The form is compared with the model before it is written, and refused where it differs.

    Args:
        model: a model's folder, a training run's, or a name that `lightm-unet models` lists.
        format: "onnx": a file for ONNX Runtime, OpenVINO and other programs that read ONNX;
            "web": a folder with a page that segments images in the browser, for any web server;
            "html": the same page as one file, for models of flat images; "monai-bundle": a folder
            that MONAI's `monai.bundle run` infers with.
        output: the file to write; with "web" and "monai-bundle" a new folder.
        settings: any field of `ExportSettings`, by keyword.

    Returns:
        What was written, and how it was checked.

    Raises:
        UsageError: no model is there, an unknown format or setting, an output that cannot be
            written.
        DataError: the model's folder is damaged.
        MissingPartError: the format needs packages that are not installed.
        LightMUNetError: what was made computes something else than the model.
    """
    check_choice("format", format, tuple(WRITERS))
    names = [field.name for field in fields(ExportSettings)]
    if unknown := sorted(set(settings) - set(names)):
        raise UsageError(
            f"export has no setting {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        )
    writer, chosen = WRITERS[format], ExportSettings(**settings)
    for name in names:
        if getattr(chosen, name) is not None and name not in writer.takes:
            raise SettingError(f"{{0}} does not go with the format {format}; leave it out", name)
    target = path("output", output)
    writer.check(target)
    return writer.write(load_model(model), target, chosen)
