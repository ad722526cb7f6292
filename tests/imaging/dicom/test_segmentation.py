"""DICOM segmentations, written and read back by highdicom and by this package."""

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dicom_files as dicom
from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.dicom.segment import SEGMENTATION_TYPES, Algorithm, Code, Segment
from lightm_unet.imaging.dicom.write_segmentation import (
    LEVELS,
    _agreeing,
    labels_of_levels,
    write_segmentation,
)
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import read_image, read_labels
from strategies import affines, oriented_affine, rotated

GRID = rotated(oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5)), (10, -20, 30))
SEGMENTS = (
    Segment("liver", (230, 159, 0), Code("10200004", "Liver")),
    Segment("back\\slash " + "x" * 80, (86, 180, 233)),
)
ALGORITHM = Algorithm("LightM-UNet", "1.2", {"model": "ab" * 32, "network": "lightm-unet-tiny"})
RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 99, (5, 4, 6), dtype=np.int16)


def random_labels(shape):
    """Labels, and the levels of all three labels whose largest they are."""
    chances = RNG.dirichlet([1, 1, 1], shape)
    levels = [np.rint(LEVELS * chances[..., label]).astype(np.uint16) for label in range(3)]
    return chances.argmax(-1).astype(np.uint8), levels


def write(image, path, kind="binary", labels=None, levels=None):
    made, chances = random_labels(image.geometry.shape)
    labels = made if labels is None else labels
    levels = chances if levels is None else levels
    write_segmentation(labels, image.geometry, path, SEGMENTS, ALGORITHM, kind, levels)
    return labels


def read_by_highdicom(path, files):
    """Labels `(columns, rows, slices)` of the files' images, in their order."""
    segmentation = highdicom.seg.segread(path)
    instances = [pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in files]
    if segmentation.segmentation_type.value == "FRACTIONAL":
        found = segmentation.get_pixels_by_source_instance(instances, rescale_fractional=False)
        labels = labels_of_levels(found)
    else:
        labels = segmentation.get_pixels_by_source_instance(instances, combine_segments=True)
    return labels.transpose(2, 1, 0), segmentation


@pytest.mark.parametrize("kind", SEGMENTATION_TYPES)
def test_what_highdicom_reads_are_the_labels_of_each_source_image(tmp_path, kind):
    files = dicom.save_series(tmp_path / "in", VOLUME, GRID, order=[3, 0, 5, 1, 4, 2])
    image = read_image(sorted(files))
    labels = write(image, tmp_path / "out.dcm", kind)
    found, segmentation = read_by_highdicom(tmp_path / "out.dcm", files)
    assert np.array_equal(found, labels)
    again, grid = read_labels(tmp_path / "out.dcm")
    assert np.array_equal(again, labels)
    assert image.geometry.difference(grid) is None
    np.testing.assert_allclose(grid.affine, image.geometry.affine, atol=1e-6)
    volume = segmentation.get_volume(combine_segments=kind != "fractional")
    lps = np.diag([-1.0, -1, 1, 1]) @ image.geometry.affine
    corners = sorted(
        tuple(np.round((volume.affine @ [*corner, 1])[:3], 4))
        for corner in np.ndindex(2, 2, 2)
        for corner in [np.array(corner) * (np.array(volume.spatial_shape) - 1)]
    )
    assert corners == sorted(
        tuple(np.round((lps @ [*(np.array(corner) * (np.array(labels.shape) - 1)), 1])[:3], 4))
        for corner in np.ndindex(2, 2, 2)
    )


def test_names_colours_codes_and_the_algorithm_are_stored(tmp_path):
    files = dicom.save_series(tmp_path / "in", VOLUME, GRID)
    write(read_image(files), tmp_path / "out.dcm")
    segmentation = highdicom.seg.segread(tmp_path / "out.dcm")
    liver, other = segmentation.SegmentSequence
    assert (liver.SegmentNumber, liver.SegmentLabel) == (1, "liver")
    code = liver.SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("10200004", "SCT")
    assert other.SegmentLabel.startswith("back/slash xx")
    assert other.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99LIGHTMUNET"
    colour = highdicom.color.CIELabColor.from_dicom_value(liver.RecommendedDisplayCIELabValue)
    assert np.abs(np.subtract(colour.to_rgb(), (230, 159, 0))).max() <= 1
    (algorithm,) = liver.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("LightM-UNet", "1.2")
    assert "ab" * 32 in algorithm.AlgorithmParameters
    assert segmentation.PatientName == dicom.NAME
    assert segmentation.StudyInstanceUID == dicom.STUDY
    assert segmentation.FrameOfReferenceUID == dicom.SPACE


