import pytest

from lightm_unet.errors import UsageError
from lightm_unet.preprocessing.augmentation import STRENGTHS
from lightm_unet.preprocessing.mirroring import plan_mirroring

PLAIN = ["background", "liver"]
KIDNEYS = ["background", "left kidney", "right kidney"]
HIPPOCAMPUS = ["background", "Anterior", "Posterior"]


@pytest.mark.parametrize(
    ("labels", "dims", "strength", "axes"),
    [
        (PLAIN, 2, "default", ["left-right"]),
        (PLAIN, 3, "default", ["left-right"]),
        (PLAIN, 2, "strong", ["left-right", "up-down"]),
        (PLAIN, 3, "strong", ["left-right", "front-back", "head-foot"]),
        (PLAIN, 3, "none", []),
        (KIDNEYS, 2, "default", []),
        (KIDNEYS, 2, "strong", ["up-down"]),
        (KIDNEYS, 3, "strong", ["front-back", "head-foot"]),
        (HIPPOCAMPUS, 3, "default", ["left-right"]),
        (HIPPOCAMPUS, 3, "strong", ["left-right", "head-foot"]),
    ],
)
def test_axes_that_labels_name_sides_of_are_not_mirrored(labels, dims, strength, axes):
    assert list(plan_mirroring(labels, dims, strength).axes) == axes


def test_the_remark_names_the_labels():
    assert plan_mirroring(KIDNEYS, 3).remark == (
        "mirroring: none; not left-right (the labels left kidney, right kidney name a side)"
    )
    assert plan_mirroring(PLAIN, 3).remark == "mirroring: left-right"


def test_axes_that_are_asked_for_are_mirrored_with_a_warning_where_labels_have_sides():
    asked = plan_mirroring(KIDNEYS, 3, asked=("head-foot", "left-right"))
    assert asked.axes == ("left-right", "head-foot")
    assert "left kidney, right kidney" in asked.doubt
    asked = plan_mirroring(PLAIN, 3, asked=("left-right",))
    assert asked.doubt == ""
    assert plan_mirroring(PLAIN, 3, asked=("none",)).axes == ()


@pytest.mark.parametrize(
    ("dims", "strength", "asked", "message"),
    [
        (2, "default", ("head-foot",), "left-right, up-down for 2D"),
        (3, "default", ("up-down",), "left-right, front-back, head-foot for 3D"),
        (3, "default", ("leftright",), "did you mean 'left-right'"),
        (3, "default", ("auto", "left-right"), "auto, none, or names of axes"),
        (3, "none", ("left-right",), "needs augmentation default or strong"),
    ],
)
def test_axes_that_cannot_be_mirrored_are_refused(dims, strength, asked, message):
    with pytest.raises(UsageError, match=message):
        plan_mirroring(PLAIN, dims, strength, asked)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_every_strength_has_its_axes(strength):
    usual = {"none": (), "strong": ("left-right", "up-down")}.get(strength, ("left-right",))
    assert set(plan_mirroring(["background", "lung"], 2, strength).axes) == set(usual)
