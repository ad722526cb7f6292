"""The page reads pictures as Python does: the same numbers, the same remarks, the same refusals."""

import io
import struct
import zlib

import numpy as np
import png
import pytest
from PIL import Image as Picture

import browser_page
from browser import needs_chromium
from lightm_unet.errors import DataError
from lightm_unet.imaging.picture import read_picture
from lightm_unet.system.logs import forget_remarks

pytestmark = browser_page.needs_node

RNG = np.random.default_rng(0)
SHAPE = (13, 21)


def outcome_of_python(path, listen, channels):
    lines = []
    forget_remarks()
    try:
        with listen(lines.append):
            return read_picture(path, channels), lines
    except DataError as error:
        return error, lines


def compare(paths, folder, listen, channels=1):
    """Both read the files; whatever one finds, the other must find."""
    folder.mkdir(exist_ok=True)
    assert paths
    for path, seen in zip(paths, browser_page.read(paths, folder, channels), strict=True):
        found, lines = outcome_of_python(path, listen, channels)
        if isinstance(found, DataError):
            assert seen.error is not None, f"{path.name}: only Python refuses it: {found}"
            begins = f"Found {found.found.split(' (')[0]}"
            assert seen.error.startswith(begins), f"{path.name}: {seen.error} / {found}"
            continue
        assert seen.error is None, f"{path.name}: only the page refuses it: {seen.error}"
        np.testing.assert_array_equal(seen.values, found, err_msg=path.name)
        assert len(seen.told["remarks"]) == len(lines), (path.name, seen.told["remarks"], lines)


def write(path, array, bits, **options):
    """A PNG of any depth and kind, `(height, width, samples)`."""
    height, width, samples = array.shape
    kind = {} if "palette" in options else {"greyscale": samples < 3, "alpha": samples in (2, 4)}
    writer = png.Writer(width, height, bitdepth=bits, **kind, **options)
    with path.open("wb") as file:
        write_rows = writer.write_array if options.get("interlace") else writer.write
        rows = array.ravel().tolist() if options.get("interlace") else array.reshape(height, -1)
        write_rows(file, rows if options.get("interlace") else rows.tolist())
    return path


@pytest.mark.parametrize("interlace", [False, True], ids=["rows", "Adam7"])
def test_every_depth_of_grey_and_of_palettes(tmp_path, listen, interlace):
    paths = []
    for shape in (SHAPE, (1, 1), (3, 2), (9, 64)):
        name = "x".join(map(str, shape))
        for bits in (1, 2, 4, 8, 16):
            levels = RNG.integers(0, 2**bits, (*shape, 1))
            path = tmp_path / f"grey_{bits}_{name}.png"
            paths.append(write(path, levels, bits, interlace=interlace))
        for bits in (1, 2, 4, 8):
            grey = [(int(v),) * 3 for v in RNG.integers(0, 256, 2**bits)]
            indices = RNG.integers(0, 2**bits, (*shape, 1))
            path = tmp_path / f"palette_{bits}_{name}.png"
            paths.append(write(path, indices, bits, palette=grey, interlace=interlace))
    compare(paths, tmp_path / "seen", listen)


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_and_opacity_of_eight_and_sixteen_bits(tmp_path, listen, channels):
    paths = []
    for bits in (8, 16):
        most = 2**bits - 1
        grey, colour = RNG.integers(0, most, (*SHAPE, 1)), RNG.integers(0, most, (*SHAPE, 3))
        opaque, clear = np.full((*SHAPE, 1), most), RNG.integers(0, most, (*SHAPE, 1))
        for name, levels in {"equal": np.repeat(grey, 3, 2), "colour": colour}.items():
            for opacity, alpha in {"opaque": opaque, "clear": clear}.items():
                whole = np.concatenate([levels, alpha], 2)
                paths.append(write(tmp_path / f"{name}_{opacity}_{bits}.png", whole, bits))
            paths.append(write(tmp_path / f"{name}_{bits}.png", levels, bits))
        for opacity, alpha in {"opaque": opaque, "clear": clear}.items():
            whole = np.concatenate([grey, alpha], 2)
            paths.append(write(tmp_path / f"grey_{opacity}_{bits}.png", whole, bits))
        flat = np.concatenate([np.full_like(grey, 7), clear], 2)
        paths.append(write(tmp_path / f"only_opacity_{bits}.png", flat, bits))
    if channels == 3:
        paths = [path for path in paths if not path.name.startswith(("grey", "only"))]
    compare(paths, tmp_path / "seen", listen, channels)


def test_palettes_and_transparent_colours(tmp_path, listen):
    indices = RNG.integers(0, 4, (*SHAPE, 1))
    colours = [(9, 8, 7), (255, 0, 0), (0, 255, 0), (1, 2, 3)]
    paths = [
        write(tmp_path / "colours.png", indices, 2, palette=colours),
        write(tmp_path / "clear.png", indices, 2, palette=[(*c, 90) for c in colours]),
        write(
            tmp_path / "grey_clear.png", indices, 2, palette=[(c, c, c, 9) for c in (0, 3, 2, 5)]
        ),
        write(tmp_path / "key.png", indices, 2, transparent=1),
        write(tmp_path / "no_key.png", indices, 4, transparent=15),
    ]
    compare(paths, tmp_path / "seen", listen)
    compare(paths[:2], tmp_path / "seen", listen, channels=3)


