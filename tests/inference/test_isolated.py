"""DICOM read in a child gives what reading here gives, and a child that fails gives one line."""

import os
import signal

import numpy as np
import pytest

import dicom_files as dicom
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom_source import DicomFile
from lightm_unet.imaging.image import read_image, read_labels
from lightm_unet.inference.isolated import IsolatedReader
from lightm_unet.inference.predict import predict
from strategies import oriented_affine, rotated

VOLUME = np.random.default_rng(0).integers(-999, 999, (9, 7, 6)).astype(np.int16)
GRID = rotated(oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5)), (10, -20, 30))


@pytest.fixture(scope="module")
def reader():
    reader = IsolatedReader()
    yield reader
    reader.close()


def files_of(folder):
    return [DicomFile(path) for path in sorted(folder.iterdir())]


def test_an_image_is_the_same_as_without(reader, tmp_path, listen):
    dicom.save_series(tmp_path / "ct", VOLUME, GRID, [3, 1, 0, 5, 2, 4])
    film = dicom.radiograph(VOLUME[0].astype(np.uint16), PhotometricInterpretation="MONOCHROME1")
    dicom.save(film, tmp_path / "film" / "a.dcm")
    for folder in (tmp_path / "ct", tmp_path / "film"):
        files, lines = files_of(folder), []
        with listen(lines.append):
            found = reader.read(files, 1, None)
        expected = read_image(files, 1)
        assert np.array_equal(found.array, expected.array)
        assert (found.geometry.dicom, found.path) == (expected.geometry.dicom, expected.path)
        assert np.array_equal(found.geometry.affine, expected.geometry.affine)
        for name in ("shape", "unit_axes", "stored_shape", "radiograph", "is_picture"):
            assert getattr(found.geometry, name) == getattr(expected.geometry, name)
    assert any("MONOCHROME1" in line for line in lines)


def test_an_error_is_the_same_line(reader, tmp_path):
    dicom.save_series(tmp_path, VOLUME, GRID)[2].unlink()
    with pytest.raises(DataError) as expected:
        read_image(files_of(tmp_path), 1)
    with pytest.raises(DataError) as found:
        reader.read(files_of(tmp_path), 1, None)
    assert str(found.value) == str(expected.value)


def test_too_little_memory_a_crash_and_too_long_a_time_are_one_line_each(tmp_path):
    large = dicom.radiograph(np.zeros((4000, 5000), np.uint16))
    dicom.save(large, tmp_path / "large" / "a.dcm")
    reader = IsolatedReader(most_bytes=50_000_000)
    with pytest.raises(DataError, match=r"a\.dcm: found an image .* more memory than it may"):
        reader.read(files_of(tmp_path / "large"), 1, None)

    dicom.save_series(tmp_path / "ct", VOLUME, GRID)
    assert reader.read(files_of(tmp_path / "ct"), 1, None).array.shape == (1, *VOLUME.shape)
    os.kill(reader._child._process.pid, signal.SIGSEGV)
    with pytest.raises(DataError, match=r"process of its own: its process ended by signal 11"):
        reader.read(files_of(tmp_path / "ct"), 1, None)
    reader.most_seconds = 0.01
    with pytest.raises(DataError, match=r"not read within 0\.01 s"):
        reader.read(files_of(tmp_path / "ct"), 1, None)
    reader.close()


def test_predict_writes_the_same_masks(make_model, tmp_path):
    model = make_model(spatial_dims=3, size=(9, 7, 6))
    dicom.save_series(tmp_path / "in", VOLUME, GRID)
    masks = []
    for isolate in (False, True):
        folder = tmp_path / f"{isolate}"
        predict(model, tmp_path / "in", folder, device="cpu", isolate=isolate)
        masks.append(read_labels(folder / "in.dcm"))
    assert np.array_equal(masks[0][0], masks[1][0])
    assert masks[0][1].difference(masks[1][1]) is None
