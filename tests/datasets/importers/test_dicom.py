"""DICOM images with masks in NIfTI, DICOM and PNG become a data set."""

import nibabel
import numpy as np
import pytest
from PIL import Image as PillowImage

import dicom_files as dicom
from lightm_unet.datasets.check import check_dataset
from lightm_unet.datasets.importers import import_dataset
from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.segment import Algorithm, Segment
from lightm_unet.imaging.dicom.write_segmentation import write_segmentation
from lightm_unet.imaging.image import read_image, read_labels
from strategies import oriented_affine, rotated

RNG = np.random.default_rng(0)
GRID = rotated(oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5)), (10, -20, 30))
SHAPE = (9, 7, 6)


def series(folder, seed, **attributes):
    """A series and the label map that belongs to it, in the axes of the volume."""
    random = np.random.default_rng(seed)
    volume = random.integers(-999, 999, SHAPE).astype(np.int16)
    dicom.save_series(folder, volume, GRID, random.permutation(SHAPE[2]), **attributes)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:6, 1:5, 1 + seed : 4 + seed] = 1
    labels[3, 3, 2 + seed] = 2
    return volume, labels


def save_other_way(labels, path):
    """The label map with its axes permuted and one of them running backwards."""
    place = np.zeros((4, 4))
    place[[2, 0, 1, 3], [0, 1, 2, 3]] = 1
    place[0, 1], place[0, 3] = -1, SHAPE[0] - 1
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.flip(labels.transpose(2, 0, 1), 1)
    nibabel.Nifti1Image(stored, GRID @ place).to_filename(path)


def save_segmentation(labels, folder, path):
    image = read_image(sorted(folder.iterdir()))
    names = [Segment(name, (255, 0, 0)) for name in ("liver", "tumour")]
    labels = labels if np.allclose(image.geometry.affine, GRID, atol=1e-4) else labels[:, :, ::-1]
    write_segmentation(labels, image.geometry, path, tuple(names), Algorithm("test", "1", {}))


def expect(root, case, volume, labels):
    image, place = read_image(root / "imagesTr" / f"{case}_0000.nii.gz"), None
    mask, place = read_labels(root / "labelsTr" / f"{case}.nii.gz")
    assert image.geometry.difference(place) is None
    to_volume = np.linalg.inv(GRID) @ image.geometry.affine
    indices = np.indices(mask.shape).reshape(3, -1)
    at = tuple(np.rint(to_volume[:3, :3] @ indices + to_volume[:3, 3:]).astype(int))
    assert np.array_equal(image.array[0].ravel(), volume[at])
    assert np.array_equal(mask.ravel(), labels[at])


def test_series_with_masks_in_nifti_and_dicom(tmp_path, listen):
    pairs = {name: series(tmp_path / "in" / name, seed) for seed, name in enumerate(("one", "two"))}
    save_other_way(pairs["one"][1], tmp_path / "masks" / "one_seg.nii.gz")
    (tmp_path / "masks" / "two").mkdir()
    save_segmentation(
        pairs["two"][1], tmp_path / "in" / "two", tmp_path / "masks" / "two" / "any.dcm"
    )
    lines = []
    with listen(lines.append):
        import_dataset(
            tmp_path / "in",
            tmp_path / "new",
            masks=tmp_path / "masks",
            labels=["liver", "tumour"],
            channel="CT",
        )
    for name, (volume, labels) in pairs.items():
        expect(tmp_path / "new", name, volume, labels)
    assert check_dataset(tmp_path / "new").ok
    assert any("stored in other axes" in line for line in lines)
    everything = b"".join(
        nibabel.load(path).header.binaryblock for path in (tmp_path / "new").rglob("*.nii.gz")
    )
    assert b"DOE" not in everything
    assert b"4711" not in everything


def test_one_series_and_one_mask_are_a_pair_whatever_they_are_called(tmp_path):
    volume, labels = series(tmp_path / "CT", 0)
    save_other_way(labels, tmp_path / "masks" / "example.nii")
    import_dataset(tmp_path / "CT", tmp_path / "new", masks=tmp_path / "masks")
    expect(tmp_path / "new", "CT", volume, labels)


def test_radiographs_with_masks_as_pictures(tmp_path):
    films = {}
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        films[name] = RNG.integers(0, 4096, (9, 11), dtype=np.uint16)
        film = dicom.radiograph(films[name], bits_stored=12, PixelSpacing=[0.2, 0.1])
        dicom.save(film, tmp_path / "in" / f"{name}.dcm")
        mask = np.zeros((9, 11), np.uint8)
        mask[2:5, 3:9] = 255
        PillowImage.fromarray(mask).save(tmp_path / "masks" / f"{name}_mask.png")
    import_dataset(tmp_path / "in", tmp_path / "new", masks=tmp_path / "masks", kind="pairs")
    for name, film in films.items():
        image = read_image(tmp_path / "new" / "imagesTr" / f"{name}_0000.png")
        assert np.array_equal(image.array[0], film)
    labels, _ = read_labels(tmp_path / "new" / "labelsTr" / "a.png")
    assert labels.sum() == 18


def test_a_mask_of_another_grid_and_a_series_with_a_gap_are_named(tmp_path):
    _, labels = series(tmp_path / "in" / "one", 0)
    moved = GRID.copy()
    moved[0, 3] += 0.4
    (tmp_path / "masks").mkdir()
    nibabel.Nifti1Image(labels, moved).to_filename(tmp_path / "masks" / "one.nii")
    with pytest.raises(DataError, match=r"one\.nii: found an affine that puts voxels"):
        import_dataset(tmp_path / "in", tmp_path / "new", masks=tmp_path / "masks")
    dicom.save_series(tmp_path / "in" / "one", np.zeros(SHAPE, np.int16), GRID)[2].unlink()
    with pytest.raises(DataError, match=r"missing slice|uneven"):
        import_dataset(tmp_path / "in", tmp_path / "new", masks=tmp_path / "masks")
    assert not (tmp_path / "new").exists()


def test_two_studies_in_one_folder_need_folders_of_their_own(tmp_path):
    series(tmp_path / "in" / "one", 0)
    volume = np.zeros(SHAPE, np.int16)
    for number, data in enumerate(dicom.slices(volume, GRID, study="1.9", series="1.9.1")):
        dicom.save(data, tmp_path / "in" / "one" / f"other{number}.dcm")
    save_other_way(np.ones(SHAPE, np.uint8), tmp_path / "masks" / "one.nii")
    with pytest.raises(DataError, match=r"several images \(studies\) in one folder"):
        import_dataset(tmp_path / "in", tmp_path / "new", masks=tmp_path / "masks")
