import io

import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.reporting.palette import Colour
from lightm_unet.reporting.pictures import LONGEST_SIDE_PX, draw_case

COLOURS = {1: Colour(255, 0, 0)}
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def pixels(picture):
    with Picture.open(io.BytesIO(picture.png)) as opened:
        return np.asarray(opened).astype(int)


def centre_of(mask):
    rows, columns = np.nonzero(mask)
    return rows.mean() / mask.shape[0], columns.mean() / mask.shape[1]


def is_outline(array):
    return (array == COLOURS[1]).all(axis=-1)


def marked_volume(affine):
    """A volume of 20 mm a side whose only label is right, in front, and at the top."""
    to_voxel = np.linalg.inv(affine)
    labels = np.zeros((20, 20, 20), dtype=np.uint8)
    for corner in np.ndindex(4, 4, 4):
        world = np.array([*(14 + np.array(corner)), 1.0])  # mm to the right, front and top
        labels[tuple((to_voxel @ world)[:3].round().astype(int))] = 1
    return labels


@pytest.mark.parametrize(
    "affine",
    [
        np.eye(4),
        np.array([[-1, 0, 0, 19], [0, -1, 0, 19], [0, 0, 1, 0], [0, 0, 0, 1.0]]),  # LPS
        np.array([[0, 0, 1, 0], [-1, 0, 0, 19], [0, -1, 0, 19], [0, 0, 0, 1.0]]),  # PIR
    ],
)
def test_volumes_are_shown_as_radiologists_read_them(affine):
    labels = marked_volume(affine)
    pictures = draw_case(
        None, labels, labels, Geometry(labels.shape, affine), COLOURS, is_photo=False
    )
    assert [picture.caption for picture in pictures] == [
        "axial, slice 15 of 20",
        "coronal, slice 15 of 20",
        "sagittal, slice 15 of 20",
    ]
    for picture in pictures:
        row, column = centre_of(is_outline(pixels(picture)))
        # Front and top are up; the patient's right, or front from the side, is left.
        assert row < 0.5
        assert column < 0.5


def test_pixels_are_square_in_mm_on_one_scale():
    # The file's axes run upwards, to the right and to the front: 40 x 20 x 20 mm.
    labels = np.zeros((5, 10, 20), dtype=np.uint8)
    affine = np.array([[0, 2, 0, 0], [0, 0, 1, 0], [8, 0, 0, 0], [0, 0, 0, 1.0]])
    geometry = Geometry(labels.shape, affine)
    axial, coronal, sagittal = draw_case(None, labels, labels, geometry, COLOURS, is_photo=False)
    half = LONGEST_SIDE_PX // 2
    assert (axial.width, axial.height) == (half, half)
    assert (coronal.width, coronal.height) == (half, LONGEST_SIDE_PX)
    assert (sagittal.width, sagittal.height) == (half, LONGEST_SIDE_PX)


def test_a_flat_nifti_gives_one_picture():
    labels = np.zeros((8, 4), dtype=np.uint8)
    (picture,) = draw_case(
        None, labels, labels, Geometry(labels.shape, LPS), COLOURS, is_photo=False
    )
    assert (picture.width, picture.height) == (LONGEST_SIDE_PX, LONGEST_SIDE_PX // 2)


def test_the_masks_are_drawn_over_the_image():
    image = np.full((1, 48, 48), 100.0)
    image[0, 0, 0], image[0, 0, 1] = 0, 200
    pred = np.zeros((48, 48), dtype=np.uint8)
    pred[10:20, 10:20] = 1
    ref = pred.copy()
    ref[30:40, 30:40] = 1
    (picture,) = draw_case(
        image, pred, ref, Geometry(pred.shape, np.eye(4)), COLOURS, is_photo=True
    )
    shown = pixels(picture)[5::10, 5::10]  # 10 pixels per voxel, looked at in their middles
    inside, outside = shown[15, 15], shown[5, 5]
    assert outside[0] == outside[1] == outside[2]
    assert inside[0] > inside[1] == inside[2]
    outline = is_outline(pixels(picture))
    assert outline[300, 300:400].all()
    assert outline[100, 100:200].all()
    assert not outline[210:290].any()


def test_ct_is_shown_in_a_soft_tissue_window():
    image = np.full((1, 10, 10, 10), -1000.0)
    image[0, 5:] = 40.0
    labels = np.zeros((10, 10, 10), dtype=np.uint8)
    axial, *_ = draw_case(
        image, labels, labels, Geometry(labels.shape, np.eye(4)), COLOURS, is_photo=False
    )
    middle_grey = pixels(axial)[200, 60]  # the patient's right, on the left, at 40 HU
    assert middle_grey.tolist() == [127, 127, 127]
