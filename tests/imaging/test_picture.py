import numpy as np
import png
import pytest
import tifffile
from hypothesis import given
from hypothesis.extra.numpy import arrays
from PIL import Image as Picture

from lightm_unet.errors import DataError
from lightm_unet.imaging.picture import (
    read_label_colours,
    read_label_palette,
    read_label_picture,
    read_picture,
    write_picture,
)
from lightm_unet.system.logs import forget_remarks
from strategies import shapes

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


def read_and_listen(path, listen, **options):
    lines = []
    forget_remarks()
    with listen(lines.append):
        array = read_picture(path, **options)
    return array, lines


def test_colour_becomes_three_channels(tmp_path):
    path = save(COLOUR, tmp_path / "rgb.png")
    np.testing.assert_array_equal(read_picture(path), np.moveaxis(COLOUR, -1, 0))


def test_the_opacity_of_an_image_is_left_out_and_one_line_says_so(tmp_path, listen):
    opaque = np.full_like(GREY, 255)
    for colours in (COLOUR, GREY[..., None]):
        for opacity in (opaque, GREY):
            path = save(np.concatenate([colours, opacity[..., None]], axis=-1), tmp_path / "a.png")
            array, lines = read_and_listen(path, listen)
            np.testing.assert_array_equal(array, np.moveaxis(colours, -1, 0))
            assert len(lines) == (opacity is not opaque)
            assert all("partly transparent" in line for line in lines)


def test_a_picture_that_lies_in_its_opacity_is_refused(tmp_path):
    path = save(np.stack([GREY * 0, GREY * 0, GREY * 0, GREY], axis=-1), tmp_path / "a.png")
    with pytest.raises(DataError, match="lies in its opacity alone"):
        read_picture(path)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_labels_with_transparent_pixels_are_refused_and_opaque_ones_read(tmp_path, mode):
    labels = np.array([[0, 1], [2, 1]], np.uint8)
    for opacity, refused in ((255, False), (254, True), (0, True)):
        alpha = np.where(labels == 1, opacity, 255).astype(np.uint8)
        if mode == "P":
            picture = Picture.fromarray(labels).convert("P")
            picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
            picture.save(tmp_path / "a.png", transparency=bytes([255, opacity, 255]))
        else:
            colours = [labels] * (1 if mode == "LA" else 3)
            save(np.stack([*colours, alpha], axis=-1), tmp_path / "a.png")
        if refused:
            with pytest.raises(DataError, match="transparent pixels"):
                read_label_picture(tmp_path / "a.png")
        else:
            np.testing.assert_array_equal(read_label_picture(tmp_path / "a.png"), labels)


def paletted(indices, colours, path):
    picture = Picture.fromarray(np.array(indices, np.uint8)).convert("P")
    picture.putpalette([value for colour in colours for value in colour])
    return save(picture, path)


def test_a_coloured_palette_is_colours_in_an_image_and_indices_in_a_mask(tmp_path):
    for ending in (".png", ".tif", ".bmp"):
        indices = [[0, 1], [2, 1]]
        path = paletted(indices, [(9, 8, 7), (255, 0, 0), (0, 255, 0)], tmp_path / f"a{ending}")
        np.testing.assert_array_equal(read_picture(path)[:, 0, 0], [9, 8, 7])
        np.testing.assert_array_equal(read_label_picture(path), indices)


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_a_grey_picture_with_a_palette_is_the_grey_picture(tmp_path, ending):
    generator = np.random.default_rng(0)
    order = generator.permutation(256)  # the index of a grey says nothing
    grey = generator.integers(0, 256, (20, 20))
    colours = [(value,) * 3 for value in np.argsort(order).tolist()]
    path = paletted(order[grey], colours, tmp_path / f"a{ending}")
    np.testing.assert_array_equal(read_picture(path), grey[None])
    np.testing.assert_array_equal(read_label_picture(path), grey)


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("colours", [[(0,) * 3, (255,) * 3], [(255,) * 3, (0,) * 3]])
def test_a_palette_of_black_and_white_gives_0_and_1(tmp_path, ending, colours):
    white = np.eye(6, dtype=bool)
    indices = white if colours[0] == (0, 0, 0) else ~white
    path = paletted(indices, colours, tmp_path / f"a{ending}")
    np.testing.assert_array_equal(read_label_picture(path), white)
    np.testing.assert_array_equal(read_picture(path), 255 * white[None])


