"""The page reads DICOM as Python does: the same values at the same place, the same refusals."""

import zipfile
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import uid

import browser_page as page
import dicom_files as dicom
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.find import find_images
from lightm_unet.imaging.dicom.read import read_series
from lightm_unet.imaging.dicom_source import DicomFile
from lightm_unet.imaging.image import image_from_array
from strategies import oriented_affine

pytestmark = page.needs_node

GRID = oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5))
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (9, 13), dtype=np.uint16)
SIGNED = GREY.astype(np.int16) - 2048
EIGHT = (GREY // 16).astype(np.uint8)


def numbers(shape):
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def python_reads(files):
    """The only image among files, as an array and its grid; or the error."""
    try:
        (found,) = find_images([DicomFile(file) for file in files], files[0].parent, "case")
        if found.problem:
            return found.problem
        array, grid = read_series(found.files)
        return image_from_array(array, grid, "case").array, grid
    except DataError as error:
        return error


def compare(cases, folder):
    """Both read the files of each case; what one finds, the other must find."""
    folder.mkdir()
    for files, seen in zip(cases, page.read(cases, folder, channels=3), strict=True):
        name = f"{files[0].parent.name}/{files[0].name}"
        found = python_reads(files)
        if isinstance(found, DataError):
            assert seen.error, f"{name}: only Python refuses it: {found}"
            assert same_refusal(seen.error, found), f"{seen.error} / {found}"
            continue
        assert seen.error is None, f"{name}: only the page refuses it: {seen.error}"
        array, grid = found
        np.testing.assert_array_equal(seen.values, array, err_msg=name)
        if seen.told["affine"] is None:
            assert grid.is_picture
            spacing = grid.spacing_mm if grid.radiograph else None
        else:
            np.testing.assert_allclose(seen.affine, grid.affine, rtol=0, atol=1e-12)
            spacing = grid.spacing_mm
        assert seen.told["spacingMm"] == (spacing and pytest.approx(spacing)), name


def same_refusal(sentence, error):
    """Up to what pydicom says of damage, which has other words in JavaScript."""
    if error.found.startswith("a broken DICOM file ("):
        return "ound a broken DICOM file (" in sentence
    return f"ound {error.found}; expected {error.expected}; {error.advice}." in sentence


def save_all(folder, datasets, syntax=uid.ExplicitVRLittleEndian):
    """Each data set as the only file of a case."""
    return [
        [dicom.save(dataset, folder / f"{name}.dcm", syntax)] for name, dataset in datasets.items()
    ]


def test_series_of_every_orientation(tmp_path):
    axes = [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2)]
    signs = [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)]
    oblique = np.eye(4)
    oblique[:3, :3] = np.linalg.qr(RNG.standard_normal((3, 3)))[0] * (0.7, 0.9, 3)
    oblique[:3, 3] = -110.123, 44.5, 1000.25
    tilted = GRID.copy()
    tilted[1, 2] = 0.9  # a gantry
    grids = [oriented_affine(a, s, (0.7, 0.8, 2.5)) for a in axes for s in signs]
    cases = [
        dicom.save_series(tmp_path / str(index), numbers((5, 4, 6)), grid, order=RNG.permutation(6))
        for index, grid in enumerate([*grids, oblique, tilted])
    ]
    cases.append(dicom.save_series(tmp_path / "one", numbers((5, 4, 1)), GRID))
    cases.append(
        dicom.save_series(tmp_path / "hu", numbers((5, 4, 3)), GRID, slope=2.5, intercept=-7)
    )
    compare(cases, tmp_path / "page")


def test_enhanced_objects(tmp_path):
    volume = numbers((5, 4, 6))
    compare(
        save_all(
            tmp_path,
            {
                "plain": dicom.enhanced(volume, GRID),
                "mixed": dicom.enhanced(volume, GRID, order=[3, 0, 5, 1, 4, 2]),
                "slopes": dicom.enhanced(volume, GRID, slopes=[1, 2, 0.5, 3, 1.25, 7]),
                "one": dicom.enhanced(volume[..., :1], GRID),
            },
        ),
        tmp_path / "page",
    )


