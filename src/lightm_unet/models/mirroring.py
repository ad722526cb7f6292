"""Along which axes a model may look at mirror images when it segments.

Those along which its training images were mirrored, as its record says: a network that has never
seen a body on its head says nothing useful about one. Never an axis along which a label's name says
a side, whatever the training did.
"""

from __future__ import annotations

import logging

from lightm_unet.datasets.sides import MIRROR_AXES, describe_forbidden, forbidden_axes
from lightm_unet.models.model_folder import ModelFolder
from lightm_unet.preprocessing.mirroring import AUTO, parse_mirror_axes, plan_mirroring

_log = logging.getLogger(__name__)


def axes_to_mirror(model: ModelFolder) -> tuple[int, ...]:
    """The axes of the network's grid, from 0; a line is logged where there is none.

    A model without a record of its training was trained as by default: mirrored left-right.
    """
    dims = model.preprocessing.spatial_dims
    training = model.card.get("training") or {}
    trained = plan_mirroring(
        model.label_names,
        dims,
        training.get("augmentation", "default"),
        parse_mirror_axes(training.get("mirror_axes", AUTO)),
    )
    forbidden = forbidden_axes(model.label_names, dims)
    axes = tuple(axis for axis in trained.axes if axis not in forbidden)
    if not axes:
        why = describe_forbidden(forbidden) or "its training images were not mirrored"
        _log.warning("%s: nothing is mirrored: %s", model.path, why)
    return tuple(MIRROR_AXES[dims][axis] for axis in axes)
