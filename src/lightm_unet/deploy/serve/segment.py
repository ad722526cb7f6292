"""One image's work on the server: from its file to its mask, statistics and preview."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightm_unet.deploy.serve.archive import take_out
from lightm_unet.deploy.serve.file_kind import DICOM, ZIP, ending_of
from lightm_unet.deploy.serve.notes import take_notes
from lightm_unet.deploy.serve.problems import Kind, found
from lightm_unet.deploy.serve.served_models import ServedModel
from lightm_unet.deploy.serve.spool import RequestFolder
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.find import find_images
from lightm_unet.imaging.dicom.write_segmentation import write_segmentation
from lightm_unet.imaging.dicom_source import DicomFile
from lightm_unet.imaging.image import Image, has_spacing, read_image, write_labels
from lightm_unet.imaging.limits import limit_values
from lightm_unet.inference.cases import SEGMENTATION_ENDING
from lightm_unet.inference.probabilities import FOLDER, write_probabilities
from lightm_unet.inference.segments import algorithm_of, segments_of
from lightm_unet.inference.statistics import LabelAmount, measure_labels
from lightm_unet.models.likeness import NOT_COMPARED, Judgement, TrainingProfile
from lightm_unet.models.predict_image import ImageLogits, image_logits, judge_image
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.reporting.palette import on_grey
from lightm_unet.reporting.pictures import draw_slice, view_slice

_ENDINGS = {"nifti": ".nii.gz", "png": ".png", "dicom-seg": SEGMENTATION_ENDING}


@dataclass(frozen=True)
class Order:
    """What a client wants of one image."""

    model: ServedModel
    upload: Path
    folder: RequestFolder
    """The upload's folder, for what is made of it."""
    device: torch.device
    most_bytes: int
    """Of the files in a zip together."""
    output: str | None
    """"nifti", "png" or "dicom-seg"; None takes what goes with the image."""
    series: str | None
    """Number or UID of the DICOM series to take; None takes the largest."""
    probabilities: bool
    strict: bool
    preview: bool


@dataclass(frozen=True)
class Segmented:
    """What was made of an image."""

    mask: Path
    shape: tuple[int, ...]
    """Of the image, in its file's own order."""
    spacing_mm: tuple[float, ...] | None
    """None for pictures, which store no size."""
    labels: tuple[LabelAmount, ...]
    judgement: Judgement | None
    """None where the model cannot judge images, or not this one."""
    notes: tuple[str, ...]
    """What was read otherwise than one might think."""
    preview: bytes | None
    """A PNG."""
    probabilities: Path | None
    """The folder of the maps."""


def segment(order: Order, check: Callable[[], None]) -> Segmented:
    """Segment one image.

    Args:
        order: what is wanted.
        check: called between the steps and the network's windows; an exception in it ends the work.

    Raises:
        DataError: the image cannot be used.
        Problem: the upload is no image, or the output does not go with it.
    """
    folder = order.folder.path
    with take_notes(folder) as notes, limit_values(order.model.most_values):
        files = _files(order)
        mask = folder / f"mask{_mask_ending(order, files[0])}"
        check()
        model = order.model.folder
        image = read_image(files, model.preprocessing.channels)
        check()
        watched = _Watched(
            _WatchedNetwork(model.network, check), model.preprocessing, model.profile
        )
        logits = image_logits(watched, image, device=order.device)
        judgement = _judge(order, logits, image)
        check()
        labels, geometry = logits.labels, logits.geometry
        check()
        if mask.suffix == SEGMENTATION_ENDING:
            write_segmentation(labels, geometry, mask, segments_of(model), algorithm_of(model))
        else:
            write_labels(labels, geometry, mask)
        if order.probabilities:
            write_probabilities(logits, folder / FOLDER, mask.name)
        check()
    return Segmented(
        mask=mask,
        shape=geometry.shape,
        spacing_mm=geometry.spacing_mm if geometry.has_size else None,
        labels=tuple(measure_labels(labels, geometry, model.label_names)),
        judgement=judgement,
        notes=tuple(notes),
        preview=_preview(order.model, image, labels) if order.preview else None,
        probabilities=folder / FOLDER if order.probabilities else None,
    )


