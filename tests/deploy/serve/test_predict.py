"""What `POST /v1/predict` answers."""

import base64
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.imaging.image import read_labels
from lightm_unet.imaging.nifti import read_nifti
from lightm_unet.inference.predict import predict
from serving import dark_profile, labels_of, model, nifti, png, running


@pytest.fixture(scope="module")
def server():
    models = [
        model("flat"),
        model("solid", spatial_dims=3, roi_size=(8, 8, 8)),
        model("two", channels=2),
        model("wary", profile=dark_profile()),
    ]
    with running(*models) as server:
        yield server


def test_the_mask_lies_on_the_pictures_own_grid(server):
    response = server.predict(png(), model="flat")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-disposition"] == 'attachment; filename="mask.png"'
    labels = labels_of(response)
    assert labels.shape == (20, 30)
    assert (labels[:, :13] == 0).all()
    assert (labels[:, 17:] == 1).all()


@pytest.mark.parametrize("packed", [True, False])
def test_the_mask_of_a_volume_has_its_affine(server, packed, tmp_path):
    response = server.predict(nifti(packed=packed), model="solid")
    assert response.headers["content-type"] == "application/gzip"
    (tmp_path / "mask.nii.gz").write_bytes(response.content)
    array, affine, _ = read_nifti(tmp_path / "mask.nii.gz")
    assert array.shape == (8, 9, 10)
    np.testing.assert_array_equal(affine, np.diag([1.0, 2.0, 5.0, 1.0]))
    assert (array[:4] == 0).all()
    assert (array[4:] == 1).all()


def test_json_has_statistics_mask_and_preview(server):
    answer = server.predict(nifti(), model="solid", response="json").json()
    assert answer["model"] == {"name": "solid", "sha256": "0" * 64}
    assert answer["image"] == {"shape": [8, 9, 10], "spacing_mm": [1.0, 2.0, 5.0]}
    # Half of 720 voxels of 10 mm3 each.
    assert answer["labels"] == [
        {
            "value": 1,
            "name": "lung",
            "colour": "#e69f00",
            "voxels": 360,
            "share": 0.5,
            "volume_ml": pytest.approx(3.6),
            "area_cm2": None,
        }
    ]
    assert answer["likeness"] is None
    assert answer["mask"]["name"] == "mask.nii.gz"
    preview = Picture.open(io.BytesIO(base64.b64decode(answer["preview"]["base64"])))
    assert preview.format == "PNG"
    assert "Not a medical device" in answer["notice"]


def test_a_series_is_chosen_in_dicom_only(server):
    response = server.predict(png(), model="flat", series="2")
    assert response.status_code == 422
    assert response.json()["found"] == "series='2' for an image that is not DICOM"
    assert server.predict(nifti(), model="solid", series="2").status_code == 422


def test_a_picture_is_measured_in_pixels(server):
    (label,) = server.predict(png(), model="flat", response="json").json()["labels"]
    assert label["volume_ml"] is label["area_cm2"] is None
    assert label["share"] == pytest.approx(0.5, abs=0.04)


def test_a_flat_nifti_is_measured_in_cm2(server):
    image = nifti((20, 10), (10.0, 20.0))
    (label,) = server.predict(image, model="flat", response="json").json()["labels"]
    assert label["area_cm2"] == pytest.approx(2 * label["voxels"])


def test_the_zip_holds_the_probabilities(server):
    response = server.predict(png(), model="flat", probabilities="true")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert sorted(archive.namelist()) == [
            "answer.json",
            "mask.png",
            "preview.png",
            "probabilities/mask_0.png",
            "probabilities/mask_1.png",
        ]
        answer = json.loads(archive.read("answer.json"))
        maps = [
            np.asarray(Picture.open(io.BytesIO(archive.read(f"probabilities/mask_{label}.png"))))
            for label in (0, 1)
        ]
    assert answer["mask"] is None
    np.testing.assert_allclose(maps[0].astype(int) + maps[1], 65535, atol=1)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "image/png"),
        ("application/json", "application/json"),
        ("application/zip", "application/zip"),
        ("image/png, application/json;q=0.5", "image/png"),
        ("text/html;q=0.1, application/json;q=0.9", "application/json"),
    ],
)
def test_the_accept_header_chooses_and_the_field_decides(server, accept, media_type):
    headers = {"accept": accept}
    response = server.predict(png(), headers, model="flat")
    assert response.headers["content-type"] == media_type
    response = server.predict(png(), headers, model="flat", response="mask")
    assert response.headers["content-type"] == "image/png"


