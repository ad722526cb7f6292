"""Damaged NIfTI files end in an image or in one error, whatever is damaged."""

import gzip
import resource
import struct
import warnings

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightm_unet.errors import LightMUNetError
from lightm_unet.imaging.geometry import canonical_axes
from lightm_unet.imaging.image import read_image, read_labels, stored_dims, write_labels

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
INTERESTING = {
    "b": st.integers(-128, 127),
    "h": st.sampled_from([-32768, -1, 0, 1, 2, 3, 7, 8, 255, 30000, 32767]) | st.integers(-9, 9),
    "i": st.sampled_from([-(2**31), -1, 0, 348, 540, 2**31 - 1]),
    "q": st.sampled_from([-(2**63), -1, 0, 1, 2, 7, 352, 544, 10**12, 2**63 - 1]),
    "f": st.floats(width=32) | st.sampled_from([0.0, -1.0, 352.0, 1e-30, 1e30, 2.0**31]),
    "d": st.floats() | st.sampled_from([0.0, -1.0, 544.0, 1e-300, 1e300, 2.0**63]),
}
KINDS = {"i2": "h", "i4": "i", "i8": "q", "f4": "f", "f8": "d"}


def sources():
    """Small whole files: both versions, both byte orders, several types, shapes and forms."""
    files = []
    kinds = [
        ("i2", (4, 5, 6)),
        ("u1", (4, 5)),
        ("f4", (4, 5, 1)),
        ("f8", (3, 1, 4, 2)),
        ("i8", (7,)),
    ]
    for dtype, shape in kinds:
        for image_class in (nibabel.Nifti1Image, nibabel.Nifti2Image):
            for order in "<>":
                header = image_class.header_class(endianness=order)
                header.set_data_dtype(order + dtype)
                array = np.arange(np.prod(shape)).reshape(shape).astype(order + dtype)
                image = image_class(array, AFFINE, header)
                image.set_qform(AFFINE, 1)
                files.append((image_class.header_class, order, image.to_bytes()))
    return files


SOURCES = sources()


@st.composite
def damaged_files(draw):
    """A file's bytes after some changes to header fields, bytes, length and compression."""
    header_class, order, whole = draw(st.sampled_from(SOURCES))
    data = bytearray(whole)
    fields = header_class.template_dtype.fields
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=4)):
        dtype, offset = fields[name][:2]
        base = dtype.base
        place = offset + base.itemsize * draw(st.integers(0, dtype.itemsize // base.itemsize - 1))
        if kind := KINDS.get(base.str[1:]):
            struct.pack_into(order + kind, data, place, draw(INTERESTING[kind]))
        else:
            data[place] = draw(st.integers(0, 255))
    for _ in range(draw(st.integers(0, 2))):
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    data += draw(st.binary(max_size=20))
    if not draw(st.booleans()):
        return ".nii", bytes(data)
    packed = bytearray(gzip.compress(bytes(data), mtime=0))
    for _ in range(draw(st.integers(0, 2))):
        packed[draw(st.integers(0, len(packed) - 1))] ^= 1 << draw(st.integers(0, 7))
    if draw(st.booleans()):
        packed = packed[: draw(st.integers(0, len(packed)))]
    packed += draw(st.sampled_from([b"", b"\0" * 9, b"rest", gzip.compress(bytes(2**20))]))
    return ".nii.gz", bytes(packed)


@pytest.fixture(scope="module")
def little_memory():
    """At most 2 GB more than what is taken now."""
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**31, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.slow
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
@given(damaged_files())
def test_a_damaged_file_ends_in_an_image_or_in_one_error(tmp_path_factory, little_memory, file):
    ending, data = file
    path = tmp_path_factory.getbasetemp() / f"damaged{ending}"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = [result_or_error(read, path) for read in (read_image, read_labels, stored_dims)]
    errors = [result for result in results if isinstance(result, LightMUNetError)]
    assert all(str(error).startswith(f"{path}: found ") for error in errors)
    assert not any("\n" in str(error) for error in errors)
    if results[0] not in errors:
        check_place(results[0])


def result_or_error(read, path):
    try:
        return read(path)
    except LightMUNetError as error:
        return error


def check_place(image):
    """What is read has a place, which can be written again."""
    assert np.isfinite(image.array).all()
    axes, _ = canonical_axes(image.geometry)
    assert sorted(axes) == list(range(len(image.geometry.shape)))
    assert min(image.geometry.spacing_mm) > 0
    mask = image.path.with_name("mask.nii")
    write_labels(np.zeros(image.geometry.shape, np.uint8), image.geometry, mask)
    again, geometry = read_labels(mask)
    assert again.shape == image.geometry.shape
    np.testing.assert_array_equal(geometry.affine, image.geometry.affine)