def test_greys_of_a_coloured_palette_are_no_labels(tmp_path):
    """Index and grey level would both be a label; a mask of black alone is 0 either way."""
    colours = [(0, 0, 0), (255, 0, 0), (128, 128, 128)]
    path = paletted([[0, 2]], colours, tmp_path / "a.png")
    with pytest.raises(DataError, match="coloured palette of which the pixels use greys only"):
        read_label_picture(path)
    path = paletted([[0, 0]], colours, tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_picture(path), [[0, 0]])
    path = paletted([[0, 1, 2]], colours, tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_picture(path), [[0, 1, 2]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("samples", [3, 4])
def test_grey_stored_in_colour_is_grey_for_one_channel(tmp_path, listen, samples, dtype):
    grey = GREY.astype(dtype) * (1 if dtype == np.uint8 else 250)
    channels = [grey] * 3 + [np.full_like(grey, np.iinfo(dtype).max)] * (samples - 3)
    for ending in (".png", ".tif"):
        path, array = tmp_path / f"a{ending}", np.stack(channels, axis=-1)
        if ending == ".png":
            writer = png.Writer(
                4, 3, greyscale=False, alpha=samples == 4, bitdepth=grey.itemsize * 8
            )
            with path.open("wb") as file:
                writer.write(file, array.reshape(3, -1).tolist())
        else:
            tifffile.imwrite(path, array, photometric="rgb")
        found, lines = read_and_listen(path, listen, channels=1)
        np.testing.assert_array_equal(found, grey[None])
        assert len(lines) == 1
        assert "three equal channels; read as grey" in lines[0]
        assert read_picture(path).shape == (3, 3, 4)
        np.testing.assert_array_equal(read_label_picture(path), grey)


def test_colours_are_no_grey_and_the_remedy_is_named(tmp_path):
    with pytest.raises(DataError, match="convert it to grey"):
        read_picture(save(COLOUR, tmp_path / "a.png"), channels=1)


def test_a_remark_is_made_once_for_a_folder_in_each_run(tmp_path, listen):
    lines = []
    for name in ("a", "b"):
        exif = Picture.Exif()
        exif[274] = 6
        save(GREY, tmp_path / f"{name}.png", exif=exif)
    forget_remarks()
    with listen(lines.append):
        for name in ("a", "b"):
            read_picture(tmp_path / f"{name}.png")
        assert len(lines) == 1
        assert "a.png: has a note to show it turned or mirrored (orientation 6)" in lines[0]
        forget_remarks()
        read_label_picture(tmp_path / "b.png")
    assert len(lines) == 2


def test_whole_numbers_that_float32_would_round_are_refused_in_images_only(tmp_path):
    array = np.array([[0, 2**24 + 2, 2**24 + 1]], np.uint32)
    tifffile.imwrite(tmp_path / "a.tif", array[:, :2])
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif")[0], array[:, :2])
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(DataError, match="levels from -16777216 to 16777216"):
        read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.tif"), array)


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".bmp"])
@given(labels=arrays(np.uint8, shapes(2)))
def test_written_labels_are_read_back_equal(tmp_path_factory, ending, labels):
    path = tmp_path_factory.getbasetemp() / f"written{ending}"
    write_picture(labels, path)
    np.testing.assert_array_equal(read_label_picture(path), labels)
    np.testing.assert_array_equal(read_picture(path), labels[None])


def test_the_content_and_not_the_name_says_what_a_file_is(tmp_path):
    picture = Picture.fromarray(GREY)
    for kind in ("PNG", "TIFF", "BMP"):
        picture.save(tmp_path / "a.jpg", kind)
        np.testing.assert_array_equal(read_label_picture(tmp_path / "a.jpg"), GREY)
    for kind, found in (("GIF", "a GIF"), ("WEBP", "a WebP"), ("JPEG2000", "a JPEG 2000 file")):
        picture.save(tmp_path / "a.png", kind)
        with pytest.raises(DataError, match=f"{found}.*convert it to PNG"):
            read_picture(tmp_path / "a.png")


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


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_label_colours_are_the_levels_or_those_of_the_palette(tmp_path, ending):
    path = save(GREY, tmp_path / f"grey{ending}")
    np.testing.assert_array_equal(read_label_colours(path), GREY[None])
    assert read_label_palette(path) is None
    path = save(COLOUR, tmp_path / f"colour{ending}")
    np.testing.assert_array_equal(read_label_colours(path), np.moveaxis(COLOUR, -1, 0))
    colours = [(0, 0, 0), (255, 0, 0), (0, 255, 0)]
    path = paletted([[0, 2]], colours, tmp_path / f"palette{ending}")
    np.testing.assert_array_equal(read_label_colours(path)[:, 0].T, [colours[0], colours[2]])
    palette, used = read_label_palette(path)
    np.testing.assert_array_equal(palette[:3], colours)
    assert used == (0, 2)


def test_label_colours_are_refused_where_labels_are(tmp_path):
    rgba = np.stack([GREY, GREY, GREY, GREY], axis=-1)
    Picture.fromarray(GREY).save(tmp_path / "jpeg.png", "JPEG")
    tifffile.imwrite(tmp_path / "white.tif", GREY, photometric="miniswhite")
    for path, message in (
        (save(rgba, tmp_path / "a.png"), "transparent pixels"),
        (tmp_path / "jpeg.png", "JPEG compression"),
        (tmp_path / "white.tif", "white is 0"),
    ):
        with pytest.raises(DataError, match=message):
            read_label_colours(path)