def pack(segmented: Segmented, answer: bytes, path: Path) -> None:
    """Write all that was made of an image into a zip.

    Args:
        segmented: what was made.
        answer: the JSON that says the rest.
        path: of the zip.
    """
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:  # PNG and gzip are packed
        archive.writestr("answer.json", answer, zipfile.ZIP_DEFLATED)
        archive.write(segmented.mask, segmented.mask.name)
        if segmented.preview is not None:
            archive.writestr("preview.png", segmented.preview)
        if segmented.probabilities is not None:
            for file in sorted(segmented.probabilities.iterdir()):
                archive.write(file, f"{FOLDER}/{file.name}")


def _files(order: Order) -> list[Path]:
    """The image's files, with their right endings: of DICOM the slices, else the channels."""
    ending = ending_of(order.upload)
    if ending == ZIP:
        files = take_out(order.upload, order.folder, order.most_bytes)
    else:
        files = [order.upload.rename(order.folder.path / f"image{ending}")]
    if files[0].suffix == DICOM:
        return _of_one_image(files, order)
    if order.series is not None:
        raise found(
            Kind.UNUSABLE_OPTION,
            f"series={order.series!r:.60} for an image that is not DICOM",
            "series with DICOM only, whose images it chooses from",
            "leave out series",
        )
    return files


def _of_one_image(files: list[Path], order: Order) -> list[Path]:
    """Those of some DICOM files that are slices of the image to take."""
    slices = [DicomFile(file) for file in files]
    images = find_images(slices, order.folder.path, "image", order.series)
    if problems := [image.problem for image in images if image.problem]:
        raise problems[0]
    if len(images) > 1:
        raise found(
            Kind.UNUSABLE_IMAGE,
            f"{len(images)} DICOM images",
            "one image, the slices of one series",
            "send each image by itself",
        )
    return [file.path for file in images[0].files]


def _mask_ending(order: Order, file: Path) -> str:
    fitting: tuple[str, ...]
    if file.suffix == DICOM:
        kind, fitting = "a DICOM image", ("dicom-seg", "nifti")
    elif has_spacing(file):
        kind, fitting = "a NIfTI image", ("nifti",)
    else:
        kind, fitting = "a picture", ("png",)
    if order.output not in (None, *fitting):
        raise found(
            Kind.UNUSABLE_OPTION,
            f"output={order.output} for {kind}",
            f"output={' or '.join(fitting)}, which lies on the image's own grid",
            "leave out output: the mask then has the kind of the image",
        )
    return _ENDINGS[order.output or fitting[0]]


def _judge(order: Order, logits: ImageLogits, image: Image) -> Judgement | None:
    profile = order.model.folder.profile
    if profile is None:
        return None
    judgement = judge_image(profile, logits, order.model.folder.label_names)
    if order.strict and (judgement is None or judgement.unlike):
        raise DataError(
            image.path,
            f"an image {NOT_COMPARED if judgement is None else judgement}",
            "one like them",
            "check that it is what the model is for; without strict it is segmented all the same, "
            "with a warning",
        )
    return judgement


def _preview(model: ServedModel, image: Image, labels: np.ndarray) -> bytes:
    """The image with its mask; of a volume, the axial slice through most of the mask."""
    geometry = image.geometry
    view = view_slice(image.array, [labels], geometry, is_photo=geometry.is_picture)
    colours = {
        value: on_grey(colour) for value, colour in enumerate(model.folder.label_colours) if value
    }
    return draw_slice(view, view.masks[0], view.masks[0], colours).png


class _WatchedNetwork(torch.nn.Module):
    """A network that asks before each of its passes whether somebody still waits.

    It stays where it is: moving a network, even to where it lies already, writes parameters that
    other threads read.
    """

    def __init__(self, network: torch.nn.Module, check: Callable[[], None]) -> None:
        super().__init__()
        self._run: tuple[torch.nn.Module] = (network,)  # in a tuple it is no part of this module
        self._check = check

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network's logits."""
        self._check()
        return self._run[0](images)

    def to(self, *_: Any, **__: Any) -> _WatchedNetwork:
        """The same, where it is."""
        return self


@dataclass(frozen=True)
class _Watched:
    """A model with such a network."""

    network: torch.nn.Module
    preprocessing: Preprocessing
    profile: TrainingProfile | None
