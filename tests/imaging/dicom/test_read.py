"""DICOM images to arrays and grids, from files written from known arrays and grids."""

import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid

import dicom_files as dicom
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.codestream import has_end, stated_size
from lightm_unet.imaging.dicom.read import read_series
from lightm_unet.imaging.dicom_source import DicomFile, looks_like_dicom
from lightm_unet.imaging.geometry import canonical_axes
from lightm_unet.imaging.image import read_image
from strategies import OFFSETS_MM, ORIENTATIONS, oriented_affine, rotated, shapes

GRID = oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5))
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (9, 13), dtype=np.uint16)


def numbers(shape):
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


@given(
    shape=shapes(),
    orientation=ORIENTATIONS,
    spacing=st.tuples(*[st.floats(0.1, 12.0)] * 3),
    offset=OFFSETS_MM,
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    tilt=st.floats(-0.5, 0.5),
    seed=st.integers(0, 2**32 - 1),
)
def test_slices_in_any_order_lie_where_they_were_put(
    tmp_path_factory, shape, orientation, spacing, offset, degrees, tilt, seed
):
    folder = tmp_path_factory.mktemp("series")
    affine = rotated(oriented_affine(*orientation, spacing, offset), degrees)
    affine[:3, 2] += tilt * affine[:3, 1] / spacing[1] * spacing[2]  # a tilted gantry
    volume = numbers(shape)
    order = np.random.default_rng(seed).permutation(shape[2])
    files = dicom.save_series(folder, volume, affine, order, slope=2.0, intercept=-100.0)
    array, grid = read_series([files[index] for index in np.argsort(order)])
    assert grid.stored_shape == shape
    assert np.linalg.det(grid.affine[:3, :3]) != 0
    # Each voxel's value tells which one it was.
    was = np.unravel_index(((array[0] + 100) / 2).astype(int).ravel(), shape)
    now = np.indices(grid.shape).reshape(len(grid.shape), -1)
    positions = grid.affine[:3, : len(now)] @ now + grid.affine[:3, 3:]
    np.testing.assert_allclose(positions, affine[:3, :3] @ was + affine[:3, 3:], atol=1e-5)


def test_frames_of_an_enhanced_object_are_sorted_and_rescaled_one_by_one(tmp_path):
    volume = numbers((5, 4, 3))
    order = [1, 2, 0]
    dataset = dicom.enhanced(volume, GRID, order, slopes=[1, 10, 100])
    array, grid = read_series(dicom.save(dataset, tmp_path / "a.dcm"))
    assert np.array_equal(array[0], volume * np.array([1.0, 10, 100]))
    np.testing.assert_allclose(grid.affine, GRID, atol=1e-9)
    assert [place.number for place in grid.dicom.slices] == [2, 0, 1]


def test_each_slice_has_its_own_rescale(tmp_path):
    made = dicom.slices(numbers((5, 4, 3)), GRID, modality="MR")
    for number, dataset in enumerate(made):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + number, -number
    files = [dicom.save(each, tmp_path / f"{n}.dcm") for n, each in enumerate(made)]
    array, _ = read_series(files)
    assert np.array_equal(array[0], numbers((5, 4, 3)) * (0.5 + np.arange(3)) - np.arange(3))


@pytest.mark.parametrize(
    ("samples", "bits", "expected"),
    [
        (np.array([[0, 1, 4095]], np.uint16), 12, [[4095, 4094, 0]]),
        (np.array([[0, 255]], np.uint8), 8, [[255, 0]]),
        (np.array([[-2048, 0, 2047]], np.int16), 12, [[2047, -1, -2048]]),
    ],
)
def test_monochrome1_is_turned_as_its_stored_numbers(tmp_path, samples, bits, expected):
    dataset = dicom.radiograph(
        samples,
        bits_stored=bits,
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=100,
        WindowWidth=10,
        RescaleSlope=2,
        RescaleIntercept=1,
    )
    array, _ = read_series(dicom.save(dataset, tmp_path / "a.dcm"))
    assert array[0].tolist() == (np.array(expected) * 2 + 1).tolist()


def test_hounsfield_units_are_not_turned(tmp_path):
    (dataset,) = dicom.slices(numbers((5, 4, 1)), GRID, PhotometricInterpretation="MONOCHROME1")
    dataset.PhotometricInterpretation = "MONOCHROME1"
    array, _ = read_series(dicom.save(dataset, tmp_path / "a.dcm"))
    assert np.array_equal(array[0], numbers((5, 4, 1))[..., 0])


