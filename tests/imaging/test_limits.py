"""Sizes are refused by the header, before memory is taken."""

import threading
import tracemalloc

import numpy as np
import pytest

from lightm_unet.errors import DataError, TooLargeError
from lightm_unet.imaging.image import read_image
from lightm_unet.imaging.limits import check_values, limit_values
from lightm_unet.preprocessing.apply import preprocess_image
from lightm_unet.preprocessing.preprocessing import Preprocessing
from serving import huge_png, nifti, png


@pytest.mark.parametrize(
    ("name", "data", "values"),
    [
        ("a.png", png(np.zeros((40, 50), np.uint8)), 2000),
        ("a.png", png(np.zeros((10, 20, 3), np.uint8)), 600),
        ("a.nii", nifti((4, 5, 6), packed=False), 120),
        ("a.nii.gz", nifti((4, 5, 6)), 120),
    ],
    ids=["grey", "colour", "volume", "packed volume"],  # the packed one holds the time
)
def test_an_image_of_just_so_many_values_is_read(tmp_path, name, data, values):
    (tmp_path / name).write_bytes(data)
    with limit_values(values):
        assert read_image(tmp_path / name).array.size in (values, values // 3)
    with limit_values(values - 1), pytest.raises(TooLargeError, match=f"at most {values - 1:,}"):
        read_image(tmp_path / name)


def test_no_memory_is_taken_for_a_picture_of_200_megapixels(tmp_path):
    (tmp_path / "a.png").write_bytes(huge_png(20_000, 10_000))
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        read_image(tmp_path / "a.png")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_the_models_grid_counts_too(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti((8, 8, 8), (10.0, 10.0, 10.0), packed=False))
    preprocessing = Preprocessing(
        spatial_dims=3, channels=1, roi_size=(8, 8, 8), spacing_mm=(1.0, 1.0, 1.0)
    )
    with limit_values(80**3):
        preprocess_image(read_image(tmp_path / "a.nii"), preprocessing)
    with limit_values(80**3 - 1), pytest.raises(TooLargeError, match=r"1x80x80x80 .* model's grid"):
        preprocess_image(read_image(tmp_path / "a.nii"), preprocessing)


def test_the_limit_holds_in_its_own_thread_only(tmp_path):
    done = []

    def elsewhere():
        check_values(tmp_path, (1000,))
        done.append(True)

    with limit_values(1):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert done
    check_values(tmp_path, (1000,))


def test_too_large_is_bad_data():
    assert issubclass(TooLargeError, DataError)
    assert TooLargeError.exit_code == 3