def test_only_what_the_document_lists_is_copied(tmp_path):
    private = {"PatientAddress": "MAIN STREET", "InstitutionName": "HOSPITAL", "OperatorsName": "X"}
    files = dicom.save_series(tmp_path / "in", VOLUME, GRID, **private)
    write(read_image(files), tmp_path / "out.dcm")
    data = (tmp_path / "out.dcm").read_bytes()
    assert dicom.NAME.encode() in data
    for text in (b"MAIN STREET", b"HOSPITAL"):
        assert text not in data


def test_the_same_mask_has_the_same_uids_and_another_has_others(tmp_path):
    files = dicom.save_series(tmp_path / "in", VOLUME, GRID)
    image = read_image(files)
    labels = write(image, tmp_path / "a.dcm")
    write(image, tmp_path / "b.dcm", labels=labels)
    write(image, tmp_path / "c.dcm", labels=labels * 0)
    uids = [pydicom.dcmread(tmp_path / f"{name}.dcm").SOPInstanceUID for name in "abc"]
    assert uids[0] == uids[1] != uids[2]
    assert not read_labels(tmp_path / "c.dcm")[0].any()


@pytest.mark.parametrize("kind", SEGMENTATION_TYPES)
@pytest.mark.parametrize("spacing", [{"ImagerPixelSpacing": [0.2, 0.1]}, {}])
def test_a_radiograph_gets_a_segmentation_of_one_frame_for_each_label(tmp_path, kind, spacing):
    path = dicom.save(dicom.radiograph(VOLUME[:, :, 0].T, **spacing), tmp_path / "in.dcm")
    image = read_image(path)
    labels = write(image, tmp_path / "out.dcm", kind)
    again, grid = read_labels(tmp_path / "out.dcm")
    assert np.array_equal(again, labels)
    assert grid.is_picture
    np.testing.assert_allclose(grid.spacing_mm, image.geometry.spacing_mm)
    found, _ = read_by_highdicom(tmp_path / "out.dcm", [path])
    assert np.array_equal(found[..., 0].T, labels)


def test_frames_of_a_multi_frame_object_keep_their_order(tmp_path):
    order = [4, 1, 5, 0, 3, 2]
    path = dicom.save(dicom.enhanced(VOLUME, GRID, order), tmp_path / "in.dcm")
    image = read_image(path)
    labels = write(image, tmp_path / "out.dcm", "labelmap")
    assert np.array_equal(read_labels(tmp_path / "out.dcm")[0], labels)
    segmentation = highdicom.seg.segread(tmp_path / "out.dcm")
    uid = pydicom.dcmread(path).SOPInstanceUID
    found = segmentation.get_pixels_by_source_frame(uid, list(range(1, 7)), combine_segments=True)
    assert np.array_equal(found, labels.transpose(2, 1, 0)[order])


def test_a_flat_slice_and_images_that_lack_what_the_standard_demands(tmp_path):
    (dataset,) = dicom.slices(VOLUME[:, :, :1], GRID)
    for name in (
        "PatientName",
        "PatientID",
        "FrameOfReferenceUID",
        "SOPClassUID",
        "SliceThickness",
    ):
        delattr(dataset, name)
    dataset.SpecificCharacterSet = ""
    path = tmp_path / "in.dcm"
    path.write_bytes(dicom.to_bytes(dataset, meta=False))
    image = read_image(path)
    labels = write(image, tmp_path / "out.dcm")
    assert labels.shape == (5, 4)
    assert highdicom.seg.segread(tmp_path / "out.dcm").number_of_frames == 2
    assert np.array_equal(read_labels(tmp_path / "out.dcm")[0], labels)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_levels_give_the_labels_whatever_rounding_did(labels, seed):
    chances = np.random.default_rng(seed).dirichlet([0.5] * labels, 300)
    chances[:100] = np.random.default_rng(seed).multinomial(10, chances[:100]) / 10  # ties
    wanted = chances.argmax(-1).astype(np.uint8)
    levels = np.rint(LEVELS * chances[:, 1:]).astype(np.int16)
    agreeing = _agreeing(levels.copy(), wanted)
    assert np.array_equal(labels_of_levels(agreeing), wanted)
    assert np.abs(agreeing - levels).max() <= labels


