"""Statistics, previews and the report of a run, through `predict`."""

import io
import json

import numpy as np
import pytest
from PIL import Image as PillowImage

import dicom_files as dicom
from lightm_unet.errors import DataError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import image_from_array
from lightm_unet.inference.predict import predict
from lightm_unet.inference.preview import draw_preview
from lightm_unet.reporting.text_tables import read_csv
from strategies import oriented_affine

VOLUME = np.zeros((12, 14, 6), np.int16)
VOLUME[2:5, 3:9, 1:4] = 500
GRID = oriented_affine((0, 1, 2), (-1, -1, 1), (1.0, 1.0, 2.5), (0, 0, 0))
SECRETS = ("DOE", "4711", "19700101", "Jane", "clinic")


@pytest.fixture
def folder(tmp_path):
    """A patient's folders: a series that can be read, and one with a slice missing."""
    there = tmp_path / "clinic" / "Jane_DOE_4711"
    dicom.save_series(there / "good_DOE", VOLUME, GRID)
    for path in dicom.save_series(there / "bad_DOE", VOLUME, GRID)[2:3]:
        path.unlink()
    return there


def test_what_is_written_beside_the_masks(make_model, folder, tmp_path):
    model = make_model(spatial_dims=3, size=(12, 14, 6))
    report = tmp_path / "run.json"
    predict(
        model,
        folder,
        tmp_path / "out",
        device="cpu",
        statistics=True,
        preview=True,
        report=report,
    )
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"statistics.csv", "statistics.json", "previews", "prediction.json"} < written
    whole, part = read_csv((tmp_path / "out" / "statistics.csv").read_text())
    assert (whole["voxels"], whole["volume_ml"], whole["mean"]) == ("54", "0.135", "500")
    assert (part["extent_x_mm"], part["extent_y_mm"], part["extent_z_mm"]) == ("3", "6", "7.5")
    (picture,) = (tmp_path / "out" / "previews").iterdir()
    with PillowImage.open(picture) as opened:
        assert opened.width > 3 * 300

    text = report.read_text()
    content = json.loads(text)
    assert not [word for word in SECRETS if word in text]
    good, bad = content["cases"]
    if good["outcome"] == "failed":
        good, bad = bad, good
    assert (good["outcome"], good["error"], bad["outcome"]) == ("done", None, "failed")
    assert "missing slice" in bad["error"]
    assert (content["done"], content["failed"], content["not_begun"]) == (1, 1, 0)
    assert content["settings"]["device"] == "cpu"
    assert min(good["peak_memory_bytes"], content["peak_memory_bytes"]) > 10**8
    assert good["seconds"] > 0


def test_ids_are_kept_if_asked_for(make_model, folder, tmp_path):
    model = make_model(spatial_dims=3, size=(12, 14, 6))
    report = tmp_path / "run.json"
    predict(model, folder, tmp_path / "out", device="cpu", report=report, keep_ids=True)
    content = json.loads(report.read_text())
    assert {case["name"] for case in content["cases"]} == {
        "good_DOE",
        "bad_DOE",
    }


def test_a_report_tells_of_an_only_case_that_failed(make_model, folder, tmp_path):
    model = make_model(spatial_dims=3, size=(12, 14, 6))
    report = tmp_path / "run.json"
    with pytest.raises(DataError):
        predict(model, folder / "bad_DOE", tmp_path / "out", device="cpu", report=report)
    content = json.loads(report.read_text())
    assert content["failed"] == 1
    assert not [word for word in SECRETS if word in json.dumps(content["cases"])]


def pixels(png):
    with PillowImage.open(io.BytesIO(png)) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def test_a_preview_shows_the_patients_right_on_the_left_and_square_millimetres(make_model):
    """A label on the patient's right, at the front and low, is left, up and down in the planes."""
    model = make_model(spatial_dims=3, size=(8, 8, 8))
    labels = np.zeros((20, 20, 10), np.uint8)
    labels[14:18, 15:18, 1:3] = 1  # to the right, to the front, low
    grid = Geometry((20, 20, 10), np.diag([1.0, 1.0, 2.0, 1.0]))
    image = image_from_array(np.zeros((1, 20, 20, 10)), grid, "scan")
    seen = pixels(draw_preview(image, labels, model))
    planes = [seen[12:492, 12 + left : 12 + left + 480] for left in (0, 492, 984)]
    rows, columns = [], []
    for plane in planes:
        coloured = np.argwhere(np.ptp(plane, axis=2) > 60)
        rows.append(coloured[:, 0].mean() / 480)
        columns.append(coloured[:, 1].mean() / 480)
    # Axial: 4.5 of 20 voxels from the right, 4 from the front; coronal and sagittal: 4 of 20 mm up.
    assert rows == pytest.approx([0.175, 0.8, 0.8], abs=0.03)
    assert columns == pytest.approx([0.2, 0.2, 0.175], abs=0.03)


def test_a_radiographs_pixels_are_shown_as_wide_as_they_are(make_model):
    model = make_model(spatial_dims=2, size=(8, 8))
    affine = np.array([[0, -1, 0, 0], [0, 0, 1, 0], [-3, 0, 0, 0], [0, 0, 0, 1]], float)
    grid = Geometry((20, 30), affine, radiograph=True)  # 60 x 30 mm
    image = image_from_array(np.zeros((1, 20, 30)), grid, "film")
    seen = pixels(draw_preview(image, np.zeros((20, 30), np.uint8), model))
    assert seen.shape[:2] == (480 + 24, 240 + 24)