def palette(entries, bits, first=0):
    """Attributes of a palette of so many colours."""
    levels = RNG.integers(0, 2**bits, (3, entries)).astype(np.uint16)
    names = ("Red", "Green", "Blue")
    return {
        "PhotometricInterpretation": "PALETTE COLOR",
        **{f"{n}PaletteColorLookupTableDescriptor": [entries, first, bits] for n in names},
        **{f"{n}PaletteColorLookupTableData": levels[i].tobytes() for i, n in enumerate(names)},
    }


def lookup_table():
    """A modality's table in place of slope and intercept."""
    table = dicom.Dataset()
    table.LUTDescriptor = [16, 4, 16]
    table.LUTData = np.arange(1000, 1160, 10, dtype=np.uint16).tobytes()
    table.ModalityLUTType = "US"
    return [table]


def radiographs():
    """Pictures without a place, of every kind of pixel."""
    colours = RNG.integers(0, 256, (9, 13, 3), dtype=np.uint8)
    planar = np.ascontiguousarray(np.moveaxis(colours, -1, 0)).tobytes() + b"\0"
    floats = RNG.standard_normal((9, 13)).astype(np.float32)
    float_pixels = dicom.radiograph(EIGHT)
    del float_pixels.PixelData, float_pixels.BitsStored, float_pixels.HighBit
    float_pixels.BitsAllocated, float_pixels.FloatPixelData = 32, floats.tobytes()
    bits = dicom.radiograph(EIGHT)
    bits.BitsAllocated = bits.BitsStored = 1
    bits.HighBit, bits.PixelData = (
        0,
        np.packbits(EIGHT.ravel() & 1, bitorder="little").tobytes() + b"\0",
    )
    return {
        "16": dicom.radiograph(GREY, bits_stored=12),
        "signed": dicom.radiograph(SIGNED),
        "signed12": dicom.radiograph(SIGNED & 0x0FFF, bits_stored=12, PixelRepresentation=1),
        "8": dicom.radiograph(EIGHT),
        "32": dicom.radiograph(GREY.astype(np.uint32) * 70000),
        "signed32": dicom.radiograph(SIGNED.astype(np.int32) * 70000),
        "1": bits,
        "float": float_pixels,
        "overlay": dicom.radiograph(GREY | 0x8000, bits_stored=12),
        "white": dicom.radiograph(GREY, bits_stored=12, PhotometricInterpretation="MONOCHROME1"),
        "white_signed": dicom.radiograph(SIGNED, PhotometricInterpretation="MONOCHROME1"),
        "white_rescaled": dicom.radiograph(
            GREY, PhotometricInterpretation="MONOCHROME1", RescaleSlope="2.5", RescaleIntercept="-1"
        ),
        "rescaled": dicom.radiograph(GREY, RescaleSlope="0.1", RescaleIntercept="1e-3"),
        "table": dicom.radiograph(EIGHT % 32, ModalityLUTSequence=lookup_table()),
        "pixel": dicom.radiograph(GREY, PixelSpacing=[0.2, 0.1]),
        "detector": dicom.radiograph(GREY, ImagerPixelSpacing=[0.2, 0.1]),
        "scanned": dicom.radiograph(GREY, NominalScannedPixelSpacing=[0.2, 0.1]),
        "colour": dicom.radiograph(colours),
        "planar": dicom.radiograph(colours, PlanarConfiguration=1, PixelData=planar),
        "ybr": dicom.radiograph(colours, PhotometricInterpretation="YBR_FULL"),
        "palette": dicom.radiograph(EIGHT, **palette(256, 16)),
        "palette_short": dicom.radiograph(EIGHT, **palette(100, 16, first=20)),
        "cr": dicom.radiograph(GREY, "CR"),
        "ct_without_place": dicom.radiograph(GREY, "CT"),
    }


def test_every_kind_of_pixel(tmp_path):
    compare(save_all(tmp_path, radiographs()), tmp_path / "page")


def test_byte_orders_with_and_without_a_head(tmp_path):
    cases = [
        [
            dicom.save(
                dicom.radiograph(GREY) if flat else dicom.enhanced(numbers((5, 4, 3)), GRID),
                tmp_path / f"{syntax}_{meta}_{flat}.dcm",
                syntax,
                meta,
            )
        ]
        for syntax in (
            uid.ImplicitVRLittleEndian,
            uid.ExplicitVRLittleEndian,
            uid.ExplicitVRBigEndian,
        )
        for meta in (True, False)
        for flat in (True, False)
    ]
    for (file,) in cases:
        if "1.2.2" in file.name:  # pydicom writes the pixels as they are
            data = file.read_bytes()
            start = data.index(GREY.tobytes()) if GREY.tobytes() in data else len(data)
            swapped = np.frombuffer(data[start : start + GREY.nbytes], np.uint16).byteswap()
            file.write_bytes(data[:start] + swapped.tobytes() + data[start + GREY.nbytes :])
    compare(cases, tmp_path / "page")


