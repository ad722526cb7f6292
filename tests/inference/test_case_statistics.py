import json
from pathlib import Path

import numpy as np
import pytest

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image
from lightm_unet.inference.case_statistics import MOST_COMPONENTS, measure_case, write_statistics
from lightm_unet.reporting.text_tables import read_csv
from strategies import oriented_affine, rotated

NAMES = ("background", "liver", "tumour")


def image(affine, shape, channels=1, **geometry):
    values = np.arange(channels * np.prod(shape), dtype=np.float32).reshape(channels, *shape)
    return Image(values, Geometry(shape, affine, **geometry), Path("scan.nii"))


def test_a_volume_by_hand():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3, 2, 3] = 1  # two voxels along the first axis
    labels[0, 0, 0] = 1
    scan = image(oriented_affine((0, 1, 2), (-1, 1, 1), (1, 2, 3), (10, -20, 30)), (4, 5, 6))
    whole, larger, smaller, tumour = measure_case(labels, scan, NAMES)
    assert (whole.component, whole.components, whole.voxels) == (0, 2, 3)
    assert whole.volume_ml == pytest.approx(3 * 6 / 1000)
    assert (larger.component, larger.components, larger.voxels) == (1, 1, 2)
    assert larger.extent_mm == pytest.approx((2, 2, 3))
    assert larger.centroid_voxel == pytest.approx((1.5, 2, 3))
    assert larger.centroid_mm == pytest.approx((8.5, -16, 39))
    values = scan.array[0, 1:3, 2, 3]
    assert (larger.mean, larger.std) == ((values.mean(),), (values.std(),))
    assert whole.extent_mm == pytest.approx((3, 6, 12))
    assert smaller.voxels == 1
    assert (tumour.voxels, tumour.volume_ml, tumour.components) == (0, 0, 0)
    assert tumour.extent_mm is tumour.centroid_mm is tumour.mean is None


def test_an_oblique_box_is_measured_along_the_worlds_axes():
    labels = np.zeros((10, 3, 3), np.uint8)
    labels[:, 1, 1] = 1
    affine = rotated(np.diag([2.0, 1e-3, 1e-3, 1.0]), (0, 0, 30))
    row, *_ = measure_case(labels, image(affine, (10, 3, 3)), NAMES)
    assert row.extent_mm == pytest.approx((20 * np.cos(np.pi / 6), 10, 0), abs=0.01)


def test_a_flat_image_has_an_area_and_a_picture_has_neither():
    labels = np.array([[1, 1, 0]], np.uint8)
    flat, _ = measure_case(labels, image(np.diag([10.0, 5, 9, 1]), (1, 3), unit_axes=1), NAMES)[:2]
    assert (flat.volume_ml, flat.area_cm2) == (None, 1.0)
    assert flat.extent_mm == pytest.approx((10, 10, 0))
    picture, _ = measure_case(labels, image(np.eye(4), (1, 3), channels=3), NAMES)[:2]
    assert (picture.volume_ml, picture.area_cm2) == (None, None)
    assert (picture.extent_mm, picture.centroid_mm) == (None, None)
    assert picture.centroid_voxel == (0, 0.5)
    assert picture.mean == (0.5, 3.5, 6.5)


def test_a_label_of_many_parts_has_a_bounded_number_of_rows():
    labels = np.zeros((100, 100), np.uint8)
    labels[::2, ::2] = 1
    rows = measure_case(labels, image(np.eye(4), (100, 100)), NAMES)
    assert rows[0].components == 2500
    assert sum(row.value == 1 for row in rows) == 1 + MOST_COMPONENTS


def test_files_have_a_column_for_each_number_and_empty_cells(tmp_path):
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, 1, 1] = 1
    rows = measure_case(labels, image(np.diag([1.0, 2, 3, 1]), (4, 5, 6), channels=2), NAMES)
    write_statistics({"=case": rows}, tmp_path)
    liver, part, tumour = read_csv((tmp_path / "statistics.csv").read_text())
    assert liver["case"] == "=case"
    assert (part["component"], part["voxels"], part["volume_ml"]) == ("1", "1", "0.006")
    assert (part["extent_z_mm"], part["centroid_x_mm"], part["centroid_voxel_2"]) == ("3", "1", "1")
    assert (part["mean_0"], part["mean_1"], part["std_0"]) == ("37", "157", "0")
    assert (tumour["voxels"], tumour["mean_0"], tumour["centroid_x_mm"]) == ("0", "", "")
    stored = json.loads((tmp_path / "statistics.json").read_text())["rows"]
    assert len(stored) == 3
    assert stored[1]["centroid_mm"] == [1, 2, 3]
