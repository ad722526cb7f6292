"""What the page's readers of NIfTI and DICOM have to live with; run by node, without a browser."""

import gzip
import zipfile

import imagecodecs
import numpy as np
import pytest
from pydicom import uid

import browser_page
import dicom_files as dicom
from faults import fault
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.read import read_series
from made_nifti import nifti
from strategies import oriented_affine

pytestmark = browser_page.needs_node
SECTION = "Volumes in the browser page"
GRID = oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5))
VOLUME = np.arange(5 * 4 * 6, dtype=np.int16).reshape(5, 4, 6)
GREY = np.random.default_rng(0).integers(0, 4096, (9, 13), dtype=np.uint16)


@pytest.fixture
def says(tmp_path):
    """What the page says of files that come together: the sentence, or that it reads them."""

    def says(*files):
        (seen,) = browser_page.read([list(files)], tmp_path)
        return seen.error or "is read"

    return says


@pytest.fixture
def made(tmp_path):
    """Writes a file of these bytes."""

    def made(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return made


@fault(
    SECTION,
    "a text file named scan.nii",
    "Found no NIfTI header; expected a NIfTI-1 or NIfTI-2 file; copy or export the file again.",
)
def test_text_as_nifti(says, made):
    return says(made("scan.nii", b"a letter " * 100))


@fault(
    SECTION,
    "a NIfTI file, compressed or not, that is cut off",
    "240 for shape (5, 4, 6) of int16: it is cut off; damaged gzip data",
)
def test_cut_nifti(says, made):
    whole = nifti(VOLUME)
    plain, packed = (
        says(made("a.nii", whole[:-9])),
        says(made("a.nii.gz", gzip.compress(whole)[:90])),
    )
    assert "at most" in plain
    return f"{plain.split('expected ')[1].split(';')[0]}; {packed[6:23]}"


@fault(
    SECTION,
    "a NIfTI header that asks for 1e31 voxels",
    "refused before memory is taken: it is cut off",
)
def test_absurd_nifti(says, made):
    data = bytearray(nifti(VOLUME))
    data[40:56] = np.array([7, *[32767] * 7], "<i2").tobytes()
    return f"refused before memory is taken: {says(made('a.nii', bytes(data))).split(': ')[1][:13]}"


@fault(
    SECTION,
    "one bit of compressed NIfTI voxels that is flipped",
    "Found damaged gzip data (incorrect data check)",
)
def test_flipped_bit(says, made):
    noise = np.random.default_rng(0).integers(0, 2**15, (9, 9, 9)).astype(np.int16)
    data = bytearray(gzip.compress(nifti(noise), mtime=0))
    stored = bytearray(gzip.compress(nifti(noise), 0, mtime=0))  # so that inflating succeeds
    stored[len(stored) // 2] ^= 1
    assert "damaged" in says(made("b.nii.gz", bytes(data[: len(data) // 2])))
    return says(made("a.nii.gz", bytes(stored))).split(";")[0]


@fault(SECTION, "a DICOM file that is cut off within its pixels", "100 bytes of pixels")
def test_cut_dicom(says, made):
    whole = dicom.to_bytes(dicom.radiograph(GREY))
    return (
        says(made("a.dcm", whole[: len(whole) - GREY.nbytes + 100]))
        .split("Found ")[1]
        .split(";")[0]
    )


@fault(
    SECTION,
    "compressed DICOM pixels that are cut off, in all six compressions, given to the page and to "
    "`predict`",
    "6 of 6 in both: found a compressed frame without its end",
)
def test_cut_frames(tmp_path):
    eight = (GREY // 16).astype(np.uint8)
    streams = {
        uid.JPEGBaseline8Bit: (eight, imagecodecs.jpeg_encode(eight)),
        uid.JPEGLosslessSV1: (eight, imagecodecs.jpeg_encode(eight, lossless=True)),
        uid.JPEGLSLossless: (GREY, imagecodecs.jpegls_encode(GREY)),
        uid.JPEGLSNearLossless: (GREY, imagecodecs.jpegls_encode(GREY, level=2)),
        uid.JPEG2000Lossless: (GREY, imagecodecs.jpeg2k_encode(GREY, codecformat="j2k")),
        uid.JPEG2000: (GREY, imagecodecs.jpeg2k_encode(GREY, level=40, codecformat="j2k")),
    }
    files = []
    for syntax, (samples, stream) in streams.items():
        half = dicom.compressed(dicom.radiograph(samples), [stream[: len(stream) // 2]], syntax)
        files.append(dicom.save(half, tmp_path / f"{syntax}.dcm", syntax))
    told = "found a compressed frame without its end"
    refused = []
    for file, seen in zip(files, browser_page.read(files, tmp_path), strict=True):
        with pytest.raises(DataError) as error:
            read_series(file)
        refused.append(told in str(error.value) and (seen.error or "").lower().startswith(told))
    return f"{sum(refused)} of {len(files)} in both: {told}"


@fault(
    SECTION,
    "a radiotherapy plan, a segmentation, an image without pixels",
    "RT Plan Storage; Segmentation Storage; no pixels",
)
def test_no_images(says, tmp_path):
    plan = dicom.header("CT", SOPClassUID=uid.RTPlanStorage)
    mask = dicom.radiograph(GREY, SOPClassUID=uid.SegmentationStorage)
    empty = dicom.radiograph(GREY)
    del empty.PixelData
    files = [dicom.save(each, tmp_path / f"{n}.dcm") for n, each in enumerate((plan, mask, empty))]
    told = [says(file) for file in files]
    kinds = [sentence.split("(1 ")[1].split(")")[0] for sentence in told[:2]]
    return "; ".join([*kinds, told[2].split("Found ")[1].split(" (")[0]])


@fault(
    SECTION,
    "a series of which a slice is missing, doubled, or out of line",
    "1 missing slice; two slices at one place; slices that lie beside each other",
)
def test_series_with_faults(says, tmp_path):
    def moved(axis, mm, name):
        datasets = dicom.slices(VOLUME, GRID)
        position = list(datasets[3].ImagePositionPatient)
        position[axis] += mm
        datasets[3].ImagePositionPatient = position
        return [dicom.save(each, tmp_path / name / f"{n}.dcm") for n, each in enumerate(datasets)]

    whole = dicom.save_series(tmp_path / "whole", VOLUME, GRID)
    missing = says(*whole[:3], *whole[4:])
    doubled, beside = says(*moved(2, -2.5, "doubled")), says(*moved(0, 2.0, "beside"))
    place = doubled.split("Found ")[1].split(" mm")[0]
    return "; ".join(
        [
            missing.split("Found ")[1].split(":")[0],
            "two slices at one place" if place.startswith("two slices at ") else place,
            beside.split("Found ")[1].split(":")[0],
        ]
    )


@fault(
    SECTION,
    "several series, a plan and a radiograph of one study, dropped together",
    "the series with 6 images is read; 2 others are named; 1 RT Plan Storage was passed over",
)
def test_a_study(tmp_path):
    large = dicom.save_series(tmp_path / "large", VOLUME, GRID, series="1.1")
    small = dicom.save_series(tmp_path / "small", VOLUME[..., :3], GRID, series="1.2")
    chest = dicom.save(dicom.radiograph(GREY), tmp_path / "chest.dcm")
    plan = dicom.save(dicom.header("CT", SOPClassUID=uid.RTPlanStorage), tmp_path / "plan.dcm")
    (seen,) = browser_page.read([[*small, chest, plan, *large]], tmp_path)
    choice, passed_over = seen.told["remarks"][:2]
    others = choice.split("not read: ")[1].count("series ")
    return (
        f"the series with {seen.values.shape[-1]} images is read; {others} others are named; "
        f"{passed_over.split(': ')[1]} was passed over"
    )


@fault(SECTION, "a zip with names such as ../../x and C:\\x", "is read; no name is used as a path")
def test_names_in_a_zip(says, tmp_path):
    files = dicom.save_series(tmp_path / "s", VOLUME, GRID)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, file in enumerate(files):
            archive.writestr(("../../x", "C:\\x")[number % 2] + str(number), file.read_bytes())
    before = {path for path in tmp_path.parent.rglob("*") if not path.is_relative_to(tmp_path)}
    told = says(tmp_path / "a.zip")
    after = {path for path in tmp_path.parent.rglob("*") if not path.is_relative_to(tmp_path)}
    return f"{told}; {'no name is' if before == after else 'names are'} used as a path"


@fault(
    SECTION,
    "a zip with 20,001 files, and one that grows 1000-fold",
    "20001 files; 0.3 GB compressed",
)
def test_zip_bombs(says, tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(20_001):
            archive.writestr(str(number), b"")
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(2**28 + 2**22))
    many, large = says(tmp_path / "many.zip"), says(tmp_path / "large.zip")
    return f"{many.split('with ')[1].split(';')[0]}; {large.split('with ')[1].split(' 10')[0]}"


@fault(
    SECTION,
    "a transfer syntax that is no image's, such as MPEG2",
    "Found the transfer syntax MPEG2 Main Profile / Main Level",
)
def test_video(says, tmp_path):
    video = dicom.compressed(dicom.radiograph(GREY), [b"video!"], uid.MPEG2MPML)
    return says(dicom.save(video, tmp_path / "a.dcm", uid.MPEG2MPML)).split(";")[0]
