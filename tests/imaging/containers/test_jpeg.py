"""JPEGs: grey and colour, compared with imagecodecs' decoder."""

import imagecodecs
import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers.read import read_stored
from lightm_unet.imaging.picture import read_label_picture, read_picture

GREY = np.add.outer(np.arange(48), np.arange(64) * 2).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("array", [GREY, COLOUR], ids=["grey", "colour"])
def test_another_decoder_finds_the_same_levels(tmp_path, array, options):
    Picture.fromarray(array).save(tmp_path / "a.jpg", quality=90, **options)
    stored = read_stored(tmp_path / "a.jpg")
    expected = imagecodecs.jpeg8_decode((tmp_path / "a.jpg").read_bytes())
    difference = stored.samples.astype(int) - expected.reshape(stored.samples.shape)
    assert abs(difference).max() <= 1  # the standard leaves so much open
    with pytest.raises(DataError, match="JPEG compression, which changes label values"):
        read_label_picture(tmp_path / "a.jpg")


def test_grey_stored_in_colour_has_three_equal_channels(tmp_path):
    Picture.fromarray(np.stack([GREY] * 3, axis=-1)).save(tmp_path / "a.jpg", quality=60)
    assert read_picture(tmp_path / "a.jpg", channels=1).shape == (1, *GREY.shape)


def test_cmyk_and_twelve_bits_are_refused(tmp_path):
    Picture.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="a JPEG in CMYK"):
        read_stored(tmp_path / "a.jpg")
    deep = imagecodecs.jpeg_encode(GREY.astype(np.uint16) * 8, bitspersample=12)
    (tmp_path / "b.jpg").write_bytes(deep)
    with pytest.raises(DataError):
        read_stored(tmp_path / "b.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_told_and_not_followed(tmp_path, orientation):
    exif = Picture.Exif()
    exif[274] = orientation
    Picture.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif)
    stored = read_stored(tmp_path / "a.jpg")
    assert stored.orientation == orientation
    assert stored.samples.shape == (*GREY.shape, 1)


@pytest.mark.parametrize("name", ["a.jpg", "a.mpo", "a.png"])
def test_of_several_pictures_the_first_is_read(tmp_path, name, listen):
    path = tmp_path / name
    frames = [Picture.fromarray(COLOUR), Picture.fromarray(255 - COLOUR)]
    frames[0].save(path, "MPO", save_all=True, append_images=frames[1:], quality=95)
    lines = []
    with listen(lines.append):
        read = read_picture(path).astype(int)
    assert abs(read - np.moveaxis(COLOUR, -1, 0)).mean() < 3
    assert len(lines) == 1
    assert "holds 2 pictures; the first one is read" in lines[0]
    with pytest.raises(DataError, match="JPEG compression"):
        read_label_picture(path)


def test_a_file_cut_short_is_refused(tmp_path):
    Picture.fromarray(COLOUR).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    for kept in (3, 10, 200, len(data) // 2, len(data) - 20):
        (tmp_path / "a.jpg").write_bytes(data[:kept])
        with pytest.raises(DataError):
            read_stored(tmp_path / "a.jpg")