@pytest.mark.slow
@given(affine=affines(), seed=st.integers(0, 2**32 - 1))
def test_labels_come_back_on_any_grid(tmp_path_factory, affine, seed):
    folder = tmp_path_factory.mktemp("any")
    generator = np.random.default_rng(seed)
    files = dicom.save_series(folder, VOLUME, affine, order=generator.permutation(6))
    image = read_image(sorted(files))
    labels = write(image, folder / "out.dcm")
    again, grid = read_labels(folder / "out.dcm")
    assert np.array_equal(again, labels)
    np.testing.assert_allclose(grid.affine, image.geometry.affine, atol=1e-6)


def test_slices_that_a_segmentation_left_out_are_empty(tmp_path):
    files = dicom.save_series(tmp_path / "in", VOLUME, GRID)
    labels = np.zeros(VOLUME.shape, np.uint8)
    labels[1, 1, [1, 3, 4]] = 1
    source = [pydicom.dcmread(file) for file in files]
    made = highdicom.seg.Segmentation(
        source_images=source,
        pixel_array=labels.transpose(2, 1, 0),
        segmentation_type="BINARY",
        segment_descriptions=highdicom.seg.segread(_written(tmp_path, files)).SegmentSequence[:1],
        series_instance_uid="1.2.7",
        series_number=1,
        sop_instance_uid="1.2.8",
        instance_number=1,
        manufacturer="a",
        manufacturer_model_name="a",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=True,
    )
    made.save_as(tmp_path / "gaps.dcm")
    found, _ = read_labels(tmp_path / "gaps.dcm")
    assert np.array_equal(found, labels[:, :, 1:5])


def _written(folder, files):
    write(read_image(files), folder / "written.dcm")
    return folder / "written.dcm"


def test_segments_that_overlap_are_refused(tmp_path):
    files = dicom.save_series(tmp_path / "in", VOLUME, GRID)
    path = _written(tmp_path, files)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = b"\xff" * len(dataset.PixelData)
    dataset.save_as(path)
    with pytest.raises(DataError, match="segments that overlap"):
        read_labels(path)


def test_an_image_is_no_mask_and_a_mask_no_image(tmp_path):
    files = dicom.save_series(tmp_path / "in", VOLUME, GRID)
    with pytest.raises(DataError, match=r"no segmentation \(CT Image Storage\)"):
        read_labels(files[0])
    with pytest.raises(DataError, match=r"no image \(Segmentation Storage\)"):
        read_image(_written(tmp_path, files))


def test_another_frame_of_reference_is_another_place(tmp_path):
    one, other = (
        read_image(dicom.save_series(tmp_path / space, VOLUME, GRID, FrameOfReferenceUID=space))
        for space in ("1.2", "1.3")
    )
    assert one.geometry.difference(one.geometry) is None
    assert one.geometry.difference(other.geometry) is None  # set_place gives both the same
    files = dicom.slices(VOLUME, GRID)
    for dataset in files:
        dataset.FrameOfReferenceUID = "1.4"
    moved = read_image(
        [dicom.save(each, tmp_path / "m" / f"{n}.dcm") for n, each in enumerate(files)]
    )
    assert "another DICOM frame of reference" in one.geometry.difference(moved.geometry)


def test_what_does_not_fit_is_a_mistake_of_the_caller(tmp_path):
    files = dicom.save_series(tmp_path / "in", VOLUME, GRID)
    image = read_image(files)
    with pytest.raises(UsageError, match="do not fit a DICOM grid"):
        write(image, tmp_path / "a.dcm", labels=np.zeros((2, 2), np.uint8))
    with pytest.raises(UsageError, match="labels up to 3, but 2 segments"):
        write(image, tmp_path / "a.dcm", labels=np.full(VOLUME.shape, 3))
    no_dicom = Geometry(VOLUME.shape, GRID)
    with pytest.raises(UsageError, match="do not fit a DICOM grid"):
        write_segmentation(
            np.zeros(VOLUME.shape), no_dicom, tmp_path / "a.dcm", SEGMENTS, ALGORITHM
        )
    with pytest.raises(UsageError, match="needs the labels' probabilities"):
        write_segmentation(
            np.zeros(VOLUME.shape),
            image.geometry,
            tmp_path / "a.dcm",
            SEGMENTS,
            ALGORITHM,
            "fractional",
        )
    assert not (tmp_path / "a.dcm").exists()
