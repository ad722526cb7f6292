import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.errors import DataError
from lightm_unet.imaging.picture import read_label_picture, read_picture, write_picture

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


def save(array_or_picture, path, **options):
    picture = array_or_picture
    if isinstance(picture, np.ndarray):
        picture = Picture.fromarray(picture)
    picture.save(path, **options)
    return path


def test_grey_values_come_back_as_height_by_width(tmp_path):
    for ending in (".png", ".tif", ".tiff", ".bmp"):
        path = tmp_path / f"a{ending}"
        write_picture(GREY, path)
        np.testing.assert_array_equal(read_picture(path), GREY[None])


def test_sixteen_bits_stay_sixteen_bits(tmp_path):
    deep = GREY.astype(np.uint16) * 250
    path = save(deep, tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(path), deep[None])


def test_colour_becomes_three_channels_and_alpha_is_dropped(tmp_path):
    path = save(COLOUR, tmp_path / "rgb.png")
    np.testing.assert_array_equal(read_picture(path), np.moveaxis(COLOUR, -1, 0))
    alpha = np.concatenate([COLOUR, COLOUR[..., :1]], axis=-1)
    path = save(alpha, tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_picture(path), np.moveaxis(COLOUR, -1, 0))
    path = save(np.stack([GREY, GREY], axis=-1), tmp_path / "la.png")
    np.testing.assert_array_equal(read_picture(path), GREY[None])


def test_a_palette_is_colours_in_an_image_and_indices_in_a_mask(tmp_path):
    palette = Picture.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    palette.putpalette([9, 8, 7, 255, 0, 0, 0, 255, 0])
    path = save(palette, tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(path)[:, 0, 0], [9, 8, 7])
    np.testing.assert_array_equal(read_label_picture(path), [[0, 1], [2, 1]])


def test_a_mask_in_three_equal_channels_is_read_and_a_coloured_one_refused(tmp_path):
    path = save(np.stack([GREY] * 3, axis=-1), tmp_path / "grey.png")
    np.testing.assert_array_equal(read_label_picture(path), GREY)
    path = save(COLOUR, tmp_path / "colour.png")
    with pytest.raises(DataError, match="a colour picture"):
        read_label_picture(path)


def test_every_flipped_bit_in_a_png_is_found(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    path = save(noise, tmp_path / "a.png")
    good = path.read_bytes()
    for offset in range(20, len(good) - 12, 17):
        bad = bytearray(good)
        bad[offset] ^= 0x04
        path.write_bytes(bytes(bad))
        with pytest.raises(DataError, match="broken picture"):
            read_picture(path)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".bmp"])
def test_a_picture_cut_short_is_a_data_error(tmp_path, ending):
    path = save(np.tile(GREY, (8, 8)), tmp_path / f"a{ending}")
    data = path.read_bytes()
    for kept in (0, 4, len(data) // 2):
        path.write_bytes(data[:kept])
        with pytest.raises(DataError):
            read_picture(path)


def test_text_under_a_picture_name_is_a_data_error(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(DataError, match="no known picture format"):
        read_picture(tmp_path / "a.png")


def test_several_frames_are_a_data_error(tmp_path):
    frames = [Picture.fromarray(GREY), Picture.fromarray(GREY + 1)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="2 frames"):
        read_picture(tmp_path / "a.tif")
