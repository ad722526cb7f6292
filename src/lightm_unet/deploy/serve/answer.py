"""What clients get: the schemas of the answers, as OpenAPI shows them, and how they are filled."""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lightm_unet.deploy.serve.segment import Segmented
from lightm_unet.deploy.serve.served_models import ServedModel
from lightm_unet.models.likeness import Judgement

NOTICE = "For research. Not a medical device. A person must look at each mask."
MEDIA_TYPES = {
    ".nii.gz": "application/gzip",
    ".png": "image/png",
    ".dcm": "application/dicom",
}
ZIP_TYPE = "application/zip"


class Options(BaseModel):
    """What a client may ask for, as query parameters or as fields of the form."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="A name from `/v1/models`; needed if it lists two.")
    output: Literal["nifti", "png", "dicom-seg"] | None = Field(
        None,
        description="Kind of the mask. By default that of the image: `nifti` (a .nii.gz) for "
        "NIfTI, `png` for pictures, `dicom-seg` for DICOM, which may have `nifti` too. Another one "
        "does not lie on the image's grid and is refused.",
    )
    series: str | None = Field(
        None,
        description="Number or UID of the DICOM series to take; by default the largest.",
    )
    response: Literal["mask", "json", "zip"] | None = Field(
        None,
        description="`mask`: the mask's file alone. `json`: statistics, warnings, mask and a "
        "preview as PNG, both in base64. `zip`: the same as files, and the probabilities. By "
        "default the `Accept` header decides; `*/*` gives the mask.",
    )
    probabilities: bool = Field(
        False, description="Also the probability of each label, one file for each; gives a zip."
    )
    strict: bool = Field(
        False,
        description="Refuse an image that is unlike the model's training images; otherwise a "
        "warning tells of it.",
    )


class LabelStatistics(BaseModel):
    """How much of a label the mask holds."""

    value: int = Field(description="The label's number in the mask.")
    name: str
    colour: str = Field(description="As in CSS, such as `#e69f00`.")
    voxels: int = Field(description="Of a picture, pixels.")
    share: float = Field(description="Of all voxels, 0 to 1.")
    volume_ml: float | None = Field(description="`null` for flat images.")
    area_cm2: float | None = Field(description="`null` for volumes and where no size is stored.")


class Likeness(BaseModel):
    """The comparison of the image with those that the model was trained on."""

    unlike: bool
    score: float = Field(description="1 is usual.")
    limit: float = Field(description="Scores above it are unlike.")
    most_unusual: str = Field(description="What differs most.")


class EncodedFile(BaseModel):
    """A file within JSON."""

    name: str
    media_type: str
    base64: str


class ImageFacts(BaseModel):
    """What was read."""

    shape: list[int] = Field(description="In the file's own order of axes.")
    spacing_mm: list[float] | None = Field(description="`null` where the file stores no size.")


class Seconds(BaseModel):
    """Where the time went."""

    waited: float = Field(description="In the queue.")
    worked: float


class ModelUsed(BaseModel):
    """The model that made the mask."""

    name: str
    sha256: str = Field(description="Of its weights.")


class Prediction(BaseModel):
    """An image's mask, and what there is to say about it."""

    request_id: str
    model: ModelUsed
    image: ImageFacts
    labels: list[LabelStatistics] = Field(description="Without the background.")
    likeness: Likeness | None = Field(description="`null` where the model cannot tell.")
    warnings: list[str] = Field(description="What may be wrong with the mask.")
    notes: list[str] = Field(description="What was read otherwise than one might think.")
    seconds: Seconds
    notice: str
    mask: EncodedFile | None = Field(None, description="In a zip it is a file of its own.")
    preview: EncodedFile | None = Field(
        None, description="The image with the mask; of a volume, the slice through most of it."
    )


class Label(BaseModel):
    """A label of a model."""

    value: int
    name: str
    colour: str


class Model(BaseModel):
    """A model that this server runs."""

    name: str
    purpose: str | None
    spatial_dims: int = Field(description="2 for pictures, 3 for volumes.")
    channels: list[str]
    labels: list[Label] = Field(description="The first is the background.")
    parameters: int
    sha256: str
    tells_unlike_images: bool
    most_values: int = Field(description="Voxels times channels of the largest image it takes.")
    scores: dict[str, Any] | None
    training: dict[str, Any] | None
    card: str | None = Field(description="Markdown; what it was trained on and is not for.")


class Models(BaseModel):
    """What this server offers."""

    server: str = "lightm-unet"
    version: str
    models: list[Model]
    most_upload_bytes: int
    notice: str = NOTICE


class Health(BaseModel):
    """The server's state."""

    status: Literal["ready", "full", "stopping"]
    version: str
    models: list[str]
    running: int = Field(description="Images that are being segmented.")
    waiting: int = Field(description="Images in the queue.")
    places: int = Field(description="For both together.")


class ProblemDetails(BaseModel):
    """RFC 9457: what went wrong."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="The kind of the problem, for programs.")
    title: str
    status: int
    detail: str = Field(description="For people.")
    request_id: str = Field(description="As in the server's log.")
    found: str | None = None
    expected: str | None = None
    advice: str | None = None


def warnings_of(segmented: Segmented) -> list[str]:
    """What may be wrong with a mask."""
    judgement = segmented.judgement
    return [f"{judgement}; check the mask"] if judgement and judgement.unlike else []


def prediction_of(
    segmented: Segmented,
    model: ServedModel,
    request_id: str,
    seconds: Seconds,
    *,
    with_files: bool,
) -> Prediction:
    """The answer for an image.

    Args:
        segmented: what was made of it.
        model: that made it.
        request_id: of the request.
        seconds: where the time went.
        with_files: whether mask and preview are to be in it.
    """
    spacing = segmented.spacing_mm
    return Prediction(
        request_id=request_id,
        model=ModelUsed(name=model.name, sha256=model.sha256),
        image=ImageFacts(
            shape=list(segmented.shape), spacing_mm=None if spacing is None else list(spacing)
        ),
        labels=[
            LabelStatistics(
                colour=model.folder.label_colours[amount.value].css,
                **{name: getattr(amount, name) for name in _AMOUNTS},
            )
            for amount in segmented.labels
        ],
        likeness=_likeness(segmented.judgement),
        warnings=warnings_of(segmented),
        notes=list(segmented.notes),
        seconds=seconds,
        notice=NOTICE,
        mask=_encoded(segmented.mask.name, segmented.mask.read_bytes()) if with_files else None,
        preview=_encoded("preview.png", segmented.preview)
        if with_files and segmented.preview is not None
        else None,
    )


def _likeness(judgement: Judgement | None) -> Likeness | None:
    if judgement is None:
        return None
    return Likeness(
        unlike=judgement.unlike,
        score=judgement.score,
        limit=judgement.limit,
        most_unusual=judgement.most_unusual,
    )


_AMOUNTS = ("value", "name", "voxels", "share", "volume_ml", "area_cm2")


def media_type_of(name: str) -> str:
    """The media type of a mask or preview."""
    return next(kind for ending, kind in MEDIA_TYPES.items() if name.endswith(ending))


def _encoded(name: str, data: bytes) -> EncodedFile:
    text = base64.b64encode(data).decode("ascii")
    return EncodedFile(name=name, media_type=media_type_of(name), base64=text)
