"""BMPs of every depth, written by hand from known samples."""

import struct

import numpy as np
import pytest

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers.read import read_stored
from lightm_unet.imaging.picture import read_label_picture, read_picture

SHAPE = (5, 7)


def save(path, array, bits, palette=None, top_down=False, os2=False):
    """`array` holds indices `(height, width)`, or red, green, blue (and one more) behind."""
    height, width = array.shape[:2]
    if array.ndim == 3:
        rows = array[..., [2, 1, 0, 3][: array.shape[2]]].reshape(height, -1).astype(np.uint8)
    else:
        every = array[..., None] >> np.arange(bits)[::-1] & 1
        rows = np.packbits(every.astype(np.uint8).reshape(height, -1), axis=1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    data = (rows if top_down else rows[::-1]).tobytes()
    colours = (
        b""
        if palette is None
        else b"".join(bytes([b, g, r] + ([] if os2 else [0])) for r, g, b in palette)
    )
    if os2:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        signed = -height if top_down else height
        counts = (0, 0) if palette is None else (len(palette), 0)
        header = struct.pack("<IiiHHIIii", 40, width, signed, 1, bits, 0, len(data), 0, 0)
        header += struct.pack("<II", *counts)
    start = 14 + len(header) + len(colours)
    path.write_bytes(
        b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + colours + data
    )
    return path


@pytest.mark.parametrize(("top_down", "os2"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_palette_keeps_its_indices_and_colours(tmp_path, bits, top_down, os2):
    generator = np.random.default_rng(bits)
    indices = generator.integers(0, 2**bits, SHAPE)
    palette = generator.integers(0, 256, (2**bits, 3))
    path = save(tmp_path / "a.bmp", indices, bits, palette.tolist(), top_down, os2)
    np.testing.assert_array_equal(read_picture(path), np.moveaxis(palette[indices], -1, 0))
    np.testing.assert_array_equal(read_label_picture(path), indices)


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("order", [1, -1])
def test_a_palette_of_greys_gives_grey(tmp_path, bits, order):
    indices = np.random.default_rng(bits).integers(0, 2**bits, SHAPE)
    greys = np.linspace(0, 255, 2**bits).astype(int)[::order]
    palette = [(grey, grey, grey) for grey in greys.tolist()]
    path = save(tmp_path / "a.bmp", indices, bits, palette)
    np.testing.assert_array_equal(read_picture(path), greys[indices][None])
    expected = greys[indices] // 255 if bits == 1 else greys[indices]
    np.testing.assert_array_equal(read_label_picture(path), expected)


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("entries", [1, 2, 16])
def test_a_palette_may_have_fewer_entries_than_there_are_indices(tmp_path, bits, entries):
    entries = min(entries, 2**bits)
    for greys in (np.arange(entries), np.array([0, 255] * 8)[:entries]):
        indices = np.random.default_rng(bits).integers(0, entries, SHAPE)
        palette = [(grey, grey, grey) for grey in greys.tolist()]
        path = save(tmp_path / "a.bmp", indices, bits, palette)
        np.testing.assert_array_equal(read_picture(path), greys[indices][None])


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("samples", [3, 4])
def test_colours_are_kept_and_the_fourth_byte_passed_over(tmp_path, samples, top_down):
    array = np.random.default_rng(0).integers(0, 256, (*SHAPE, samples))
    path = save(tmp_path / "a.bmp", array, 8 * samples, top_down=top_down)
    stored = read_stored(path)
    np.testing.assert_array_equal(stored.samples, array[..., :3])


def test_sixteen_bits_for_three_colours_are_refused(tmp_path):
    path = save(tmp_path / "a.bmp", np.zeros(SHAPE, int), 16)
    with pytest.raises(DataError, match="16 bits for red, green and blue"):
        read_stored(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = save(tmp_path / "a.bmp", np.zeros((*SHAPE, 3)), 24)
    data = path.read_bytes()
    for kept in (2, 10, 20, 54, len(data) - 8):
        path.write_bytes(data[:kept])
        with pytest.raises(DataError):
            read_stored(path)
