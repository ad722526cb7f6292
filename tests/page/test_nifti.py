"""The page reads NIfTI as Python does: the same numbers at the same place, the same refusals."""

import gzip
import struct

import numpy as np
import pytest

import browser_page as page
from lightm_unet.errors import DataError
from lightm_unet.imaging.image import read_image
from made_nifti import AFFINE, PLACES, nifti, volume, write

pytestmark = page.needs_node


def compare(files, folder, caplog, channels=1):
    """Both read the files; whatever one finds, the other must find."""
    folder.mkdir(exist_ok=True)
    for file, seen in zip(files, page.read(files, folder, channels), strict=True):
        caplog.clear()
        image = python_reads(file, channels)
        if isinstance(image, DataError):
            assert same_refusal(seen, image), f"{seen.told} / {image}"
            continue
        assert seen.error is None, f"{file.name}: only the page refuses it: {seen.error}"
        np.testing.assert_array_equal(seen.values, image.array, err_msg=file.name)
        np.testing.assert_allclose(seen.affine, image.geometry.affine, rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(seen.told["spacingMm"], image.geometry.spacing_mm, rtol=1e-14)
        logged = [record.getMessage().removeprefix(f"{file}: ") for record in caplog.records]
        assert seen.told["remarks"] == logged, file.name


def python_reads(file, channels):
    """The image, or the error."""
    try:
        return read_image(file, channels)
    except DataError as error:
        return error


def same_refusal(seen, error):
    """Whether the page says the same.

    Up to what zlib says of damage in brackets, which has other words in JavaScript; and the number
    of channels is compared with the model's elsewhere in the page.
    """
    if error.found.endswith("channel(s) in 1 file(s)"):
        return error.found.startswith(f"{seen.told['channels']} ")
    if error.found.startswith(damaged := "damaged gzip data ("):
        return damaged in seen.error and seen.error.endswith(f"; {error.advice}.")
    return seen.error == f"Found {error.found}; expected {error.expected}; {error.advice}."


TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def test_every_type_in_both_orders_and_versions(tmp_path, caplog):
    cases = {
        f"{kind}_{version}_{name}_{scaled}.nii": nifti(
            volume(kind),
            version=version,
            order=order,
            **({"scl_slope": 0.37, "scl_inter": -11.5} if scaled else {}),
        )
        for kind in TYPES
        for version in (1, 2)
        for order, name in (("<", "little"), (">", "big"))
        for scaled in (False, True)
    }
    compare(write(tmp_path, cases), tmp_path / "page", caplog)


def test_whole_numbers_of_64_bits_are_rounded_once(tmp_path, caplog):
    middle = 2**60 + 2**36  # half way between two floats, then a little to either side
    values = np.array([middle + d for d in (-1, 0, 1, 2**36)], np.int64).reshape(2, 2, 1)
    compare(
        write(tmp_path, {"a.nii": nifti(np.concatenate([values, -values], 2))}),
        tmp_path / "p",
        caplog,
    )


@pytest.mark.parametrize("version", [1, 2])
def test_every_way_to_place_voxels(tmp_path, caplog, version):
    cases = {
        f"{name}.nii": nifti(volume("i2"), version=version, **fields)
        for name, fields in PLACES.items()
    }
    compare(write(tmp_path, cases), tmp_path / "page", caplog)


@pytest.mark.parametrize("channels", [1, 2])
def test_every_number_of_axes(tmp_path, caplog, channels):
    shapes = [
        *(
            (5,),
            (5, 4),
            (5, 4, 1),
            (5, 1, 4),
            (1, 5, 4),
            (1, 5, 1),
            (1, 1, 1),
            (5, 1, 1),
            (5, 4, 3),
        ),
        *((5, 4, 3, 1), (5, 4, 3, 2), (5, 4, 1, 2), (1, 5, 4, 2), (5, 4, 3, 1, 1), (5, 4, 3, 1, 2)),
        *((5, 4, 3, 2, 1), (5, 4, 1, 1), (5, 4, 3, 2, 1, 1, 1)),
    ]
    turned = np.array([[1, 0.9, 0, 0], [-0.9, 1, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1]])
    cases = {
        f"{'x'.join(map(str, shape))}_{number}.nii": nifti(volume("i2", shape), affine)
        for shape in shapes
        for number, affine in enumerate((AFFINE, np.eye(4), turned, turned[[2, 0, 1, 3]]))
    }
    compare(write(tmp_path, cases), tmp_path / "page", caplog, channels)


def patched(data, offset, values):
    """Bytes with some of them replaced."""
    return data[:offset] + values + data[offset + len(values) :]


def test_broken_headers(tmp_path, caplog):
    good = nifti(volume("i2"))
    second = nifti(volume("i2"), version=2)
    large = struct.pack("<8h", 7, *(32767,) * 7)
    cases = {
        "text.nii": b"This is no image but a letter, long enough to be one.\n" * 20,
        "three_bytes.nii": good[:3],
        "header_cut.nii": good[:300],
        "second_cut.nii": second[:500],
        "header_only.nii": good[:352],
        "cut.nii": good[:-1],
        "pair.nii": patched(good, 344, b"ni1\0"),
        "pair_of_second.nii": patched(second, 4, b"ni2\0"),
        "mark.nii": patched(good, 344, b"a'\n\xff"),
        "analyze.nii": patched(good, 344, bytes(4)),
        "no_axes.nii": patched(good, 40, struct.pack("<h", 0)),
        "many_axes.nii": patched(good, 40, struct.pack("<h", 9)),
        "negative_axes.nii": patched(good, 40, struct.pack("<h", -3)),
        "no_voxels.nii": patched(good, 42, struct.pack("<h", 0)),
        "negative_size.nii": patched(good, 42, struct.pack("<h", -5)),
        "absurd.nii": patched(good, 40, large),
        "absurd_second.nii": patched(second, 24, struct.pack("<q", 2**40)),
        "offset_0.nii": patched(good, 108, struct.pack("<f", 0)),
        "offset_negative.nii": patched(good, 108, struct.pack("<f", -1)),
        "offset_small.nii": patched(good, 108, struct.pack("<f", 16)),
        "offset_fraction.nii": patched(good, 108, struct.pack("<f", 352.5)),
        "offset_nan.nii": patched(good, 108, struct.pack("<f", np.nan)),
        "offset_infinite.nii": patched(good, 108, struct.pack("<f", np.inf)),
        "offset_beyond.nii": patched(good, 108, struct.pack("<f", 1e7)),
        "offset_more.nii": patched(
            good[:352] + bytes(448) + good[352:], 108, struct.pack("<f", 800)
        ),
        "longer.nii": good + b"what came after",
        **{
            f"type_{code}_{order}.nii": patched(
                nifti(volume("u1"), order=sign), 70, struct.pack(f"{sign}h", code)
            )
            for code in (0, 1, 3, 32, 128, 255, 1536, 1792, 2048, 2304, -1, 9999)
            for sign, order in (("<", "little"), (">", "big"))
        },
        "slope_0.nii": nifti(volume("i2"), scl_slope=0, scl_inter=5),
        "slope_nan.nii": nifti(volume("i2"), scl_slope=np.nan, scl_inter=5),
        "slope_infinite.nii": nifti(volume("i2"), scl_slope=np.inf),
        "intercept_nan.nii": nifti(volume("i2"), scl_slope=2, scl_inter=np.nan),
        "slope_large.nii": nifti(volume("i2"), scl_slope=3e38),
        "nan.nii": nifti(np.where(volume("f4") > 0, np.nan, 1).astype("f4")),
        "infinite.nii": nifti(np.full((3, 4, 5), -np.inf, "f4")),
        "beyond_float32.nii": nifti(np.full((3, 4, 5), 1e300)),
    }
    compare(write(tmp_path, cases), tmp_path / "page", caplog)
    zipped = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in cases.items()}
    compare(write(tmp_path, zipped), tmp_path / "page", caplog)