def test_real_radiographs(tmp_path, listen, shared_data):
    paths = sorted((shared_data / "montgomery_shenzhen" / "CXR_png").glob("*.png"))[:6]
    compare(paths, tmp_path / "seen", listen)


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def test_damage_is_refused_and_sizes_are_before_any_decoding(tmp_path, listen):
    whole = write(tmp_path / "whole.png", RNG.integers(0, 255, (*SHAPE, 1)), 8).read_bytes()
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 0, 0, 0, 0)
    signature = whole[:8]
    begins = signature + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    end = chunk(b"IEND", b"")
    files = {
        "cut.png": whole[:-20],
        "cut_to_the_header.png": whole[:40],
        "flipped.png": whole[:60] + bytes([whole[60] ^ 1]) + whole[61:],
        "huge.png": signature + chunk(b"IHDR", header) + end,
        "empty.png": signature + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 8, 8, 0, 0, 0, 0)) + end,
        "unknown_depth.png": signature
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 3, 0, 0, 0, 0))
        + end,
        "too_few_rows.png": begins + chunk(b"IDAT", zlib.compress(bytes(9 * 7))) + end,
        "bomb.png": begins + chunk(b"IDAT", zlib.compress(bytes(10**8))) + end,
        "filter.png": begins + chunk(b"IDAT", zlib.compress(b"\7" + bytes(71))) + end,
        "no_pixels.png": begins + end,
        "text.png": b"no picture at all",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    Picture.fromarray(np.zeros((4, 4), np.uint8)).save(
        tmp_path / "animation.png",
        save_all=True,
        append_images=[Picture.fromarray(np.ones((4, 4), np.uint8))],
    )
    paths = [tmp_path / name for name in (*files, "animation.png")]
    seen = dict(zip([p.name for p in paths], browser_page.read(paths, tmp_path), strict=True))
    for path in paths:
        assert isinstance(outcome_of_python(path, listen, 1)[0], DataError), path.name
        assert seen[path.name].error is not None, path.name
        assert seen[path.name].error.startswith("Found "), seen[path.name].error
    assert "20000x10000 pixels; expected at most 150 million values" in seen["huge.png"].error


@needs_chromium
def test_lossy_pictures_have_the_levels_that_python_decodes(tmp_path, listen, browser):
    """What a camera notes about turning, and a colour profile, change nothing."""
    y, x = np.mgrid[:40, :56]
    grey = (127 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)).astype(np.uint8)
    colour = np.stack([grey, grey[::-1], 255 - grey], axis=-1)
    turned = Picture.Exif()
    turned[274] = 6
    saved = {}

    def save(name, array, **options):
        Picture.fromarray(array).save(tmp_path / name, **options)
        saved[name] = 3 if array.ndim == 3 and "equal" not in name else 1

    save("grey.jpg", grey, quality=90)
    save("progressive.jpg", grey, quality=80, progressive=True)
    save("turned.jpg", grey, exif=turned)
    save("equal.jpg", np.repeat(grey[..., None], 3, axis=2), subsampling=0)
    save("colour.jpg", colour, quality=95, subsampling=0)
    save("colour_turned.jpg", colour, exif=turned, subsampling=0)
    page = browser.new_page()
    page.add_script_tag(content=browser_page.node("bundle_pictures.mjs"))
    for name, channels in saved.items():
        content = (tmp_path / name).read_bytes()
        read = page.evaluate(
            "async ([bytes, name, channels]) => {"
            "const file = new File([Uint8Array.from(bytes)], name);"
            "const image = await pictures.readPicture(file, { dims: 2, channels }, 'as stored');"
            "return [image.shape, [...image.values], image.remarks]; }",
            [list(content), name, channels],
        )
        expected, lines = outcome_of_python(tmp_path / name, listen, channels)
        assert read[0] == list(expected.shape[1:]), name
        off = np.abs(np.reshape(read[1], expected.shape) - expected)
        assert off.max() <= 1, (name, off.max())  # each program rounds its own way
        assert len(read[2]) == len(lines), (name, read[2], lines)
    page.close()


@needs_chromium
def test_a_webp_is_read_without_its_notes(tmp_path, browser):
    grey = np.arange(40 * 56, dtype=np.uint8).reshape(40, 56)
    turned = Picture.Exif()
    turned[274] = 6
    buffer = io.BytesIO()
    levels = np.repeat(grey[..., None], 3, axis=2)
    Picture.fromarray(levels).save(buffer, "WEBP", lossless=True, exif=turned)
    page = browser.new_page()
    page.add_script_tag(content=browser_page.node("bundle_pictures.mjs"))
    shape, values, remarks = page.evaluate(
        "async (bytes) => {"
        "const file = new File([Uint8Array.from(bytes)], 'a.webp');"
        "const wanted = { dims: 2, channels: 1 };"
        "const image = await pictures.readPicture(file, wanted, 'as stored');"
        "return [image.shape, [...image.values], image.remarks]; }",
        list(buffer.getvalue()),
    )
    page.close()
    np.testing.assert_array_equal(np.reshape(values, shape), grey)
    assert any("orientation 6" in remark for remark in remarks)
