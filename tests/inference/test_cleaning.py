import numpy as np
import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.inference.cleaning import Cleaning
from lightm_unet.inference.settings import PredictSettings

NAMES = ("background", "liver", "tumour")
GRID = Geometry((9, 9, 9), np.diag([1.0, 2.0, 3.0, 1.0]))  # 6 mm3


def rules(**settings):
    return Cleaning.of(PredictSettings(**settings), NAMES)


def shell():
    """A hollow liver with a tumour within, and two specks outside."""
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[2:7, 2:7, 2:7] = 1
    labels[3:6, 3:6, 3:6] = 0
    labels[4, 4, 4] = 2
    labels[0, 0, 8] = 1
    labels[8, 8, 0] = labels[8, 8, 1] = 2
    return labels


def clean(labels, grid=GRID, **settings):
    return rules(**settings).apply(labels, grid, "scan.nii")


def test_only_the_largest_part_of_a_label_stays():
    expected = shell()
    expected[0, 0, 8] = 0
    assert np.array_equal(clean(shell(), largest_component=("liver",)), expected)
    expected = shell()
    expected[4, 4, 4] = 0
    assert np.array_equal(clean(shell(), largest_component=("tumour",)), expected)


@pytest.mark.parametrize(("mm3", "left"), [(6, 3), (6.1, 2), (12, 2), (12.1, 0), (0, 3)])
def test_parts_below_a_size_go_and_one_of_this_size_stays(mm3, left):
    found = clean(shell(), minimum_size=(f"tumour={mm3}",))
    assert (found == 2).sum() == left
    assert ((found == 1) == (shell() == 1)).all()


def test_a_flat_image_has_sizes_in_square_millimetres():
    labels = np.zeros((4, 5), np.uint8)
    labels[0, :2] = labels[3, 4] = 1
    flat = Geometry((4, 5), np.diag([2.0, 3.0, 99.0, 1.0]), unit_axes=1)  # 6 mm2
    assert (clean(labels, flat, minimum_size=("liver=12",)) == 1).sum() == 2


def test_a_size_in_mm_of_a_picture_without_one_is_refused():
    picture = Geometry((4, 5), np.eye(4))
    with pytest.raises(DataError, match="stores no pixel size"):
        clean(np.zeros((4, 5), np.uint8), picture, minimum_size=("liver=12",))


def test_holes_are_filled_but_other_labels_in_them_stay():
    expected = shell()
    expected[3:6, 3:6, 3:6] = 1
    expected[4, 4, 4] = 2
    assert np.array_equal(clean(shell(), fill_holes=("liver",)), expected)


def test_what_is_removed_may_be_filled_again():
    found = clean(shell(), largest_component=("tumour",), fill_holes=("liver",))
    assert found[4, 4, 4] == 1


def test_without_rules_the_mask_is_the_same_and_with_them_it_is_a_copy():
    labels = shell()
    assert clean(labels) is labels
    clean(labels, largest_component=("liver",))
    assert np.array_equal(labels, shell())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"largest_component": ("lung",)}, "largest_component must be one of .* liver, tumour"),
        ({"fill_holes": ("background",)}, "fill_holes must be one of"),
        ({"minimum_size": ("liver",)}, "minimum_size needs LABEL=MM3"),
        ({"minimum_size": ("lung=3",)}, "minimum_size must be one of"),
        ({"minimum_size": ("liver=-1",)}, "size of 0 or more"),
        ({"minimum_size": ("liver=nan",)}, "size of 0 or more"),
        ({"minimum_size": ("liver=inf",)}, "size of 0 or more"),
        ({"minimum_size": ("liver=1 ml",)}, "size of 0 or more"),
    ],
)
def test_rules_that_cannot_be_used(settings, message):
    with pytest.raises(UsageError, match=message):
        rules(**settings)