@pytest.mark.parametrize(
    ("attributes", "spacing", "said"),
    [
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.3, 0.3]}, (0.2, 0.1), ""),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "ImagerPixelSpacing is taken"),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "NominalScannedPixelSpacing is"),
        ({}, (1, 1), "no pixel size; a pixel counts as 1"),
    ],
)
def test_a_radiograph_is_a_picture_with_a_pixel_size(tmp_path, listen, attributes, spacing, said):
    lines = []
    with listen(lines.append):
        array, grid = read_series(
            dicom.save(dicom.radiograph(GREY, **attributes), tmp_path / "a.dcm")
        )
    assert array.shape == (1, 9, 13)
    assert np.array_equal(array[0], GREY)
    assert grid.is_picture
    assert canonical_axes(grid) == ((0, 1), (False, False))
    np.testing.assert_allclose(grid.spacing_mm, spacing)
    assert said in " ".join(lines)
    assert bool(said) == bool(lines)


def compressions():
    """Each transfer syntax with a grey picture in it, and what comes back."""
    signed = (GREY.astype(np.int16) - 2048).astype(np.int16)
    eight = (GREY // 16).astype(np.uint8)
    lossless = {
        "jpeg lossless": (uid.JPEGLosslessSV1, {"lossless": True, "bitspersample": 12}),
        "jpeg lossless 14": (uid.JPEGLossless, {"lossless": True, "bitspersample": 12}),
    }
    for name, (syntax, options) in lossless.items():
        yield name, GREY, syntax, imagecodecs.jpeg_encode(GREY, **options), GREY
    yield "jpeg-ls", GREY, uid.JPEGLSLossless, imagecodecs.jpegls_encode(GREY), GREY
    yield (
        "jpeg-ls signed",
        signed,
        uid.JPEGLSLossless,
        imagecodecs.jpegls_encode(signed.view(np.uint16)),
        signed,
    )
    stream = imagecodecs.jpeg2k_encode(GREY, codecformat="j2k", reversible=True, level=0)
    yield "jpeg 2000", GREY, uid.JPEG2000Lossless, stream, GREY
    stream = imagecodecs.jpeg2k_encode(signed, codecformat="j2k", reversible=True, level=0)
    yield "jpeg 2000 signed", signed, uid.JPEG2000Lossless, stream, signed
    yield "jpeg", eight, uid.JPEGBaseline8Bit, imagecodecs.jpeg_encode(eight, level=100), None
    stream = imagecodecs.jpeg_encode(GREY, level=100, bitspersample=12)
    yield "jpeg extended", GREY, uid.JPEGExtended12Bit, stream, None


@pytest.mark.parametrize(
    ("stored", "syntax", "stream", "expected"),
    [pytest.param(*rest, id=name) for name, *rest in compressions()],
)
def test_compressed_frames_keep_their_levels(tmp_path, stored, syntax, stream, expected):
    bits = 8 if stored.dtype == np.uint8 else 16 if stored.dtype == np.int16 else 12
    dataset = dicom.compressed(dicom.radiograph(stored, bits_stored=bits), [stream], syntax)
    array, _ = read_series(dicom.save(dataset, tmp_path / "a.dcm", syntax))
    if expected is None:
        assert np.abs(array[0] - stored).max() <= 4  # lossy
    else:
        assert np.array_equal(array[0], expected)


@pytest.mark.parametrize("meta", [True, False])
@pytest.mark.parametrize(
    "syntax",
    [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian],
)
def test_byte_orders_with_and_without_a_head(tmp_path, syntax, meta):
    dataset = dicom.radiograph(GREY)
    if syntax == uid.ExplicitVRBigEndian:
        dataset.PixelData = GREY.byteswap().tobytes()
        dataset["PixelData"].VR = "OW"
    path = dicom.save(dataset, tmp_path / "a", syntax, meta)
    assert looks_like_dicom(path.read_bytes()[:132])
    assert np.array_equal(read_image(path).array[0], GREY)


def test_rle_and_deflate(tmp_path):
    dataset = dicom.radiograph(GREY)
    dataset.file_meta = None
    deflated = dicom.save(dataset, tmp_path / "d.dcm", uid.DeflatedExplicitVRLittleEndian)
    assert np.array_equal(read_series(deflated)[0][0], GREY)
    dataset.compress(uid.RLELossless)
    assert np.array_equal(
        read_series(dicom.save(dataset, tmp_path / "r.dcm", uid.RLELossless))[0][0], GREY
    )


def test_colour_is_grey_where_its_channels_are_equal(tmp_path):
    equal = np.repeat((GREY // 16).astype(np.uint8)[..., None], 3, axis=2)
    path = dicom.save(dicom.radiograph(equal), tmp_path / "a.dcm")
    assert np.array_equal(read_image(path, 1).array[0], equal[..., 0])
    assert read_image(path, 3).array.shape == (3, 9, 13)
    equal[0, 0, 0] ^= 1
    path = dicom.save(dicom.radiograph(equal), tmp_path / "a.dcm")
    assert np.array_equal(read_image(path, 3).array, np.moveaxis(equal, -1, 0))
    with pytest.raises(DataError, match="a colour picture, 3 channels that differ"):
        read_image(path, 1)


def test_overlays_in_unused_bits_are_left_out(tmp_path):
    dataset = dicom.radiograph(GREY | 0x8000, bits_stored=12)
    assert np.array_equal(read_series(dicom.save(dataset, tmp_path / "a.dcm"))[0][0], GREY)


def volume_files(folder, change=lambda number, dataset: None):
    files = []
    for number, dataset in enumerate(dicom.slices(numbers((5, 4, 6)), GRID)):
        if change(number, dataset) is not False:
            files.append(dicom.save(dataset, folder / f"{number}.dcm"))
    return files


def set_attribute(name, value, only=3):
    def change(number, dataset):
        if number == only:
            setattr(dataset, name, value)

    return change


def moved(along, mm, only=3):
    def change(number, dataset):
        if number == only:
            position = list(dataset.ImagePositionPatient)
            position[along] += mm
            dataset.ImagePositionPatient = position

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda number, _: number != 3, r"1 missing slice: 5 mm from 2.dcm at .* to 4.dcm"),
        (lambda number, _: number not in (2, 3), r"2 missing slices: 7.5 mm from 1.dcm"),
        (moved(2, -2.5), "two slices at .* 2.dcm and 3.dcm"),
        (moved(2, 1.0), r"uneven slices: 3.5 mm from 2.dcm at .* to 3.dcm"),
        (moved(0, 2.0), "slices that lie beside each other: 3.dcm by"),
        (set_attribute("ImageOrientationPatient", [1, 0, 0, 0, 0, 1]), "the orientation 1 0 0 0 0"),
        (set_attribute("PixelSpacing", [0.8, 0.9]), "the pixel spacing 0.8 0.9"),
        (set_attribute("Rows", 2), "the rows and columns 2 5"),
        (set_attribute("ImagePositionPatient", None), "3.dcm without a position, one of 6 slices"),
        (set_attribute("SeriesInstanceUID", "1.2"), "another SeriesInstanceUID than in 0.dcm"),
        (set_attribute("FrameOfReferenceUID", "1.2"), "another FrameOfReferenceUID than in"),
        (set_attribute("RescaleSlope", 0), "a rescale slope of 0"),
        (
            lambda _, dataset: setattr(dataset, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
            "the orientation 1 0 0 1 0 0; expected two directions of length 1 at a right angle",
        ),
        (lambda _, dataset: setattr(dataset, "PixelSpacing", [0, 1]), "the pixel spacing 0 1"),
        (lambda _, dataset: delattr(dataset, "PixelSpacing"), "the pixel spacing none"),
    ],
)
def test_slices_that_form_no_volume_are_refused_by_name(tmp_path, change, found):
    with pytest.raises(DataError, match=found):
        read_series(volume_files(tmp_path, change))


def test_small_rounding_of_positions_is_no_fault(tmp_path):
    _, grid = read_series(volume_files(tmp_path, moved(2, 0.1)))
    np.testing.assert_allclose(grid.affine, GRID, atol=0.02)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"PixelData": b"\0" * 100}, "100 bytes of pixels; expected 234 for 1 frame"),
        ({"Rows": 60000, "Columns": 60000}, "frames of 60000x60000 pixels, 3600 million values"),
        ({"NumberOfFrames": 2}, "without a position, one of 2 slices"),
        ({"NumberOfFrames": 0}, "the NumberOfFrames 0"),
        ({"SamplesPerPixel": 4}, "4 samples for each pixel"),
        ({"Rows": 0}, "the Rows 0"),
        ({"BitsAllocated": 12}, "the BitsStored 16; expected 1 to 12"),
        ({"PixelSpacing": [-1, 1]}, "the PixelSpacing -1, 1"),
        ({"RescaleSlope": 1, "RescaleIntercept": 1e39}, "117 NaN or infinite voxels"),
    ],
)
def test_a_header_that_contradicts_the_pixels_is_refused(tmp_path, change, found):
    dataset = dicom.radiograph(GREY)
    for name, value in change.items():
        setattr(dataset, name, value)
    with pytest.raises(DataError, match=found):
        read_image(dicom.save(dataset, tmp_path / "a.dcm"))


