"""Images in, masks out, each on its image's own grid."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.image import Image, write_labels
from lightm_unet.inference.cases import InputCase, find_cases
from lightm_unet.inference.record import CaseResult, write_record
from lightm_unet.inference.settings import PredictSettings
from lightm_unet.models.predict_image import predict_image
from lightm_unet.system.device import choose_device
from lightm_unet.system.progress import Progress, track

if TYPE_CHECKING:
    from lightm_unet.models.model_folder import ModelFolder


def predict(
    model: Path | ModelFolder,
    inputs: Sequence[Path],
    output: Path,
    *,
    device: str = PredictSettings.device,
    overlap: float = PredictSettings.overlap,
    progress: Progress | None = None,
) -> list[CaseResult]:
    """Segment images, and write a mask for each, on the image's own grid.

    The mask is uint8 and has the image's shape and affine. A case that fails does not stop the
    others; existing masks are replaced. `prediction.json`, beside the masks, records the model, the
    device and the cases.

    Args:
        model: a model folder or a training run's folder, or a model returned by `load_model`.
        inputs: image files, and folders of images; `find_cases` explains how files become cases.
        output: folder for the masks; made if missing.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        overlap: of neighbouring sliding windows, 0 to below 1; whole-image models ignore it.
        progress: called with an event for each case.

    Returns:
        One result per case, in the order of the inputs.

    Raises:
        UsageError: an option cannot be used, or two masks would have the same name.
        DataError: a path is missing or contains no images; or the only case failed.
        MissingPartError: the device is not available.
    """
    if not 0 <= overlap < 1:
        raise UsageError(f"overlap needs a number from 0 to below 1, got {overlap}")
    chosen = choose_device(device)
    if isinstance(model, (str, Path)):
        from lightm_unet.models.model_folder import load_model

        model = load_model(Path(model))
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; expected a folder for the masks")
    cases = find_cases([Path(path) for path in inputs], output, model.preprocessing.channels)

    start = time.perf_counter()
    results: list[CaseResult] = []
    errors: list[DataError] = []
    for case in track(cases, "predict", progress, lambda case: case.name):
        case_start = time.perf_counter()
        error: DataError | None = None
        try:
            image = case.read(model.preprocessing.channels)
            labels = predict_image(model, image, device=chosen, overlap=overlap)
        except DataError as raised:
            error = raised
        except (MemoryError, RuntimeError) as raised:
            if not _is_out_of_memory(raised):
                raise
            error = _too_large(case, chosen)
        if error:
            errors.append(error)
        else:
            _write_mask(labels, image, case.output)
        results.append(
            CaseResult(
                name=case.name,
                input=case.files[0],
                output=None if error else case.output,
                error=str(error) if error else None,
                seconds=time.perf_counter() - case_start,
            )
        )
    if len(cases) == 1 and errors:
        raise errors[0]
    if len(errors) < len(cases):
        write_record(model, results, output, str(chosen), time.perf_counter() - start)
    return results


def _write_mask(labels: np.ndarray, image: Image, path: Path) -> None:
    try:
        write_labels(labels, image.geometry, path)
    except OSError as error:  # a full disk or a missing permission: the next mask would fail too
        reason = error.strerror or str(error)
        raise UsageError(f"{path}: the mask cannot be written ({reason})") from error


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU, torch raises a plain RuntimeError; only its text tells.
    typed = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return typed or "can't allocate memory" in str(error)


def _too_large(case: InputCase, device: torch.device) -> DataError:
    return DataError(
        case.files[0],
        f"an image too large for the memory of {device}",
        "one that fits",
        "use --device cpu, a machine with more memory, or a model trained on patches",
    )
