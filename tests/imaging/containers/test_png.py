"""PNGs of every kind, written by pypng from known samples."""

import io
import struct
import zlib

import numpy as np
import png
import pytest
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers.read import read_stored
from lightm_unet.imaging.picture import read_label_picture, read_picture

SHAPE = (11, 13)
GREY, RGB, GREY_ALPHA, RGB_ALPHA = 1, 3, 2, 4


def noise(bits, samples, shape=SHAPE):
    generator = np.random.default_rng(bits * 10 + samples)
    array = generator.integers(0, 2**bits, (*shape, samples), dtype=np.uint16)
    array.flat[0], array.flat[samples] = 0, 2**bits - 1
    return array


def save(path, array, bits, **options):
    height, width, samples = array.shape
    writer = png.Writer(
        width,
        height,
        greyscale=samples in (GREY, GREY_ALPHA) and "palette" not in options,
        alpha=samples in (GREY_ALPHA, RGB_ALPHA),
        bitdepth=bits,
        **options,
    )
    with path.open("wb") as file:
        if options.get("interlace"):
            writer.write_array(file, array.ravel().tolist())
        else:
            writer.write(file, array.reshape(height, -1).tolist())
    return path


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunk(path, kind, content):
    """Put a chunk behind the header."""
    data = path.read_bytes()
    path.write_bytes(data[:33] + chunk(kind, content) + data[33:])


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize(
    ("bits", "samples"),
    [(bits, GREY) for bits in (1, 2, 4, 8, 16)]
    + [(bits, samples) for bits in (8, 16) for samples in (RGB, GREY_ALPHA, RGB_ALPHA)],
)
def test_every_level_is_kept(tmp_path, bits, samples, interlace):
    array = noise(bits, samples)
    path = save(tmp_path / "a.png", array, bits, interlace=interlace)
    stored = read_stored(path)
    colours = samples - (samples in (GREY_ALPHA, RGB_ALPHA))
    assert stored.samples.dtype == (np.uint16 if bits == 16 else np.uint8)
    np.testing.assert_array_equal(stored.samples, array[..., :colours])
    if colours < samples:
        np.testing.assert_array_equal(stored.alpha, array[..., -1])
    else:
        assert stored.alpha is None
    assert not stored.unfit_for_labels


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 1), (2, 2), (8, 8), (9, 17)])
@pytest.mark.parametrize("bits", [1, 8, 16])
def test_interlaced_pictures_of_any_size_are_read(tmp_path, size, bits):
    array = noise(bits, GREY, size) if size != (1, 1) else np.ones((1, 1, 1), np.uint16)
    path = save(tmp_path / "a.png", array, bits, interlace=True)
    np.testing.assert_array_equal(read_stored(path).samples, array)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_keeps_its_indices_and_colours(tmp_path, bits):
    indices = noise(bits, GREY)
    palette = np.random.default_rng(0).integers(0, 256, (2**bits, 3), dtype=np.uint8)
    path = save(tmp_path / "a.png", indices, bits, palette=[tuple(row) for row in palette.tolist()])
    stored = read_stored(path)
    np.testing.assert_array_equal(stored.samples, indices)
    np.testing.assert_array_equal(stored.palette, palette)
    np.testing.assert_array_equal(read_picture(path), np.moveaxis(palette[indices[..., 0]], -1, 0))
    np.testing.assert_array_equal(read_label_picture(path), indices[..., 0])


@pytest.mark.parametrize("samples", [GREY_ALPHA, RGB_ALPHA])
@pytest.mark.parametrize("bits", [8, 16])
def test_full_opacity_is_none(tmp_path, bits, samples):
    array = noise(bits, samples)
    array[..., -1] = 2**bits - 1
    assert read_stored(save(tmp_path / "a.png", array, bits)).alpha is None


