"""A radiograph as DICOM tells the size of its pixels, so that areas are in cm2."""

import re

import numpy as np
import pytest

import dicom_files
from browser import needs_chromium, needs_page
from lightm_unet.imaging.picture import read_picture

pytestmark = [needs_chromium, needs_page, pytest.mark.slow]

PIXEL_MM = (0.5, 0.25)


def test_its_area_is_in_square_centimetres_and_its_labels_those_of_the_picture(page, xray):
    grey = read_picture(xray, 1)[0].astype(np.uint8)
    page.open([xray])
    labels = page.labels()
    page.clear()
    radiograph = dicom_files.radiograph(grey, PixelSpacing=list(PIXEL_MM))
    content = dicom_files.to_bytes(radiograph)
    page.open([{"name": "chest.dcm", "mimeType": "application/dicom", "buffer": content}])
    np.testing.assert_array_equal(page.labels(), labels)
    shown = float(re.search(r"([\d.]+) cm²", page.result())[1])
    area = labels.sum() * PIXEL_MM[0] * PIXEL_MM[1] / 100
    assert shown == pytest.approx(area, rel=0.01)
    name, segmentation = page.download("DICOM segmentation")
    assert name.endswith(".dcm")
    assert segmentation[128:132] == b"DICM"
