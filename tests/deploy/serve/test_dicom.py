"""DICOM: single files and zips of series, with segmentations that refer to them."""

import io
import json
import zipfile

import numpy as np
import pydicom
import pytest

from dicom_files import NAME, SERIES, radiograph, save_series, slices, to_bytes
from serving import labels_of, model, png, running

AFFINE = np.array([[-0.5, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def server():
    with running(model("flat"), model("solid", spatial_dims=3)) as server:
        yield server


def volume(shape=(10, 8, 6)):
    array = np.zeros(shape, np.int16)
    array[shape[0] // 2 :] = 100
    return array


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def series(tmp_path, **attributes):
    """The files of a series, in no order."""
    paths = save_series(tmp_path / "ct", volume(), AFFINE, order=[3, 0, 5, 1, 4, 2], **attributes)
    return {f"{NAME}/{path.name}": path.read_bytes() for path in paths}


def test_a_zip_of_a_series_gives_a_segmentation_of_it(server, tmp_path):
    response = server.predict(zipped({**series(tmp_path), "DICOMDIR": b"x"}), model="solid")
    assert response.headers["content-type"] == "application/dicom"
    mask = pydicom.dcmread(io.BytesIO(response.content))
    assert (mask.Modality, mask.PatientName) == ("SEG", NAME)
    assert mask.ReferencedSeriesSequence[0].SeriesInstanceUID == SERIES
    assert mask.SegmentSequence[0].SegmentLabel == "lung"
    assert "DOE" not in server.log.getvalue()


def test_its_volume_is_measured_and_nifti_is_a_choice(server, tmp_path):
    image = zipped(series(tmp_path))
    answer = server.predict(image, model="solid", output="nifti", response="json").json()
    assert answer["image"] == {"shape": [10, 8, 6], "spacing_mm": [0.5, 0.5, 4.0]}
    assert answer["labels"][0]["volume_ml"] == pytest.approx(0.24)  # 240 voxels of 1 mm3
    labels = labels_of(server.predict(image, model="solid", output="nifti"))
    assert labels.shape == (10, 8, 6)
    assert labels.sum() == 240


def test_a_radiograph_has_an_area(server):
    samples = np.zeros((20, 30), np.uint16)
    samples[:, 15:] = 200
    image = to_bytes(radiograph(samples, PixelSpacing=[2.0, 5.0]))
    (label,) = server.predict(image, model="flat", response="json").json()["labels"]
    assert label["area_cm2"] == pytest.approx(0.1 * label["voxels"])
    unknown = to_bytes(radiograph(samples))
    answer = server.predict(unknown, model="flat", response="json").json()
    assert answer["labels"][0]["area_cm2"] is answer["image"]["spacing_mm"] is None
    assert any("no pixel size" in note for note in answer["notes"])
    assert server.predict(image, model="flat").headers["content-type"] == "application/dicom"


def test_the_probabilities_of_dicom_are_nifti(server, tmp_path):
    response = server.predict(zipped(series(tmp_path)), model="solid", probabilities="1")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert {"mask.dcm", "probabilities/mask_0.nii.gz"} <= set(archive.namelist())
        assert json.loads(archive.read("answer.json"))["labels"]


def test_of_two_series_one_can_be_chosen(server, tmp_path):
    other = slices(volume((6, 6, 3)), AFFINE, series="1.2.3.9", number=2)
    both = {**series(tmp_path), **{f"b{n}": to_bytes(each) for n, each in enumerate(other)}}
    image = zipped({name.replace("/", "_"): data for name, data in both.items()})
    answer = server.predict(image, model="solid", response="json").json()
    assert answer["image"]["shape"] == [10, 8, 6]
    assert any("not read" in note for note in answer["notes"])
    for chosen in ("2", "1.2.3.9"):
        answer = server.predict(image, model="solid", series=chosen, response="json").json()
        assert answer["image"]["shape"] == [6, 6, 3]


def test_what_is_refused(server, tmp_path):
    files = series(tmp_path)
    name, data = next(iter(files.items()))
    samples = np.eye(5, dtype=np.uint16)
    two = {"a": to_bytes(radiograph(samples)), "b": to_bytes(radiograph(samples, number=2))}
    for image, status, found in (
        (zipped({**files, "x.png": png()}), 422, "a zip of DICOM and other images"),
        (zipped({key: files[key] for key in list(files)[:2] + list(files)[3:]}), 422, None),
        (zipped({name: data[:-50]}), 422, None),
        (zipped(two), 422, "2 DICOM images"),
        (data[:200], 422, None),
    ):
        response = server.predict(image, model="flat" if image == zipped(two) else "solid")
        assert response.status_code == status, response.text
        assert found in (None, response.json()["found"])
    response = server.predict(zipped(files), model="solid", output="png")
    assert response.json()["found"] == "output=png for a DICOM image"
    with running(model("small", spatial_dims=3, most=479)) as small:
        assert small.predict(zipped(files)).status_code == 413