def test_a_compressed_frame_of_another_size_is_refused_before_it_is_decoded(tmp_path):
    stream = imagecodecs.jpeg2k_encode(GREY, codecformat="j2k", reversible=True)
    dataset = dicom.compressed(dicom.radiograph(GREY), [stream], uid.JPEG2000Lossless)
    dataset.Rows = 8
    path = dicom.save(dataset, tmp_path / "a.dcm", uid.JPEG2000Lossless)
    with pytest.raises(DataError, match="a compressed frame of 13x9 pixels; expected 13x8"):
        read_series(path)


def test_frames_that_are_missing_are_counted(tmp_path):
    stream = imagecodecs.jpeg2k_encode(GREY, codecformat="j2k", reversible=True)
    dataset = dicom.enhanced(numbers((13, 9, 3)), GRID)
    dicom.compressed(dataset, [stream, stream], uid.JPEG2000Lossless)
    path = dicom.save(dataset, tmp_path / "a.dcm", uid.JPEG2000Lossless)
    with pytest.raises(DataError, match=r"2 compressed frame\(s\); expected those of 3"):
        read_series(path)


def test_a_deflated_bomb_is_refused_without_the_memory_for_it(tmp_path, monkeypatch):
    from lightm_unet.imaging.dicom import parse

    monkeypatch.setattr(parse, "_MOST_INFLATED", 2**20)
    dataset = dicom.radiograph(GREY)
    path = dicom.save(dataset, tmp_path / "d.dcm", uid.DeflatedExplicitVRLittleEndian)
    data = path.read_bytes()
    start = 144 + int.from_bytes(data[140:144], "little")
    inflated = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(inflated + bytes(2**22)) + deflater.flush()
    path.write_bytes(data[:start] + bomb)
    with pytest.raises(DataError, match="a deflated data set of more than"):
        read_series(path)


