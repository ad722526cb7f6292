from pathlib import Path

import numpy as np
import pytest

from lightm_unet.datasets.fingerprint import draw_thumbnail, find_outliers, fingerprint
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image

AFFINE = np.array([[0, 0, 3, 0], [1, 0, 0, 0], [0, -2, 0, 0], [0, 0, 0, 1]], float)


def scan(shape=(4, 5, 6), affine=AFFINE, factor=1.0, labels=2):
    values = factor * np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    mask = np.zeros(shape, np.uint8)
    mask.flat[:labels] = 1
    return Image(values, Geometry(shape, affine), Path("scan.nii")), mask


def of(name="a", **changes):
    return fingerprint(name, "imagesTr", *scan(**changes), classes=2)


def test_a_case_is_described_in_canonical_order():
    found = of()
    assert (found.shape, found.spacing_mm) == ((6, 4, 5), (3, 1, 2))
    assert found.extent_mm == (18, 4, 10)
    assert (found.intensities[0], found.intensities[4], found.intensities[5]) == (0, 119, 59.5)
    assert found.label_voxels == (118, 2)
    assert found.label_ml == pytest.approx((118 * 0.006, 0.012))


def test_a_picture_has_no_size():
    found = of(shape=(4, 5), affine=np.eye(4))
    assert (found.spacing_mm, found.extent_mm, found.label_ml) == (None, None, None)
    assert "spacing x" not in found.numbers


def test_what_lies_far_from_the_others_is_named_and_rounding_is_not():
    cases = [of(str(i), factor=1 + 1e-4 * i) for i in range(9)]
    cases += [of("bright", factor=40), of("thick", affine=AFFINE @ np.diag([1, 1, 5, 1]))]
    cases += [of("much", labels=90)]
    found = find_outliers(cases, ("background", "liver"))
    assert set(found) == {"bright", "thick", "much"}
    assert any(text.startswith("mean intensity") for text in found["bright"])
    assert found["thick"][0] == "spacing x 15 (median 3)"
    assert found["much"] == ("amount of liver 0.54 (median 0.012)",)


def test_few_cases_have_nothing_unusual():
    assert find_outliers([of(), of(), of(), of(factor=99)], ("background", "liver")) == {}


def test_a_thumbnail_is_a_picture_with_its_labels():
    picture = draw_thumbnail(*scan())
    assert picture.png.startswith(b"\x89PNG")
    assert "axial" in picture.caption
