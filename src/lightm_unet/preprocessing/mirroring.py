"""Which axes of training images are mirrored at random.

By default never one along which a label's name says a side: the mirror image of a left kidney
would be learnt as a left kidney on the right. `datasets.sides` reads the names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightm_unet.datasets.sides import MIRROR_AXES, describe_forbidden, forbidden_axes
from lightm_unet.errors import UsageError
from lightm_unet.system.choices import check_choice

AUTO, NONE = "auto", "none"


@dataclass(frozen=True)
class Mirroring:
    """The axes to mirror, and what the user should know about them."""

    axes: tuple[str, ...]
    """Names of axes, of `MIRROR_AXES`."""
    remark: str
    """The axes in a few words, and those left out since labels name sides."""
    doubt: str = ""
    """A warning, if an axis is mirrored as asked that the labels' names speak against."""


def parse_mirror_axes(asked: str | Sequence[str]) -> tuple[str, ...]:
    """The setting `mirror_axes` in its stored form.

    Example:
        >>> parse_mirror_axes("left-right, front-back"), parse_mirror_axes([])
        (('left-right', 'front-back'), ('none',))
    """
    words = asked.split(",") if isinstance(asked, str) else asked
    return tuple(dict.fromkeys(str(word).strip() for word in words)) or (NONE,)


def check_mirror_axes(asked: Sequence[str], strength: str) -> None:
    """Refuse what is wrong for any image.

    Raises:
        UsageError: an unknown axis, `auto` or `none` beside an axis, or axes without augmentation.
    """
    known = tuple(dict.fromkeys(axis for axes in MIRROR_AXES.values() for axis in axes))
    for axis in asked:
        check_choice("mirror_axes", axis, (AUTO, NONE, *known))
    if len(asked) > 1 and {AUTO, NONE} & set(asked):
        raise UsageError(
            f"mirror_axes needs {AUTO}, {NONE}, or names of axes, got {','.join(asked)}"
        )
    if strength == "none" and asked[0] not in (AUTO, NONE):
        raise UsageError(
            f"mirror_axes {','.join(asked)} needs augmentation default or strong, got none"
        )


def plan_mirroring(
    label_names: Sequence[str],
    spatial_dims: int,
    strength: str = "default",
    asked: Sequence[str] = (AUTO,),
) -> Mirroring:
    """Choose the axes to mirror.

    Args:
        label_names: names of all labels.
        spatial_dims: 2 for pictures, 3 for volumes.
        strength: strength of the augmentation: by itself "default" mirrors left-right, "strong"
            every axis, "none" nothing, "radiograph" as "default"; an axis along which a label's
            name says a side is left out.
        asked: `auto` for that, `none`, or the axes to mirror in any case.

    Raises:
        UsageError: an axis that such images do not have, or as `check_mirror_axes`.

    Example:
        >>> plan_mirroring(["background", "left kidney"], 3).remark
        'mirroring: none; not left-right (the label left kidney names a side)'
    """
    check_mirror_axes(asked, strength)
    axes = tuple(MIRROR_AXES[spatial_dims])
    forbidden = forbidden_axes(label_names, spatial_dims)
    if tuple(asked) == (AUTO,):
        usual = {"none": (), "strong": axes}.get(strength, ("left-right",))
        chosen = tuple(axis for axis in usual if axis not in forbidden)
        against = {axis: forbidden[axis] for axis in usual if axis in forbidden}
        remark = f"mirroring: {_listed(chosen)}"
        if against:
            remark += f"; {describe_forbidden(against)}"
        return Mirroring(chosen, remark)
    if wrong := sorted(set(asked) - {*axes, NONE}):
        raise UsageError(
            f"mirror_axes must be some of {', '.join(axes)} for {spatial_dims}D images, "
            f"got {', '.join(wrong)}"
        )
    chosen = tuple(axis for axis in axes if axis in asked)
    remark = f"mirroring: {_listed(chosen)}, as asked"
    against = {axis: forbidden[axis] for axis in chosen if axis in forbidden}
    doubt = (
        f"mirroring {_listed(tuple(against))}, as asked, although sides are named: better "
        f"{describe_forbidden(against)}; mirror images are learnt under the same name"
    )
    return Mirroring(chosen, remark, doubt if against else "")


def _listed(axes: Sequence[str]) -> str:
    return ", ".join(axes) or NONE
