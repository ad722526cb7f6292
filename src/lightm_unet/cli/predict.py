"""`predict`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lightm_unet.cli.options import NONE_GIVEN, choice, options
from lightm_unet.cli.terminal import complain, progress_bars
from lightm_unet.errors import UsageError
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
        inputs: Images, and folders of images.
        output: Folder for the masks.
        part: Part of the training run's cases to segment, instead of INPUTS.
    """
    from lightm_unet.inference.parts import images_of_part
    from lightm_unet.inference.predict import predict as run

    if bool(inputs) == bool(part):
        raise UsageError("predict needs either INPUTS or --part, to know which images to segment")
    images = images_of_part(model, part) if part else inputs or []
    with progress_bars() as progress:
        results = run(model, images, output, progress=progress, **settings)
    failed = [result for result in results if result.error]
    for result in failed:
        complain(f"{result.name}: {result.error}")
    written = len(results) - len(failed)
    print(f"{written} mask{'' if written == 1 else 's'} written to {output}, {len(failed)} failed")
    if not failed:
        return 0
    return 1 if written else 3
