"""TIFFs of every kind, written by tifffile (with imagecodecs) from known samples."""

import itertools
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from lightm_unet.errors import DataError
from lightm_unet.imaging.containers.read import read_stored
from lightm_unet.imaging.picture import read_label_picture, read_picture

SHAPE = (37, 45)
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")


def noise(dtype, samples=1, shape=SHAPE):
    generator = np.random.default_rng(samples)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (generator.normal(0, 100, (*shape, samples))).astype(dtype)
    low, high = max(np.iinfo(dtype).min, -(2**24)), min(np.iinfo(dtype).max, 2**24)
    return generator.integers(low, high, (*shape, samples), endpoint=True).astype(dtype)


def save(path, array, planar=False, **options):
    samples = array.shape[2]
    options.setdefault("photometric", "rgb" if samples > 2 else "minisblack")
    if samples in (2, 4):
        options.setdefault("extrasamples", ["unassalpha"])
    if planar and samples > 1:
        array, options["planarconfig"] = np.moveaxis(array, 2, 0), "separate"
    elif samples == 1:
        array = array[..., 0]
    else:
        options["planarconfig"] = "contig"
    tifffile.imwrite(path, array, metadata=None, **options)
    return path


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_level_is_kept(tmp_path, dtype, samples, planar, byteorder):
    array = noise(dtype, samples)
    stored = read_stored(save(tmp_path / "a.tif", array, planar, byteorder=byteorder))
    colours = samples - (samples in (2, 4))
    assert stored.samples.dtype == dtype
    np.testing.assert_array_equal(stored.samples, array[..., :colours])
    if samples in (2, 4):
        np.testing.assert_array_equal(stored.alpha, array[..., -1])


LAYOUTS = {"strip": {}, "strips": {"rowsperstrip": 5}, "tiles": {"tile": (16, 32)}}
PACKED = [
    (packed, predictor)
    for packed in ("none", "lzw", "zlib", "adobe_deflate", "packbits")
    for predictor in ((False, True) if packed in ("lzw", "zlib", "adobe_deflate") else (False,))
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("packed", "predictor"), PACKED)
def test_every_packing_and_layout_is_undone(tmp_path, packed, predictor, layout):
    kinds = itertools.product(
        ("uint8", "uint16", "float32", "float64"), (1, 3), "<>", (False, True)
    )
    for dtype, samples, byteorder, planar in kinds:
        array = noise(dtype, samples)
        options = {"compression": packed, "predictor": predictor, "byteorder": byteorder}
        path = save(tmp_path / "a.tif", array, planar, **options, **LAYOUTS[layout])
        np.testing.assert_array_equal(read_stored(path).samples, array)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bits", range(1, 17))
def test_odd_depths_are_read_as_they_are_stored(tmp_path, bits, byteorder):
    array = np.random.default_rng(0).integers(0, 2**bits, SHAPE)
    path = write_by_hand(tmp_path / "a.tif", array, bits, byteorder)
    np.testing.assert_array_equal(read_stored(path).samples[..., 0], array)
    np.testing.assert_array_equal(tifffile.imread(path), array)


def write_by_hand(path, array, bits, byteorder="<", **more):
    """A grey TIFF with one strip; `more` adds or replaces tags."""
    height, width = array.shape
    if bits in (8, 16):
        data = array.astype(f"{byteorder}u{bits // 8}").tobytes()
    else:
        every = array[..., None] >> np.arange(bits)[::-1] & 1
        data = np.packbits(every.astype(np.uint8).reshape(height, -1), axis=1).tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    tags |= {279: len(data)} | {int(tag[1:]): value for tag, value in more.items()}
    padded = data + b"\0" * (len(data) % 2)
    entries = b"".join(
        struct.pack(byteorder + "HHII", tag, 4, 1, value) for tag, value in sorted(tags.items())
    )
    head = {"<": b"II", ">": b"MM"}[byteorder] + struct.pack(byteorder + "HI", 42, 8 + len(padded))
    count = struct.pack(byteorder + "H", len(tags))
    path.write_bytes(head + padded + count + entries + bytes(4))
    return path


