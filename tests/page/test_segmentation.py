"""DICOM segmentations that the page writes, read back by pydicom and highdicom."""

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.color import CIELabColor

import browser_page as page

pytestmark = [
    page.needs_node,
    pytest.mark.skipif(not page.SHARED.is_dir(), reason="needs the images of ../shared/data"),
]

RNG = np.random.default_rng(0)
SERIES = {
    "volume": "ct/dicom_series/CT/*7?",
    "empty_charset": "dicom_seg/0*.dcm",
    "slice": "odd/pydicom/MR_small_bigendian.dcm",
}


def written(tmp_path, files):
    """The image's labels and the segmentation that the page writes of them."""
    (tmp_path / "page").mkdir()
    (seen,) = page.read([files], tmp_path / "page")
    labels = RNG.integers(0, 3, seen.told["shape"]).astype(np.uint8)
    page.write([(files, labels)], tmp_path)
    return seen, labels, highdicom.seg.segread(tmp_path / "0_seg.dcm")


def identity(image):
    """UIDs of class and instance; some files have them in their head only."""
    meta = image.file_meta
    return (
        image.get("SOPClassUID") or meta.MediaStorageSOPClassUID,
        image.get("SOPInstanceUID") or meta.MediaStorageSOPInstanceUID,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", SERIES)
def test_voxels_places_and_references(tmp_path, name):
    files = sorted(page.SHARED.glob(SERIES[name]))
    _, labels, segmentation = written(tmp_path, files)
    images = {identity(image)[1]: image for image in map(pydicom.dcmread, files)}
    stored = labels.reshape(*labels.shape[:2], -1)
    positions = np.array([image.ImagePositionPatient for image in images.values()])
    normal = np.cross(*np.reshape(next(iter(images.values())).ImageOrientationPatient, (2, 3)))
    order = [list(images)[index] for index in np.argsort(positions @ normal)]
    pixels = segmentation.get_pixels_by_source_instance(order, combine_segments=True)
    np.testing.assert_array_equal(pixels, stored.transpose(2, 1, 0))
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        image = images[source.ReferencedSOPInstanceUID]
        assert source.ReferencedSOPClassUID == identity(image)[0]
        place = group.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(place, image.ImagePositionPatient, atol=1e-6)
    image = next(iter(images.values()))
    for attribute in ("FrameOfReferenceUID", "PatientID", "PatientName"):
        assert segmentation.get(attribute) == image.get(attribute), attribute
    if image.StudyInstanceUID:
        assert segmentation.StudyInstanceUID == image.StudyInstanceUID


@pytest.mark.slow
def test_the_volume_lies_where_the_images_do(tmp_path):
    files = sorted(page.SHARED.glob(SERIES["volume"]))
    seen, labels, segmentation = written(tmp_path, files)
    volume = segmentation.get_volume(combine_segments=True)
    # highdicom's axes are slices, rows, columns, and its world is DICOM's.
    to_ras = np.diag([-1.0, -1, 1, 1]) @ volume.affine[:, [2, 1, 0, 3]]
    grid = volume.array.transpose(2, 1, 0)
    if not np.allclose(to_ras, seen.affine, atol=1e-4):  # the stack from the other end
        last = seen.affine @ [0, 0, labels.shape[2] - 1, 1]
        assert np.allclose(to_ras[:, 3], last, atol=1e-3)
        grid = grid[..., ::-1]
    np.testing.assert_array_equal(grid, labels)


@pytest.mark.slow
def test_segments_have_their_names_and_colours(tmp_path):
    files = sorted(page.SHARED.glob(SERIES["volume"]))
    _, _, segmentation = written(tmp_path, files)
    assert segmentation.segmentation_type.value == "BINARY"
    assert segmentation.number_of_segments == 3
    for number, label in enumerate(page.MODEL["labels"][1:], start=1):
        segment = segmentation.get_segment_description(number)
        assert segment.segment_label == label["name"].replace("\\", "/")
        assert segment.algorithm_type.value == "AUTOMATIC"
        expected = CIELabColor.from_rgb(*label["colour"]).value
        np.testing.assert_allclose(segment.RecommendedDisplayCIELabValue, expected, atol=1)


def test_a_radiograph_has_a_segmentation_without_a_place(tmp_path):
    image = pydicom.dcmread(page.SHARED / "odd/pydicom/MR_small.dcm")
    for attribute in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        delattr(image, attribute)
    image.Modality, image.SOPClassUID = "DX", "1.2.840.10008.5.1.4.1.1.1.1"
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.save_as(tmp_path / "chest.dcm")
    seen, labels, segmentation = written(tmp_path, [tmp_path / "chest.dcm"])
    assert seen.told["affine"] is None
    pixels = segmentation.get_pixels_by_source_instance(
        [identity(image)[1]], combine_segments=True, ignore_spatial_locations=True
    )
    np.testing.assert_array_equal(pixels[0], labels)
    assert (tmp_path / "0_mask.png").exists()
    assert not (tmp_path / "0_mask.nii.gz").exists()


def test_it_says_of_the_patient_only_what_a_study_needs(tmp_path):
    image = pydicom.dcmread(page.SHARED / "odd/pydicom/MR_small.dcm")
    image.PatientAddress = "a street"
    image.OperatorsName = "somebody"
    image.save_as(tmp_path / "image.dcm")
    _, _, segmentation = written(tmp_path, [tmp_path / "image.dcm"])
    assert "PatientAddress" not in segmentation
    assert "OperatorsName" not in segmentation