STREAM = imagecodecs.jpeg2k_encode(GREY, codecformat="j2k", reversible=True)
WHOLE_FILES = [
    dicom.to_bytes(dicom.radiograph(GREY)),
    dicom.to_bytes(dicom.enhanced(numbers((5, 4, 3)), GRID)),
    dicom.to_bytes(
        dicom.compressed(dicom.radiograph(GREY), [STREAM], uid.JPEG2000Lossless),
        uid.JPEG2000Lossless,
    ),
]


@settings(max_examples=100)
@given(data=st.data())
def test_damage_is_one_line_or_harmless(tmp_path_factory, data):
    whole = data.draw(st.sampled_from(WHOLE_FILES))
    spoiled = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if spoiled:
            place = data.draw(st.integers(0, len(spoiled) - 1))
            spoiled[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("spoiled") / "a.dcm"
    path.write_bytes(bytes(spoiled))
    said = ""
    try:
        read_series(path)
    except DataError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("stored", "syntax", "stream"),
    [pytest.param(*rest[:3], id=name) for name, *rest in compressions()],
)
def test_a_compressed_frame_that_is_cut_off_is_refused(tmp_path, stored, syntax, stream):
    bits = 8 if stored.dtype == np.uint8 else 16 if stored.dtype == np.int16 else 12
    for end in (len(stream) // 2, len(stream) - 2):
        for closing in (b"", b"\xff\xd9") if end < len(stream) - 2 else (b"",):
            frame = stream[:end] + closing
            dataset = dicom.compressed(dicom.radiograph(stored, bits_stored=bits), [frame], syntax)
            path = dicom.save(dataset, tmp_path / "a.dcm", syntax)
            with pytest.raises(DataError) as refused:
                read_series(path)
            if not closing:
                assert refused.value.found == "a compressed frame without its end"


def test_the_end_of_a_stream_may_have_padding():
    assert has_end(b"\xff\xd9")
    assert has_end(b"\xff\xd9" + bytes(1000))
    assert has_end(b"pixels\xff\xd9 padding")
    assert not has_end(b"pixels\xff\xd9 and more of them")
    assert not has_end(b"pixels\xff")
    assert not has_end(b"")


def test_stated_sizes():
    assert stated_size(imagecodecs.jpeg2k_encode(GREY, codecformat="jp2")) == (9, 13)
    assert stated_size(imagecodecs.jpegls_encode(GREY)) == (9, 13)
    assert stated_size(imagecodecs.jpeg_encode((GREY // 16).astype(np.uint8))) == (9, 13)
    assert stated_size(b"") is None
    assert stated_size(b"\xff\xd8\xff") is None


def test_a_file_is_never_asked_for_more_than_it_has(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    with DicomFile(path).open() as stream:
        assert stream.read(2) == b"12"
        assert stream.read(2**40) == b"345"
        assert stream.read() == b""
