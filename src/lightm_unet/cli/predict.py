"""`predict`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lightm_unet.cli.options import NONE_GIVEN, choice, options
from lightm_unet.cli.terminal import complain, progress_bars
from lightm_unet.errors import UsageError, join_alike
from lightm_unet.inference.settings import Part, PredictSettings

if TYPE_CHECKING:
    Settings = Mapping[str, Any]
else:
    Settings = options(PredictSettings)


def predict(
    model: Path,
    inputs: list[Path] | None = None,
    /,
    *,
    output: Path,
    part: Annotated[Part | None, choice("--part")] = None,
    settings: Settings = NONE_GIVEN,
) -> int:
    """Segment images: write a mask for each image, on the image's own grid.

    Args:
        model: Folder of a model or of a training run.
        inputs: Images, folders of images, and zip archives of DICOM.
        output: Folder for the masks; files of the same names there are replaced.
        part: Part of the training run's cases to segment, instead of INPUTS.
    """
    if sum(map(bool, (inputs, part, settings.get("manifest")))) != 1:
        raise UsageError(
            "predict needs either INPUTS or --part or --manifest, to know which images to segment"
        )
    if inputs and len(inputs) == 1 and not settings and _is_model(model):
        from lightm_unet.inference.cases import check_input

        check_input(inputs[0])  # a slip in the path is told before torch is loaded
    from lightm_unet.inference.parts import images_of_part
    from lightm_unet.inference.predict import predict as run

    images = images_of_part(model, part) if part else inputs
    with progress_bars() as progress:
        results = run(model, images, output, progress=progress, **settings)
    failed = [result for result in results if result.error]
    for line in join_alike([(result.input, result.error or "") for result in failed]):
        complain(line)
    written = len(results) - len(failed)
    print(f"{written} mask{'' if written == 1 else 's'} written to {output}, {len(failed)} failed")
    if not failed:
        return 0
    return 1 if written else 3


def _is_model(path: Path) -> bool:
    """Whether there seems to be a model; what is wrong otherwise, `load_model` says."""
    from lightm_unet.models.shipped_models import shipped_names

    there = any((folder / "model.json").is_file() for folder in (path, path / "model"))
    return there or str(path) in shipped_names()