def test_damaged_and_unusual_gzip(tmp_path, caplog):
    good = nifti(volume("i2", (20, 20, 20)))
    packed = gzip.compress(good, mtime=0)
    half = len(good) // 2
    cases = {
        "two_members.nii.gz": gzip.compress(good[:half]) + gzip.compress(good[half:]),
        "three_with_padding.nii.gz": b"".join(
            gzip.compress(part) + bytes(5) for part in (good[:100], good[100:half], good[half:])
        ),
        "padding.nii.gz": packed + bytes(300),
        "junk.nii.gz": packed + b"junk",
        "short_junk.nii.gz": packed + b"\x1f",
        "checksum.nii.gz": patched(packed, len(packed) - 8, b"\1\2\3\4"),
        "length.nii.gz": patched(packed, len(packed) - 4, b"\1\2\3\4"),
        "no_checksum.nii.gz": packed[:-8],
        "half_checksum.nii.gz": packed[:-3],
        "half.nii.gz": packed[: len(packed) // 2],
        "start.nii.gz": packed[:12],
        "magic.nii.gz": packed[:2],
        "flipped.nii.gz": patched(packed, len(packed) // 2, bytes([packed[len(packed) // 2] ^ 4])),
        "text.nii.gz": gzip.compress(b"a letter " * 100),
        "text_damaged.nii.gz": gzip.compress(b"a letter " * 100)[:-8] + bytes(8),
        "stored.nii.gz": good,
        "compressed.nii": packed,
        "name_in_it.nii.gz": b"\x1f\x8b\x08\x08\0\0\0\0\0\xffa.nii\0" + packed[10:],
        "much_after.nii.gz": gzip.compress(good + bytes(2**26 + 2**20), 1),
    }
    compare(write(tmp_path, cases), tmp_path / "page", caplog)


@pytest.mark.slow
def test_a_bomb_is_refused_before_memory_is_taken(tmp_path):
    header = patched(nifti(volume("u1")), 40, struct.pack("<4h", 3, 1100, 1100, 1000))
    data = gzip.compress(header[:352] + bytes(1100 * 1100 * 1000), 1)
    (file,) = write(tmp_path, {"bomb.nii.gz": data})
    (seen,) = page.read([file], tmp_path)
    assert seen.error is not None
    # Python reads more than a browser holds, and refuses it as compressed too well to be an image.
    assert isinstance(python_reads(file, 1), DataError)


@pytest.mark.skipif(not page.SHARED.is_dir(), reason="needs the real images of ../shared/data")
@pytest.mark.parametrize("folder", ["Task04_Hippocampus", "ct", "odd/nibabel"])
def test_real_files(tmp_path, caplog, folder):
    files = sorted((page.SHARED / folder).rglob("*.nii*"))
    assert files
    compare(files[:40], tmp_path / "page", caplog)