def encoded():
    """Pictures and their compressed frames, by transfer syntax."""
    lossless = {"lossless": True, "bitspersample": 12}
    for syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        yield GREY, syntax, imagecodecs.jpeg_encode(GREY, **lossless)
        yield EIGHT, syntax, imagecodecs.jpeg_encode(EIGHT, lossless=True)
    for syntax in (uid.JPEGLSLossless, uid.JPEGLSNearLossless):
        yield GREY, syntax, imagecodecs.jpegls_encode(GREY)
        yield EIGHT, syntax, imagecodecs.jpegls_encode(EIGHT)
        yield SIGNED, syntax, imagecodecs.jpegls_encode(SIGNED.view(np.uint16))
    yield GREY, uid.JPEGLSNearLossless, imagecodecs.jpegls_encode(GREY, level=3)
    for reversible, syntax in ((True, uid.JPEG2000Lossless), (False, uid.JPEG2000)):
        for samples in (GREY, EIGHT, SIGNED):
            options = {"codecformat": "j2k", "reversible": reversible}
            yield samples, syntax, imagecodecs.jpeg2k_encode(samples, **options)
    yield GREY, uid.JPEG2000Lossless, imagecodecs.jpeg2k_encode(GREY, codecformat="jp2")
    colours = RNG.integers(0, 256, (9, 13, 3), dtype=np.uint8)
    for space in ("RGB", "YCBCR"):
        stream = imagecodecs.jpeg_encode(colours, level=95, colorspace="RGB", outcolorspace=space)
        yield colours, uid.JPEGBaseline8Bit, stream
    yield colours, uid.JPEG2000Lossless, imagecodecs.jpeg2k_encode(colours, codecformat="j2k")
    for level in (100, 60):
        yield EIGHT, uid.JPEGBaseline8Bit, imagecodecs.jpeg_encode(EIGHT, level=level)
        yield EIGHT, uid.JPEGExtended12Bit, imagecodecs.jpeg_encode(EIGHT, level=level)


def rle(dataset):
    """Compressed by runs."""
    dicom.to_bytes(dataset)  # gives it a head
    dataset.compress(uid.RLELossless)
    return dataset


def test_every_compression(tmp_path):
    cases = []
    for number, (samples, syntax, stream) in enumerate(encoded()):
        dataset = dicom.compressed(dicom.radiograph(samples), [stream], syntax)
        cases.append([dicom.save(dataset, tmp_path / f"{number}_{syntax.name}.dcm", syntax)])
    for name, dataset in radiographs().items():
        if name in ("16", "signed", "8", "colour"):
            cases.append([dicom.save(rle(dataset), tmp_path / f"rle_{name}.dcm", uid.RLELossless)])
        elif "PixelData" in dataset:
            syntax = uid.DeflatedExplicitVRLittleEndian
            cases.append([dicom.save(dataset, tmp_path / f"deflated_{name}.dcm", syntax)])
    compare(cases, tmp_path / "page")


def test_compressed_frames_in_pieces(tmp_path):
    volume = RNG.integers(0, 4096, (13, 9, 3), dtype=np.uint16)
    streams = [imagecodecs.jpegls_encode(np.ascontiguousarray(volume[..., k].T)) for k in range(3)]
    for stream in streams:
        assert len(stream) > 40
    cases = []
    for name, fragments, offsets in (("whole", 1, True), ("pieces", 2, True), ("bare", 1, False)):
        dataset = dicom.enhanced(volume.astype(np.int16), GRID)
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
        dicom.compressed(dataset, streams, uid.JPEGLSLossless)
        dataset.PixelData = dicom.encapsulate(streams, fragments, offsets)
        dataset["PixelData"].is_undefined_length = True
        cases.append([dicom.save(dataset, tmp_path / f"{name}.dcm", uid.JPEGLSLossless)])
    compare(cases, tmp_path / "page")