@pytest.mark.parametrize(("bits", "key"), [(1, 1), (2, 3), (4, 9), (8, 200), (16, 40_000)])
def test_a_transparent_level_counts_only_where_it_occurs(tmp_path, bits, key):
    array = np.zeros((*SHAPE, 1), np.uint16)
    path = save(tmp_path / "a.png", array, bits, transparent=key)
    assert read_stored(path).alpha is None
    array[2, 3] = key
    path = save(tmp_path / "a.png", array, bits, transparent=key)
    assert not read_stored(path).alpha[2, 3]
    assert read_stored(path).alpha.sum() == array.size - 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_counts_only_where_all_three_channels_are_it(tmp_path, bits):
    array = np.zeros((*SHAPE, 3), np.uint16)
    array[0, 0] = (1, 2, 99)
    path = save(tmp_path / "a.png", array, bits, transparent=(1, 2, 3))
    assert read_stored(path).alpha is None
    array[0, 0] = (1, 2, 3)
    path = save(tmp_path / "a.png", array, bits, transparent=(1, 2, 3))
    assert not read_stored(path).alpha[0, 0]


def test_transparent_entries_of_a_palette_count_only_where_a_pixel_uses_them(tmp_path):
    palette = [(0, 0, 0, 255), (255, 0, 0, 255), (0, 255, 0, 10)]
    array = np.zeros((*SHAPE, 1), np.uint16)
    path = save(tmp_path / "a.png", array, 2, palette=palette)
    assert read_stored(path).alpha is None
    array[1, 1] = 2
    path = save(tmp_path / "a.png", array, 2, palette=palette)
    assert read_stored(path).alpha[1, 1] == 10


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["exif", "xmp"])
def test_a_note_on_orientation_is_told_and_not_followed(tmp_path, orientation, kind):
    array, path = noise(8, GREY)[..., 0].astype(np.uint8), tmp_path / "a.png"
    if kind == "exif":
        exif = Picture.Exif()
        exif[274] = orientation
        Picture.fromarray(array).save(path, exif=exif)
    else:
        info = PngInfo()
        xmp = (
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="{orientation}"/></x:xmpmeta>'
        )
        info.add_itxt("XML:com.adobe.xmp", xmp)
        Picture.fromarray(array).save(path, pnginfo=info)
    stored = read_stored(path)
    assert stored.orientation == orientation
    np.testing.assert_array_equal(stored.samples[..., 0], array)


def test_an_animation_is_refused_and_one_of_a_single_frame_read(tmp_path):
    frames = [Picture.fromarray(np.full(SHAPE, value, np.uint8)) for value in (1, 2, 3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="an animation of 3 frames"):
        read_stored(tmp_path / "a.png")
    path = save(tmp_path / "b.png", noise(8, GREY), 8)
    with_chunk(path, b"acTL", struct.pack(">II", 1, 0))
    assert read_stored(path).samples.shape == (*SHAPE, 1)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("rows", [10, 12])
def test_pixel_data_for_another_height_than_the_headers_are_refused(tmp_path, bits, rows):
    path = save(tmp_path / "a.png", noise(bits, RGB), bits)
    data = bytearray(path.read_bytes())
    data[20:24] = struct.pack(">I", rows)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    with pytest.raises(DataError, match="not as large as the header says"):
        read_stored(path)


@pytest.mark.parametrize("bits", [8, 16])
def test_pixel_data_that_inflate_without_end_are_refused_at_once(tmp_path, bits):
    path = tmp_path / "a.png"
    header = struct.pack(">IIBBBBB", 5, 5, bits, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
    with pytest.raises(DataError, match="not as large as the header says"):
        read_stored(path)


@pytest.mark.parametrize("size", [(20_000, 10_000), (2**31 - 1, 2**31 - 1), (0, 5)])
def test_a_size_out_of_bounds_is_refused_before_memory_is_taken(tmp_path, size):
    buffer = io.BytesIO()
    Picture.fromarray(np.zeros((2, 2), np.uint8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", *size)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match=f"{size[0]}x{size[1]} pixels"):
        read_stored(tmp_path / "a.png")


def test_an_index_beyond_the_palette_is_refused(tmp_path):
    path = save(tmp_path / "a.png", np.full((*SHAPE, 1), 3), 2, palette=[(0, 0, 0), (9, 0, 0)])
    for read in (read_picture, read_label_picture):
        with pytest.raises(DataError, match="palette index 3; expected 0 to 1"):
            read(path)
