"""Amounts of labels, by numbers worked out by hand."""

import numpy as np
import pytest

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.inference.statistics import measure_labels

NAMES = ("background", "liver", "tumour")


def test_volumes_follow_the_affine_however_it_is_turned():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[:2, 0, 0], labels[2:, 0, 0] = 1, 2
    turned = np.eye(4)
    turned[:3, :3] = [[0, -2, 0], [3, 0, 0], [1, 0, 5]]  # 30 mm3, sheared
    liver, tumour = measure_labels(labels, Geometry((4, 5, 6), turned), NAMES)
    assert (liver.voxels, tumour.voxels) == (2, 2)
    assert liver.volume_ml == pytest.approx(0.06)
    assert liver.area_cm2 is None
    assert liver.share == pytest.approx(2 / 120)


def test_a_slice_has_an_area_whatever_its_thickness():
    labels = np.ones((4, 5), np.uint8)
    affine = np.diag([2.0, 5.0, 7.0, 1.0])
    liver, tumour = measure_labels(labels, Geometry((4, 5), affine, unit_axes=1), NAMES)
    assert liver.area_cm2 == pytest.approx(20 * 0.1)
    assert liver.volume_ml is None
    assert (tumour.voxels, tumour.area_cm2) == (0, 0.0)


def test_a_picture_has_pixels_alone():
    (liver, _) = measure_labels(np.eye(3, dtype=np.uint8), Geometry((3, 3), np.eye(4)), NAMES)
    assert (liver.voxels, liver.area_cm2, liver.volume_ml) == (3, None, None)