def test_options_stand_in_the_query_too(server):
    response = server.predict(png(), query="?model=flat&response=json")
    assert response.json()["model"]["name"] == "flat"


def test_notes_tell_how_the_image_was_read_without_its_path(server):
    colour = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    answer = server.predict(png(colour), model="flat", response="json").json()
    assert answer["notes"] == ["stored in colour with three equal channels; read as grey"]


def test_an_unlike_image_is_told_and_with_strict_refused(server):
    answer = server.predict(png(), model="wary", response="json").json()
    assert answer["likeness"]["unlike"]
    assert answer["warnings"][0].startswith("unlike the images that the model was trained on")
    response = server.predict(png(), model="wary")
    assert response.headers["x-lightm-unet-warning"] == answer["warnings"][0]
    response = server.predict(png(), model="wary", strict="true")
    assert (response.status_code, response.json()["type"]) == (
        422,
        "urn:lightm-unet:problem:unusable-image",
    )
    assert "without strict" in response.json()["advice"]


def channels_zip(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, png(np.eye(4, 5, dtype=np.uint8) * (1 + number)))
    return buffer.getvalue()


def test_a_zip_of_channels_in_any_order(server):
    for names in (("x_0000.png", "x_0001.png"), ("x_0001.png", "x_0000.png")):
        assert server.predict(channels_zip(*names), model="two").status_code == 200
    response = server.predict(channels_zip("a.png", "b.png"), model="two")
    assert response.status_code == 422
    assert response.json()["found"] == "a zip of 2 files that are not numbered as channels"


def test_a_zip_of_one_image(server):
    assert server.predict(channels_zip("folder/any name.png"), model="flat").status_code == 200


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "no model"),
        ({"model": "flat", "probabilites": "1"}, "the option 'probabilites'"),
        ({"model": "none"}, "model='none'"),
        ({"model": "flat", "strict": "perhaps"}, "strict='perhaps'"),
        ({"model": "flat", "output": "nifti"}, "output=nifti for a picture"),
        ({"model": "flat", "output": "dicom"}, "output='dicom'"),
        (
            {"model": "flat", "probabilities": "1", "response": "json"},
            "probabilities with response=json",
        ),
    ],
)
def test_options_that_cannot_be_used(server, fields, found):
    response = server.predict(png(), **fields)
    assert (response.status_code, response.json()["found"]) == (422, found)
    assert response.headers["content-type"] == "application/problem+json"


def test_an_option_with_two_values(server):
    assert server.predict(png(), query="?model=flat", model="flat").status_code == 200
    response = server.predict(png(), query="?model=flat", model="wary")
    assert (response.status_code, response.json()["detail"]) == (
        422,
        "the option 'model' has two values",
    )


def test_nothing_is_left_on_the_disk_and_the_log_holds_no_names(server):
    server.client.post(
        "/v1/predict?model=flat", files={"image": ("MUSTERMANN^ERIKA.png", png())}
    ).raise_for_status()
    server.until(lambda: not server.files())
    line = server.lines()[-1]
    assert line["event"] == "request"
    assert line.keys() >= {"request_id", "route", "status", "seconds", "voxels", "waited", "worked"}
    assert "MUSTERMANN" not in server.log.getvalue()
    assert "image." not in server.log.getvalue()


def test_the_result_is_that_of_predict(server, tmp_path):
    generator = np.random.default_rng(0)
    file = tmp_path / "a.png"
    file.write_bytes(png(generator.integers(0, 255, (33, 21), np.uint8)))
    predict(server.service.models["flat"].folder, file, tmp_path / "out", device="cpu")
    expected, _ = read_labels(tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(
        labels_of(server.predict(file.read_bytes(), model="flat")), expected
    )