def test_a_bigtiff_is_read(tmp_path):
    for byteorder in "<>":
        array = noise("uint16", 3)
        path = save(tmp_path / "a.tif", array, bigtiff=True, byteorder=byteorder)
        np.testing.assert_array_equal(read_stored(path).samples, array)


@pytest.mark.parametrize("packed", ["none", "lzw"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_where_white_is_zero_an_image_is_as_shown_and_labels_are_as_stored(tmp_path, dtype, packed):
    array = noise(dtype)
    path = save(tmp_path / "a.tif", array, photometric="miniswhite", compression=packed)
    np.testing.assert_array_equal(read_picture(path)[0], np.iinfo(dtype).max - array[..., 0])
    np.testing.assert_array_equal(read_label_picture(path), array[..., 0])


def test_one_bit_with_white_at_zero_follows_the_same_rule(tmp_path):
    """tifffile writes a mask of booleans so."""
    array = np.random.default_rng(0).integers(0, 2, SHAPE)
    tifffile.imwrite(tmp_path / "a.tif", array.astype(bool))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif")[0], 1 - array)
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.tif"), array)


def test_a_fax_is_shown_as_an_image_and_refused_as_labels_where_white_is_zero(tmp_path):
    array = np.random.default_rng(0).integers(0, 2, SHAPE)
    path = tmp_path / "a.tif"
    Picture.fromarray(array.astype(bool)).save(path, compression="group4")
    np.testing.assert_array_equal(read_picture(path)[0], array)
    np.testing.assert_array_equal(read_label_picture(path), array)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        data[file.pages[0].tags[262].valueoffset] = 0
    path.write_bytes(data)
    np.testing.assert_array_equal(read_picture(path)[0], 1 - array)
    with pytest.raises(DataError, match="white at 0 in a fax"):
        read_label_picture(path)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_white_at_zero_means_nothing_for_signed_levels(tmp_path, dtype):
    path = save(tmp_path / "a.tif", noise(dtype), photometric="miniswhite")
    with pytest.raises(DataError, match="white is 0"):
        read_stored(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("packed", ["none", "lzw", "jpeg", "group4", "group3"])
def test_the_orientation_is_told_and_not_followed(tmp_path, orientation, packed):
    array = np.random.default_rng(0).integers(0, 2, SHAPE).astype(bool)
    picture = Picture.fromarray(array if packed.startswith("group") else array * np.uint8(255))
    compression = {"none": None, "jpeg": "jpeg"}.get(
        packed, f"tiff_{packed}" if packed == "lzw" else packed
    )
    picture.save(tmp_path / "a.tif", compression=compression, tiffinfo={274: orientation})
    stored = read_stored(tmp_path / "a.tif")
    assert stored.orientation == orientation
    assert stored.samples.shape == (*SHAPE, 1)
    np.testing.assert_array_equal(stored.samples[..., 0] > stored.samples.max() / 2, array)


@pytest.mark.parametrize(("step", "packed"), [(257, "none"), (256, "none"), (257, "lzw")])
def test_a_palette_keeps_its_indices_and_colours(tmp_path, step, packed):
    generator = np.random.default_rng(0)
    indices, palette = generator.integers(0, 256, SHAPE), generator.integers(0, 256, (3, 256))
    tifffile.imwrite(
        tmp_path / "a.tif",
        indices.astype(np.uint8),
        photometric="palette",
        colormap=(palette * step).astype(np.uint16),
        compression=packed,
    )
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), palette[:, indices])
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.tif"), indices)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_within_tiff_is_a_lossy_picture(tmp_path, mode):
    smooth = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    array = smooth if mode == "L" else np.stack([smooth, smooth[::-1], smooth[:, ::-1]], -1)
    Picture.fromarray(array).save(tmp_path / "a.tif", compression="jpeg", quality=95)
    stored = read_stored(tmp_path / "a.tif")
    expected = tifffile.imread(tmp_path / "a.tif").reshape(stored.samples.shape).astype(int)
    assert abs(stored.samples.astype(int) - expected).max() <= 1
    with pytest.raises(
        DataError, match="JPEG compression within the TIFF, which changes label values"
    ):
        read_label_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr", "minisblack"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (32, 32)}])
def test_jpeg_strips_and_tiles_are_put_together(tmp_path, photometric, layout):
    array = np.add.outer(np.arange(50), np.arange(70)).astype(np.uint8)
    if photometric != "minisblack":
        array = np.stack([array, array[::-1], array[:, ::-1]], -1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric=photometric, compression="jpeg", **layout)
    expected = tifffile.imread(path).reshape(*array.shape[:2], -1).astype(int)
    assert abs(read_stored(path).samples.astype(int) - expected).max() <= 1


REFUSED = {
    "CMYK": dict(data=noise("uint8", 4), photometric="separated", found="a TIFF in CMYK"),
    "five channels": dict(data=noise("uint8", 5), photometric="minisblack", found="5 samples"),
    "three grey": dict(data=noise("uint8", 3), photometric="minisblack", found="3 samples"),
    "two pages": dict(data=noise("uint8", 2).T, photometric="minisblack", found="2 frames"),
    "zstd": dict(data=noise("uint8")[..., 0], compression="zstd", found="ZSTD"),
    "JPEG 2000": dict(data=noise("uint8")[..., 0], compression="jpeg2000", found="packed by"),
    "complex": dict(data=noise("float32")[..., 0].astype(complex), found="sample format 6"),
    "64 bits": dict(data=noise("uint32")[..., 0].astype(np.uint64), found="samples of 64 bits"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_kept_is_refused_by_name(tmp_path, kind):
    options = dict(REFUSED[kind])
    data, found = options.pop("data"), options.pop("found")
    if kind in ("CMYK", "five channels", "three grey"):
        options["planarconfig"] = "contig"
    tifffile.imwrite(tmp_path / "a.tif", data, metadata=None, **options)
    with pytest.raises(DataError, match=found):
        read_stored(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{"imagej": True}, {"metadata": {"axes": "ZYX"}}])
def test_a_series_behind_one_page_is_refused(tmp_path, options):
    series = np.zeros((3, *SHAPE), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", series, photometric="minisblack", **options)
    with pytest.raises(DataError, match="3 frames"):
        read_stored(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", series, truncate=True, photometric="minisblack")
    with pytest.raises(DataError, match="frames"):
        read_stored(tmp_path / "b.tif")


@pytest.mark.parametrize("packed", ["none", "lzw", "zlib", "packbits"])
def test_every_file_cut_short_is_refused(tmp_path, packed):
    path = save(tmp_path / "a.tif", noise("uint8"), compression=packed, rowsperstrip=8)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        last = page.dataoffsets[-1] + page.databytecounts[-1]
    data = path.read_bytes()
    for kept in (0, 4, 7, 100, last // 2, last - 1):
        path.write_bytes(data[:kept])
        with pytest.raises(DataError):
            read_stored(path)


@pytest.mark.parametrize("packed", ["none", "lzw", "zlib"])
def test_a_size_out_of_bounds_is_refused_before_memory_is_taken(tmp_path, packed):
    path = save(tmp_path / "a.tif", noise("uint8"), compression=packed)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
    for tag in (256, 257, 278):
        data[tags[tag].valueoffset : tags[tag].valueoffset + 4] = struct.pack("<I", 40_000)
    path.write_bytes(data)
    with pytest.raises(DataError):
        read_stored(path)


def test_samples_that_share_an_odd_depth_are_refused(tmp_path):
    path = write_by_hand(tmp_path / "a.tif", np.zeros(SHAPE, np.uint8), 8, t258=24)
    with pytest.raises(DataError, match="samples of 24 bits"):
        read_stored(path)


def test_reversed_bits_and_misplaced_predictors_are_refused(tmp_path):
    for tag, value in (("t266", 2), ("t317", 2), ("t317", 9)):
        path = write_by_hand(tmp_path / "a.tif", np.zeros(SHAPE, np.uint8), 8, **{tag: value})
        with pytest.raises(DataError, match=r"fill order \d and predictor \d"):
            read_stored(path)
