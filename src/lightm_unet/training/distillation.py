"""Distillation: a network learns the soft labels of a trained one beside the reference's.

    loss = loss of the labels + 0.3 * T^2 * KL(teacher || student),    both softened by T = 3

The soft labels say which voxels are doubtful and between which classes, which helps a small network
to learn what a larger one has found. T^2 keeps the gradient's size independent of T.

The teacher sees exactly what the student sees, augmented images included; so it must have been
trained on the same grid with the same labels and normalisation.

Source: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network".
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightm_unet.datasets.splits import Split, read_split
from lightm_unet.errors import UsageError
from lightm_unet.models.model_folder import CARD, WEIGHTS, find_model, load_model
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.files import read_bytes
from lightm_unet.training.run_folder import SPLIT, is_first_process

_log = logging.getLogger(__name__)

WEIGHT = 0.3
"""Of the soft labels' loss, beside 1 for that of the labels."""
TEMPERATURE = 3.0
"""Logits are divided by it before the softmax, so that unlikely classes count too."""


class Teacher:
    """A trained network that gives soft labels; it is neither trained nor saved with the student.

    Args:
        network: in eval mode.
        folder: of its model.
        digest: of its files, see `digest_of`.
    """

    def __init__(self, network: nn.Module, folder: Path, digest: str) -> None:
        self.network, self.folder, self.digest = network, folder, digest
        self.network.eval().requires_grad_(False)

    @property
    def description(self) -> dict[str, str]:
        """What a model that has learned from it tells of it; JSON-able."""
        return {"network": str(self.network.name), "sha256": self.digest}

    def loss(self, student: Tensor | tuple[Tensor, ...], image: Tensor) -> Tensor:
        """`WEIGHT` times the distillation loss.

        Args:
            student: the student's output in training mode; of several resolutions or stages the
                first counts, which is its answer.
            image: what it has seen, `(batch, channels, *spatial)`.
        """
        logits = student if isinstance(student, Tensor) else student[0]
        with torch.no_grad():
            soft = self.network.to(image.device)(image)
        return WEIGHT * distillation_loss(logits, soft)


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Mean over images and voxels of T^2 * KL(teacher || student), in float32.

    Args:
        student: logits, `(batch, classes, *spatial)`.
        teacher: the same.
        temperature: T, by which both are divided.

    Returns:
        A scalar; 0 where both softmaxes are the same.

    Example:
        >>> logits = torch.tensor([[[[2.0, 0.0]], [[0.0, 3.0]]]])
        >>> distillation_loss(logits + 5, logits).abs().item() < 1e-6
        True
    """
    ours, theirs = (
        F.log_softmax(logits.float() / temperature, dim=1) for logits in (student, teacher)
    )
    divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)
    return temperature**2 * divergence.mean()


def load_teacher(
    path: Path,
    preprocessing: Preprocessing,
    label_names: Sequence[str],
    channel_names: Sequence[str],
    split: Split,
) -> Teacher:
    """Load a model as the teacher of a run.

    Args:
        path: a model folder, or the folder of a training run.
        preprocessing: the run's.
        label_names: the run's; the index is the label's value.
        channel_names: of the run's images, in order.
        split: the run's; a warning is logged if the teacher was trained on cases that score it.

    Raises:
        UsageError: no model is there, or one of other labels, channels, dimensions or grid.
        DataError: the model is damaged.
    """
    folder = find_model(path)
    model = load_model(folder)
    theirs, ours = model.preprocessing, preprocessing
    pairs = [
        ("labels", model.label_names, tuple(label_names)),
        ("channels", tuple(model.card.get("channels", channel_names)), tuple(channel_names)),
        *((f.name, getattr(theirs, f.name), getattr(ours, f.name)) for f in fields(Preprocessing)),
    ]
    for what, its, wanted in pairs:
        if its != wanted:
            raise UsageError(
                f"teacher {folder}: it has {what} {_shown(its)}, this run {_shown(wanted)}; a "
                "teacher must be trained on the same labels, channels and grid"
            )
    if is_first_process():
        _warn_of_known_cases(folder, split)
    return Teacher(model.network, folder, digest_of(folder))


def _warn_of_known_cases(model: Path, split: Split) -> None:
    """Where the teacher's run lies around its model, its split tells what it was trained on."""
    if not (file := model.parent / SPLIT).is_file():
        return
    known = {*read_split(file).training} & {*split.validation, *split.test}
    if known:
        _log.warning(
            f"teacher {model}: it was trained on {len(known)} cases of the same names as this "
            f"run's validation and test cases, such as {min(known)}; if they are the same images, "
            "the scores will be too good: train a teacher on this run's split"
        )


def digest_of(model: Path) -> str:
    """SHA-256 of a model folder's description and weights."""
    return hashlib.sha256(read_bytes(model / CARD) + read_bytes(model / WEIGHTS)).hexdigest()


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)