def changed(folder, change):
    """A series of six slices of which one or all were changed; False leaves a slice out."""
    files = []
    for number, dataset in enumerate(dicom.slices(numbers((5, 4, 6)), GRID)):
        if change(number, dataset) is not False:
            files.append(dicom.save(dataset, folder / f"{number}.dcm"))
    return files


def setting(name, value, only=3):
    def change(number, dataset):
        if only in (None, number):
            setattr(dataset, name, value)

    return change


def moved(along, mm):
    def change(number, dataset):
        if number == 3:
            position = list(dataset.ImagePositionPatient)
            position[along] += mm
            dataset.ImagePositionPatient = position

    return change


CHANGES = {
    "missing": lambda number, _: number != 3,
    "two_missing": lambda number, _: number not in (2, 3),
    "two_gaps": lambda number, _: number not in (1, 4),
    "doubled": moved(2, -2.5),
    "nearly_doubled": moved(2, -2.4),
    "uneven": moved(2, 1.0),
    "beside": moved(0, 2.0),
    "rounded": moved(2, 0.1),
    "orientation": setting("ImageOrientationPatient", [1, 0, 0, 0, 0, 1]),
    "no_right_angle": setting("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], None),
    "long_direction": setting("ImageOrientationPatient", [1.1, 0, 0, 0, 1, 0], None),
    "nearly_unit": setting("ImageOrientationPatient", [1.001, 0, 0, 0, 0.9995, 0], None),
    "spacing": setting("PixelSpacing", [0.8, 0.9]),
    "zero_spacing": setting("PixelSpacing", [0, 1], None),
    "rows": setting("Rows", 2),
    "no_position": setting("ImagePositionPatient", None),
    "other_space": setting("FrameOfReferenceUID", "1.2"),
    "slope": setting("RescaleSlope", 0),
    "own_rescale": setting("RescaleSlope", 3.25),
}


def test_slices_that_form_no_volume(tmp_path):
    cases = [changed(tmp_path / name, change) for name, change in CHANGES.items()]
    compare(cases, tmp_path / "page")


HEADERS = {
    "short": {"PixelData": b"\0" * 100},
    "large": {"Rows": 60000, "Columns": 60000},
    "frames": {"NumberOfFrames": 2},
    "no_frames": {"NumberOfFrames": 0},
    "samples": {"SamplesPerPixel": 4},
    "no_rows": {"Rows": 0},
    "high_bit": {"BitsStored": 6, "HighBit": 7},
    "spacing": {"PixelSpacing": [-1, 1]},
    "infinite": {"RescaleSlope": 1, "RescaleIntercept": 1e39},
    "segmentation": {"SOPClassUID": uid.SegmentationStorage},
    "dose": {"SOPClassUID": uid.RTDoseStorage},
}


def test_headers_that_contradict_the_pixels(tmp_path):
    changed_ones = {}
    for name, change in HEADERS.items():
        dataset = dicom.radiograph(GREY)
        for attribute, value in change.items():
            setattr(dataset, attribute, value)
        changed_ones[name] = dataset
    plan = dicom.header("CT", SOPClassUID=uid.RTPlanStorage)
    no_pixels = dicom.radiograph(GREY)
    del no_pixels.PixelData
    cases = save_all(tmp_path, {**changed_ones, "plan": plan, "no_pixels": no_pixels})
    stream = imagecodecs.jpeg2k_encode(GREY, codecformat="j2k", reversible=True)
    syntax = uid.JPEG2000Lossless
    smaller = dicom.compressed(dicom.radiograph(GREY), [stream], syntax)
    smaller.Rows = 8
    few = dicom.enhanced(numbers((13, 9, 3)), GRID)
    dicom.compressed(few, [stream, stream], syntax)
    cases += save_all(tmp_path / "compressed", {"smaller": smaller, "few": few}, syntax)
    video = dicom.compressed(dicom.radiograph(GREY), [stream], uid.MPEG2MPML)
    cases += save_all(tmp_path / "video", {"video": video}, uid.MPEG2MPML)
    text = tmp_path / "letter.dcm"
    text.write_text("a letter, which is no image " * 20)
    compare([*cases, [text]], tmp_path / "page")


def test_a_lossy_jpeg_of_12_bits_is_refused_in_a_sentence(tmp_path):
    stream = imagecodecs.jpeg_encode(GREY, level=100, bitspersample=12)
    dataset = dicom.compressed(dicom.radiograph(GREY), [stream], uid.JPEGExtended12Bit)
    (seen,) = page.read([dicom.save(dataset, tmp_path / "a.dcm", uid.JPEGExtended12Bit)], tmp_path)
    assert "a JPEG of 12 bits with loss" in seen.error


def test_colour_is_grey_where_its_channels_are_equal(tmp_path):
    equal = np.repeat(EIGHT[..., None], 3, axis=2)
    files = [dicom.save(dicom.radiograph(equal), tmp_path / "equal.dcm")]
    equal[0, 0, 0] ^= 1
    files.append(dicom.save(dicom.radiograph(equal), tmp_path / "colour.dcm"))
    grey, colour = page.read(files, tmp_path, channels=1)
    np.testing.assert_array_equal(grey.values, EIGHT[None])
    assert "three equal channels" in grey.told["remarks"][-1]
    assert "a colour picture, 3 channels that differ" in colour.error


def study(folder):
    """As scanners store it: a survey, a series of six, one of three, a plan and a radiograph."""
    scout = dicom.save_series(folder / "scout", numbers((9, 9, 1)), GRID, series="1.1", number=1)
    large = dicom.save_series(folder / "large", numbers((5, 4, 6)), GRID, series="1.2", number=2)
    small = dicom.save_series(folder / "small", numbers((5, 4, 3)), GRID, series="1.3", number=3)
    plan = dicom.save(dicom.header("CT", SOPClassUID=uid.RTPlanStorage), folder / "plan.dcm")
    chest = dicom.save(dicom.radiograph(GREY), folder / "chest.dcm")
    return [*small, plan, *large, chest, *scout]


def test_of_a_study_the_largest_series_is_taken_and_the_others_are_named(tmp_path):
    (seen,) = page.read([study(tmp_path)], tmp_path)
    np.testing.assert_array_equal(seen.values[0], numbers((5, 4, 6)))
    choice, others = seen.told["remarks"][:2]
    assert choice == (
        "series 2 (CT, 6 images of 5x4) is read, the largest of its study; not read: "
        "series 1 (DX, 1 image of 13x9), series 1 (CT, 1 image of 9x9), "
        "series 3 (CT, 3 images of 5x4)"
    )
    assert others == "DICOM objects that are no images were passed over: 1 RT Plan Storage"


def test_studies_and_radiographs_are_images_of_their_own(tmp_path):
    files = [
        *dicom.save_series(tmp_path / "a", numbers((5, 4, 3)), GRID, study="1.1"),
        *dicom.save_series(tmp_path / "b", numbers((5, 4, 3)) + 1, GRID, study="1.2"),
        *(
            dicom.save(dicom.radiograph(GREY + k, StudyInstanceUID="1.3"), tmp_path / f"{k}.dcm")
            for k in range(3)
        ),
    ]
    (images,) = page.read_all([files], tmp_path)
    assert [image.told["name"] for image in images] == [
        *("0000.dcm and 2 more", "0000.dcm and 2 more", "0.dcm", "1.dcm", "2.dcm")
    ]
    assert [image.values.flat[0] for image in images] == [0, 1, *(GREY[0, 0] + np.arange(3))]


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_zip_is_read_whatever_its_names_say(tmp_path):
    series = dicom.save_series(tmp_path / "s", numbers((5, 4, 6)), GRID)
    datas = [file.read_bytes() for file in series]
    names = ["../../up", "C:\\x", "/etc/passwd", "a/b/c.dcm", "é", "ok.dcm"]
    extra = {".hidden.dcm": b"?", "__MACOSX/._a": b"?", "a/": b"", "notes.txt": b"no image" * 99}
    files = dict(zip(names, datas, strict=True)) | extra
    cases = [
        zipped(tmp_path / "deflated.zip", files),
        zipped(tmp_path / "stored.zip", files, zipfile.ZIP_STORED),
    ]
    for seen in page.read(cases, tmp_path):
        np.testing.assert_array_equal(seen.values[0], numbers((5, 4, 6)))
        assert seen.told["name"] in ("deflated.zip", "stored.zip")
    assert not (tmp_path.parent.parent / "up").exists()


@pytest.mark.slow
def test_archives_that_are_refused(tmp_path):
    file = dicom.to_bytes(dicom.radiograph(GREY))
    good = zipped(tmp_path / "good.zip", {"a.dcm": file * 3}).read_bytes()
    cases = {
        "no directory": (good[:-30], "its directory is missing"),
        "no dicom": (zipped(tmp_path / "t.zip", {"a.txt": b"text"}).read_bytes(), "without DICOM"),
        "many": (
            zipped(tmp_path / "m.zip", {f"{n}": b"" for n in range(20_001)}).read_bytes(),
            "20001 files",
        ),
        "flipped": (good[:400] + bytes([good[400] ^ 255]) + good[401:], "damaged archive"),
        "bomb": (
            zipped(tmp_path / "b.zip", {"a.dcm": file + bytes(2**29)}).read_bytes(),
            "compressed",
        ),
        "encrypted": (good.replace(b"\x14\0\0\0\x08\0", b"\x14\0\1\0\x08\0"), "encrypted files"),
    }
    files = []
    for name, (data, _) in cases.items():
        files.append(tmp_path / f"{name}.zip")
        files[-1].write_bytes(data)
    for seen, (name, (_, said)) in zip(page.read(files, tmp_path), cases.items(), strict=True):
        assert seen.error, name
        assert said in seen.error, seen.error


def cut(stream):
    """A compressed frame with less in it than it should have, in several ways."""
    half, marker = stream[: len(stream) // 2], b"\xff\xd9"
    yield "marker", stream.rpartition(marker)[0]
    yield "half", half
    yield "zeros", half + bytes(len(stream) - len(half))
    yield "closed", half + marker
    yield "nearly", stream.rpartition(marker)[0][:-12] + marker


def test_a_compressed_frame_that_is_cut_off_is_refused_in_both(tmp_path):
    cases = []
    for number, (samples, syntax, stream) in enumerate(encoded()):
        for name, data in cut(stream):
            dataset = dicom.compressed(dicom.radiograph(samples), [data], syntax)
            cases.append([dicom.save(dataset, tmp_path / f"{number}_{name}.dcm", syntax)])
    for (file,), seen in zip(cases, page.read(cases, tmp_path, channels=3), strict=True):
        found = python_reads([file])
        assert isinstance(found, DataError), file.name
        assert seen.error, file.name
        if "closed" in file.name or "nearly" in file.name:
            assert "a broken DICOM file" in seen.error or "before its last pixel" in seen.error
        else:
            assert "without its end" in seen.error, file.name
            assert same_refusal(seen.error, found), f"{seen.error} / {found}"


def test_padding_after_a_compressed_frame_is_passed_over(tmp_path):
    cases = []
    for number, (samples, syntax, stream) in enumerate(encoded()):
        padded = dicom.compressed(dicom.radiograph(samples), [stream + bytes(20)], syntax)
        cases.append([dicom.save(padded, tmp_path / f"{number}.dcm", syntax)])
    compare(cases, tmp_path / "page")


def in_sequence(tag=b"\xfe\xff\x00\xe0"):
    """A file with a sequence in a sequence, whose inner item has this tag."""
    inner, outer = dicom.Dataset(), dicom.Dataset()
    inner.CodeValue = "inner"
    outer.ConceptNameCodeSequence = [inner]
    dataset = dicom.radiograph(GREY, ProcedureCodeSequence=[outer])
    before, _, after = dicom.to_bytes(dataset).rpartition(b"\xfe\xff\x00\xe0")
    return before + tag + after


def replaced(old, new, syntax=uid.ExplicitVRLittleEndian, dataset=None):
    """A file in which some bytes are others; they occur in it once."""
    whole = dicom.to_bytes(dataset or dicom.radiograph(GREY), syntax)
    assert whole.count(old) == 1
    return whole.replace(old, new)


def broken_files():
    """Files that no decoder refuses by itself, and what is wrong with them."""
    deflated = dicom.to_bytes(dicom.radiograph(GREY), uid.DeflatedExplicitVRLittleEndian)
    stream = imagecodecs.jpegls_encode(GREY)
    in_parts = dicom.compressed(dicom.radiograph(GREY), [stream], uid.JPEGLSLossless)
    known, unknown = b"\x10\0UI\x16\x001.2.840.10008.1.2.4.80", b"\x11"
    yield in_sequence(), None
    yield in_sequence(b"\xfe\xff\x01\xe0"), "a sequence without items"
    yield deflated[:-30], "a broken DICOM file"
    yield deflated[:400] + bytes(20) + deflated[420:], "a broken DICOM file"
    yield replaced(b"MONOCHROME2", b"MONOCHRONE2"), "pixels that mean MONOCHRONE2"
    yield replaced(b"\x04\x00CS", b"\x05\x00CS"), "pixels that mean nothing"
    yield replaced(b"\x03\x01US\x02\0\0", b"\x03\x01US\x02\0\x09"), "PixelRepresentation 9"
    yield replaced(b"\x01\x01US\x02\0\x10", b"\x01\x01US\x02\0\x11"), "the BitsStored 17"
    yield replaced(b"\x28\0\x02\0US", b"\x28\0\x0b\0US"), "no SamplesPerPixel"
    yield (
        replaced(known, unknown + known[1:], uid.JPEGLSLossless, in_parts),
        "compressed pixels in a file that says they are not",
    )


def test_what_is_damaged_is_refused_in_both(tmp_path):
    cases, expected = [], []
    for number, (data, found) in enumerate(broken_files()):
        cases.append([tmp_path / f"{number}.dcm"])
        cases[-1][0].write_bytes(data)
        expected.append(found)
    compare(cases, tmp_path / "page")
    for (file,), found in zip(cases, expected, strict=True):
        error = python_reads([file])
        assert isinstance(error, DataError) == (found is not None), file.name
        assert found is None or found in str(error), str(error)


def damaged(whole):
    """A file with some bytes changed, and every second time cut anywhere."""
    end = RNG.integers(1, len(whole) + 1) if RNG.random() < 0.5 else len(whole)
    spoiled = bytearray(whole[:end])
    for _ in range(RNG.integers(0, 5)):
        spoiled[RNG.integers(len(spoiled))] = RNG.integers(256)
    return bytes(spoiled)


def test_damage_is_a_sentence_or_harmless(tmp_path):
    streams = {syntax: stream for samples, syntax, stream in encoded() if samples is GREY}
    wholes = [
        dicom.to_bytes(dicom.radiograph(GREY)),
        dicom.to_bytes(dicom.radiograph(GREY), uid.ImplicitVRLittleEndian, meta=False),
        dicom.to_bytes(dicom.enhanced(numbers((5, 4, 3)), GRID)),
        dicom.to_bytes(dicom.radiograph(GREY), uid.DeflatedExplicitVRLittleEndian),
        *(
            dicom.to_bytes(dicom.compressed(dicom.radiograph(GREY), [stream], syntax), syntax)
            for syntax, stream in streams.items()
        ),
    ]
    wholes.append(dicom.to_bytes(rle(dicom.radiograph(GREY)), uid.RLELossless))
    files = []
    for number in range(300):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(damaged(wholes[number % len(wholes)]))
    refused = sum(seen.error is not None for seen in page.read(files, tmp_path))
    assert 150 < refused < 300  # the reader script ends at anything but a sentence


@pytest.mark.slow
def test_a_deflated_bomb_is_refused_without_the_memory_for_it(tmp_path):
    whole = dicom.to_bytes(dicom.radiograph(GREY), uid.DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(whole[140:144], "little")
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    parts = [deflater.compress(zlib.decompress(whole[start:], -zlib.MAX_WBITS))]
    parts += [deflater.compress(bytes(2**24)) for _ in range(70)]
    bomb = tmp_path / "bomb.dcm"
    bomb.write_bytes(b"".join([whole[:start], *parts, deflater.flush()]))
    (seen,) = page.read([bomb], tmp_path)
    assert "more than 1 GB when inflated" in seen.error


@pytest.mark.slow
@pytest.mark.skipif(not page.SHARED.is_dir(), reason="needs the real images of ../shared/data")
def test_real_files(tmp_path):
    shared: Path = page.SHARED
    twelve_bits = {"JPEG-lossy.dcm", "JPGExtended.dcm"}
    odd = [[f] for f in sorted(shared.glob("odd/*/*.dcm")) if f.name not in twelve_bits]
    series = [sorted(shared.glob("ct/dicom_series/CT/*")), sorted(shared.glob("dicom_seg/0*.dcm"))]
    compare([*odd, *series], tmp_path / "page")
