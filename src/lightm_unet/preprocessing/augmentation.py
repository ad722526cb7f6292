"""Random changes to training images, by MONAI.

Images arrive on canonical axes, so "left-right" has a meaning: a mirrored body is a plausible
body, one that stands on its head is not, and a network of this size should not spend its capacity
on it. "strong" does so all the same, for images without an up, such as microscopy. Axes along
which the labels have sides are left out, see `preprocessing.mirroring`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightm_unet.datasets.sides import MIRROR_AXES
from lightm_unet.errors import UsageError
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.choices import check_choice

if TYPE_CHECKING:
    from monai.transforms import Compose

STRENGTHS = ("none", "default", "strong", "radiograph")


def build_augmentation(
    preprocessing: Preprocessing, strength: str = "default", mirror_axes: Sequence[str] = ()
) -> Compose:
    """A MONAI transform on `{"image": (channels, *grid), "labels": (1, *grid)}`.

    | | default | strong |
    | --- | --- | --- |
    | mirror | `mirror_axes`, each in half of the samples | the same |
    | rotate, scale, shift | 15 degrees, 15 %, 5 % | 30 degrees, 25 %, 10 % |
    | contrast (gamma), brightness | 0.7 to 1.5, 0.1 standard deviations | the same |
    | noise, blur | 0.1 standard deviations, 0.5 to 1 voxels | the same |

    "radiograph" is "default" with the looks of other hospitals' X-rays before it: `film_effects`.

    Beyond the image's edge its mirror image is seen, in image and labels alike.

    Args:
        preprocessing: says how many dimensions the images have.
        strength: one of `STRENGTHS`.
        mirror_axes: names from `MIRROR_AXES`, as `plan_mirroring` chooses them for the labels.

    Returns:
        Called with a sample, it gives the changed one; seed it with `set_random_state(seed)`.

    Raises:
        UsageError: an unknown strength, "radiograph" for volumes.
    """
    from monai import transforms

    check_choice("augmentation", strength, STRENGTHS)
    if strength == "none":
        return transforms.Compose([])
    strong = strength == "strong"
    dims = preprocessing.spatial_dims
    effects: list[Any] = []
    if strength == "radiograph":
        if dims != 2:
            raise UsageError("the augmentation radiograph is for pictures, not for volumes")
        from lightm_unet.preprocessing.film_effects import film_effects

        effects = [*film_effects()]
    flip_axes = [MIRROR_AXES[dims][axis] for axis in mirror_axes]
    angle = math.radians(30 if strong else 15)
    scale = 0.25 if strong else 0.15
    extent = preprocessing.size or preprocessing.roi_size
    assert extent is not None  # `Preprocessing` has one of the two
    shift = [length * (0.1 if strong else 0.05) for length in extent]
    blur: dict[str, Any] = {f"sigma_{axis}": (0.5, 1.0) for axis in "xyz"[:dims]}
    both = ("image", "labels")
    return transforms.Compose(
        [
            *effects,
            *(transforms.RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in flip_axes),
            transforms.RandAffined(
                both,
                prob=0.6,
                rotate_range=[angle] * (1 if dims == 2 else 3),
                scale_range=[scale] * dims,
                translate_range=shift,
                mode=("bilinear", "nearest"),
                padding_mode="reflection",
            ),
            transforms.RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5)),
            transforms.RandShiftIntensityd("image", prob=0.3, offsets=0.1),
            transforms.RandGaussianNoised("image", prob=0.15, std=0.1),
            transforms.RandGaussianSmoothd("image", prob=0.15, **blur),
        ]
    )
