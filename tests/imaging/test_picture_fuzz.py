"""Spoilt pictures end in a result or in one error, whatever bytes are changed."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from lightm_unet.errors import LightMUNetError
from lightm_unet.imaging.image import read_image, read_mask
from lightm_unet.system.memory import forget_peak, peak_bytes
from picture_files import spoilt_pictures, valid_pictures

MOST_BYTES = 2_000_000_000


@pytest.mark.parametrize("name", valid_pictures())
def test_the_files_that_are_spoilt_can_be_read(tmp_path, name):
    (tmp_path / "a.png").write_bytes(valid_pictures()[name])
    assert read_image(tmp_path / "a.png").array.shape[1:] == (19, 23)


def check(folder, capfd, picture):
    _, data = picture
    path = folder / "a.png"
    path.write_bytes(data)
    forget_peak()
    for read in (read_image, read_mask):
        error = ""
        try:
            found = read(path)
        except LightMUNetError as one:
            error = str(one)
        else:
            array = found.array if read is read_image else found[0]
            assert array.size
            assert np.isfinite(array).all()
        assert "\n" not in error
        assert not error or str(path) in error
    assert peak_bytes() < MOST_BYTES
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


fixtures_stay = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@fixtures_stay
@given(picture=spoilt_pictures())
def test_a_spoilt_picture_is_read_or_refused_in_one_line(tmp_path, capfd, picture):
    check(tmp_path, capfd, picture)


@pytest.mark.slow
@settings(fixtures_stay, max_examples=1000)
@given(picture=spoilt_pictures())
def test_a_thousand_spoilt_pictures_are_read_or_refused_in_one_line(tmp_path, capfd, picture):
    check(tmp_path, capfd, picture)
