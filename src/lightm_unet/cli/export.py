"""`export`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lightm_unet.cli.options import NONE_GIVEN, choice, options
from lightm_unet.deploy.settings import ExportSettings, Format

if TYPE_CHECKING:
    Settings = Mapping[str, Any]
else:
    Settings = options(ExportSettings)


def export(
    model: Path,
    /,
    *,
    format: Annotated[Format, choice("--format")],
    output: Path,
    settings: Settings = NONE_GIVEN,
) -> None:
    """Write a model in a form for other programs; it is compared with the model first.

    Args:
        model: Folder of a model or of a training run, or a name that `models` lists.
        format: Form to write: onnx is a file for ONNX Runtime, OpenVINO and other programs that
            read ONNX; web is a folder with a page that segments images in the browser, for any
            web server; html is the same page as one file, which opens from a disk.
        output: File to write; one of this name is replaced. With web a new folder.
    """
    from lightm_unet.deploy.export import export as run
    from lightm_unet.reporting.formats import megabytes

    written = run(model, format, output, **settings)
    print(f"{written.checked}\n{megabytes(written.bytes)} MB written to {written.path}")
