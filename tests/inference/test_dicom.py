"""DICOM through `predict`: its cases, the names of their masks and where they lie."""

import itertools
import json
import zipfile
from dataclasses import replace

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dicom_files as dicom
from lightm_unet.errors import DataError, MissingPartError, UsageError
from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.imaging.dicom.segment import SEGMENTATION_TYPES
from lightm_unet.imaging.dicom.write_segmentation import labels_of_levels
from lightm_unet.imaging.image import read_labels
from lightm_unet.inference.predict import predict
from lightm_unet.inference.segments import algorithm_of, segments_of
from lightm_unet.models.model_folder import CARD, load_model, save_model
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.preprocessing import Preprocessing
from strategies import affines, oriented_affine, rotated

GRID = rotated(oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5)), (10, -20, 30))
RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 999, (9, 7, 6), dtype=np.int16)
CHEST = RNG.integers(0, 4096, (9, 11), dtype=np.uint16)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Networks that look at each voxel alone: dark is background, then come two brighter labels."""
    made = {}
    for dims, size in ((2, (9, 11)), (3, (9, 9, 9))):
        network = build_network(
            "lightm-unet-tiny", spatial_dims=dims, in_channels=1, out_channels=3
        )
        folder = tmp_path_factory.mktemp(f"model_{dims}")
        names = ("background", "grey", "bright")
        save_model(folder, network, Preprocessing(dims, 1, size=size), names, ("CT",), {}, {})
        levels = (torch.nn.Conv2d, torch.nn.Conv3d)[dims - 2](1, 3, 1)
        with torch.no_grad():
            levels.weight.view(-1)[:] = torch.tensor([-2.0, 0.3, 2.0])
            levels.bias[:] = torch.tensor([-0.5, 0.1, -0.5])
        made[dims] = replace(load_model(folder), network=levels)
    return made


def canonical_mask(model, affine, folder):
    """The mask of the same volume in NIfTI, in the axes of the volume."""
    nibabel.Nifti1Image(VOLUME, affine).to_filename(folder / "canonical.nii")
    predict(model, folder / "canonical.nii", folder / "masks", device="cpu")
    return read_labels(folder / "masks" / "canonical.nii")


@pytest.mark.slow
@given(affine=affines(), seed=st.integers(0, 2**32 - 1))
def test_the_mask_of_a_series_is_that_of_the_same_volume_in_nifti(
    models, tmp_path_factory, affine, seed
):
    folder = tmp_path_factory.mktemp("any")
    dicom.save_series(folder / "in", VOLUME, affine, np.random.default_rng(seed).permutation(6))
    expected, grid = canonical_mask(models[3], affine, folder)
    predict(models[3], folder / "in", folder / "out", device="cpu")
    found, place = read_labels(folder / "out" / "in.dcm")
    if np.linalg.det(grid.affine[:3, :3]) * np.linalg.det(place.affine[:3, :3]) < 0:
        # DICOM counts slices along their normal, which here runs against the volume's third axis.
        found = found[:, :, ::-1]
        moved = place.affine.copy()
        moved[:3, 3] += (found.shape[2] - 1) * moved[:3, 2]
        moved[:3, 2] *= -1
        place = replace(place, affine=moved)
    np.testing.assert_allclose(place.affine, grid.affine, atol=1e-5)
    assert np.array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEGMENTATION_TYPES)
def test_a_real_ct_has_the_same_mask_in_every_form(models, shared_data, tmp_path, kind):
    folder = shared_data / "ct" / "dicom_series" / "CT"
    predict(models[3], folder, tmp_path / "nifti", device="cpu", output_format="nifti")
    predict(models[3], folder, tmp_path, device="cpu", segmentation_type=kind)
    volume = nibabel.load(tmp_path / "nifti" / "CT.nii.gz")
    expected = np.asarray(volume.dataobj)
    assert {*np.unique(expected)} == {0, 1, 2}
    segmentation = highdicom.seg.segread(tmp_path / "CT.dcm")
    for path in folder.iterdir():
        source = pydicom.dcmread(path, stop_before_pixels=True)
        uid = source.file_meta.MediaStorageSOPInstanceUID  # the data sets lack their own
        (found,) = (
            labels_of_levels(
                segmentation.get_pixels_by_source_instance([uid], rescale_fractional=False)
            )
            if kind == "fractional"
            else segmentation.get_pixels_by_source_instance([uid], combine_segments=True)
        )
        corner = np.diag([-1.0, -1, 1, 1]) @ [*source.ImagePositionPatient, 1]
        i, j, k = np.rint(np.linalg.inv(volume.affine) @ corner).astype(int)[:3]
        assert (i, j) == (0, 0)
        assert np.array_equal(found, expected[:, :, k].T)


def test_the_liver_of_a_real_ct_lies_where_its_segmentation_says(shared_data):
    """The given mask has its y axis the other way round; only its affine brings both together."""
    from lightm_unet.imaging.image import read_image

    folder = shared_data / "ct" / "dicom_series"
    image = read_image(sorted((folder / "CT").iterdir()))
    mask, grid = read_labels(folder / "seg" / "example_seg_dicom.nii.gz")
    to_image = np.linalg.inv(image.geometry.affine) @ grid.affine
    places = np.rint(to_image[:3, :3] @ np.argwhere(mask == 5).T + to_image[:3, 3:]).astype(int)
    liver = image.array[0][tuple(places)]
    assert 80 < np.median(liver) < 140  # Hounsfield units of a liver with contrast medium
    assert np.percentile(liver, 10) > 40
    flipped = image.array[0][places[0], -1 - places[1], places[2]]
    assert np.percentile(flipped, 10) < -50


def test_a_folder_of_radiographs_gives_a_mask_for_each_file(models, tmp_path):
    for name in ("a.dcm", "b", "c.IMA"):
        dicom.save(dicom.radiograph(CHEST, ImagerPixelSpacing=[0.2, 0.2]), tmp_path / "in" / name)
    results = predict(models[2], tmp_path / "in", tmp_path / "out", device="cpu")
    assert [result.output.name for result in results] == ["a.dcm", "b.dcm", "c.dcm"]
    labels, _ = read_labels(tmp_path / "out" / "a.dcm")
    np.save(tmp_path / "x.npy", labels)
    direct = models[2].predict(CHEST, device="cpu")
    assert np.array_equal(labels, direct)


def test_formats_may_be_mixed_in_a_folder(models, tmp_path):
    from lightm_unet.imaging.picture import write_picture

    write_picture(CHEST, tmp_path / "in" / "p.png")
    dicom.save(dicom.radiograph(CHEST), tmp_path / "in" / "d.dcm")
    results = predict(models[2], tmp_path / "in", tmp_path / "out", device="cpu")
    assert {result.output.name for result in results} == {"p.png", "d.dcm"}
    picture, _ = read_labels(tmp_path / "out" / "p.png")
    assert np.array_equal(picture, read_labels(tmp_path / "out" / "d.dcm")[0])


def test_folders_below_pictures_are_not_searched(models, tmp_path):
    from lightm_unet.imaging.picture import write_picture

    write_picture(CHEST, tmp_path / "in" / "p.png")
    dicom.save(dicom.radiograph(CHEST), tmp_path / "in" / "below" / "d.dcm")
    results = predict(models[2], tmp_path / "in", tmp_path / "out", device="cpu")
    assert [result.output.name for result in results] == ["p.png"]


def test_slices_named_one_by_one_are_one_series(models, tmp_path):
    files = dicom.save_series(tmp_path / "ct", VOLUME, GRID)
    (result,) = predict(models[3], files[::-1], tmp_path / "out", device="cpu")
    assert result.output == tmp_path / "out" / "ct.dcm"
    (result,) = predict(models[3], files[:1], tmp_path / "out", device="cpu")
    assert result.output == tmp_path / "out" / "0000.dcm"


def test_patients_folders_and_archives(models, tmp_path):
    for patient, series in itertools.product("ab", ("1", "2")):
        dicom.save_series(tmp_path / "in" / patient / series, VOLUME, GRID, series=f"1.{series}")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as file:
        for path in (tmp_path / "in" / "a" / "1").iterdir():
            file.write(path, f"DOE^JANE/{path.name}")
    results = predict(
        models[3], [tmp_path / "in", tmp_path / "in.zip"], tmp_path / "out", device="cpu"
    )
    names = [result.output.name for result in results]
    assert names == ["a_1.dcm", "a_2.dcm", "b_1.dcm", "b_2.dcm", "in.dcm"]
    assert len({read_labels(result.output)[0].tobytes() for result in results}) == 1


def test_probabilities_of_dicom_are_nifti(models, tmp_path):
    dicom.save_series(tmp_path / "ct", VOLUME, GRID)
    predict(models[3], tmp_path / "ct", tmp_path / "out", device="cpu", probabilities=True)
    maps = sorted(path.name for path in (tmp_path / "out" / "probabilities").iterdir())
    assert maps == ["ct_0.nii.gz", "ct_1.nii.gz", "ct_2.nii.gz"]


def test_a_series_is_chosen_by_number(models, tmp_path):
    dicom.save_series(tmp_path / "in", VOLUME, GRID, number=1)
    for number, file in enumerate(
        dicom.save_series(tmp_path / "x", VOLUME[:, :, :3], GRID, series="1.9", number=2)
    ):
        file.rename(tmp_path / "in" / f"x{number}.dcm")
    predict(models[3], tmp_path / "in", tmp_path / "out", device="cpu", series="2")
    assert read_labels(tmp_path / "out" / "in.dcm")[0].shape == (9, 7, 3)
    with pytest.raises(DataError, match="no series 7, but series 1"):
        predict(models[3], tmp_path / "in", tmp_path / "out", device="cpu", series="7")


def test_records_hold_no_patient(models, tmp_path, listen):
    dicom.save_series(tmp_path / "in", VOLUME, GRID)
    dicom.save(dicom.header("CT", SOPClassUID="1.2.3"), tmp_path / "in" / "other.dcm")
    lines = []
    with listen(lines.append):
        predict(models[3], tmp_path / "in", tmp_path / "out", device="cpu")
    record = (tmp_path / "out" / "prediction.json").read_text()
    for text in (record, *lines):
        assert "DOE" not in text
        assert "4711" not in text


def test_a_mask_never_replaces_a_slice(models, tmp_path):
    path = dicom.save(dicom.radiograph(CHEST), tmp_path / "a.dcm")
    with pytest.raises(UsageError, match="would replace an input"):
        predict(models[2], path, tmp_path, device="cpu")


def test_evaluate_compares_segmentations_with_nifti(models, tmp_path):
    dicom.save_series(tmp_path / "in", VOLUME, GRID)
    predict(models[3], tmp_path / "in", tmp_path / "dicom", device="cpu")
    predict(models[3], tmp_path / "in", tmp_path / "nifti", device="cpu", output_format="nifti")
    evaluation = evaluate(tmp_path / "dicom", tmp_path / "nifti")
    assert [evaluation.cases[0].of(label).dice for label in (1, 2)] == [1, 1]


def test_settings_that_do_not_exist_are_named(models, tmp_path):
    for settings in ({"output_format": "dicom"}, {"segmentation_type": "soft"}):
        with pytest.raises(UsageError, match="must be one of"):
            predict(models[3], tmp_path, tmp_path / "out", **settings)


def test_codes_come_from_the_card(models):
    model = models[3]
    entries = [dict(entry) for entry in model.card["labels"]]
    entries[1]["snomed"] = {"code": "39607008", "meaning": "Lung"}
    entries[2]["snomed"] = {"code": "108369006", "meaning": "Neoplasm"}
    entries[2]["category"] = {"code": "49755003", "meaning": "Morphologically Altered Structure"}
    grey, bright = segments_of(replace(model, card={**model.card, "labels": entries}))
    assert (grey.name, grey.code, grey.category.value) == (
        "grey",
        ("39607008", "Lung"),
        "123037004",
    )
    assert (bright.code.value, bright.category.value) == ("108369006", "49755003")
    assert segments_of(model)[0].code is None
    assert algorithm_of(model).parameters["model"] == model.card["weights"]["sha256"]
    for wrong in ("lung", {"code": 5}, {"code": "x", "meaning": "Lung"}, {"code": "1"}):
        entries[1]["snomed"] = wrong
        with pytest.raises(DataError, match=f"{CARD}.*the snomed"):
            segments_of(replace(model, card={**model.card, "labels": entries}))


def test_without_its_packages_dicom_is_a_missing_part(models, tmp_path, monkeypatch):
    dicom.save_series(tmp_path / "in", VOLUME, GRID)
    from lightm_unet.system import extras

    monkeypatch.setattr(extras, "is_installed", lambda package: package != "pydicom")
    with pytest.raises(MissingPartError, match=r"pydicom, which is not installed; pip install"):
        predict(models[3], tmp_path / "in", tmp_path / "out", device="cpu")
    monkeypatch.setattr(extras, "is_installed", lambda package: package != "highdicom")
    with pytest.raises(MissingPartError, match=r"writing DICOM segmentations needs highdicom"):
        predict(models[3], tmp_path / "in", tmp_path / "out", device="cpu")
    predict(models[3], tmp_path / "in", tmp_path / "out", device="cpu", output_format="nifti")
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["cases"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["odd", "dicom_seg", "ct", "odd/pydicom"])
@pytest.mark.parametrize("dims", [2, 3])
def test_every_real_file_ends_in_a_mask_or_one_line(models, shared_data, tmp_path, folder, dims):
    files = [path for path in sorted((shared_data / folder).rglob("*")) if path.is_file()]
    results = predict(models[dims], [*files, shared_data / folder], tmp_path, device="cpu")
    assert results
    for result in results:
        assert (result.output is None) != (result.error is None)
        if result.error:
            assert "\n" not in result.error
        else:
            assert result.output.stat().st_size > 0
