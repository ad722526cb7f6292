import gzip
import json
import logging

import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.datasets.check import check_dataset
from lightm_unet.datasets.dataset import open_case_images, open_case_labels
from lightm_unet.datasets.importers import import_dataset
from lightm_unet.datasets.splits import find_split
from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.nifti import read_nifti, write_nifti
from lightm_unet.imaging.picture import write_picture

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def xray(path, value=100, shape=(8, 10)):
    write_picture(np.full(shape, value), path)


def mask(path, columns, shape=(8, 10)):
    values = np.zeros(shape)
    values[:, columns] = 255
    write_picture(values, path)


def volume(path, labels=False, channels=None, top=2):
    generator = np.random.default_rng(0)
    shape = (6, 7, 8) if channels is None else (6, 7, 8, channels)
    values = generator.integers(0, top + 1, shape) if labels else generator.normal(0, 99, shape)
    write_nifti(values.astype(np.uint8 if labels else np.int16), AFFINE, path)


@pytest.fixture
def lungs(tmp_path):
    """CXR_png and masks, both ways of naming them, and one X-ray without a mask."""
    source = tmp_path / "source"
    for name, mask_name in (
        ("CHNCXR_0001_0", "CHNCXR_0001_0_mask"),
        ("MCUCXR_0002_1", "MCUCXR_0002_1"),
        ("MCUCXR_0003_0", "MCUCXR_0003_0"),
    ):
        xray(source / "CXR_png" / f"{name}.png")
        mask(source / "masks" / f"{mask_name}.png", slice(2, 5))
    xray(source / "CXR_png" / "CHNCXR_0009_0.png")
    return source


@pytest.fixture
def msd(tmp_path):
    def make(channels=1, **changes):
        source = tmp_path / "Task99_Thing"
        names = [f"thing_{i}" for i in range(3)]
        for name in names:
            volume(
                source / "imagesTr" / f"{name}.nii.gz", channels=channels if channels > 1 else None
            )
            volume(source / "labelsTr" / f"{name}.nii.gz", labels=True)
        content = {
            "name": "Thing",
            "modality": {str(i): f"MR{i}" for i in range(channels)},
            "labels": {"0": "Background", "1": "a", "2": "b"},
            "training": [
                {"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"}
                for n in names
            ],
            **changes,
        }
        (source / "dataset.json").write_text(json.dumps(content))
        return source

    return make


def test_lungs_masks_become_one_and_images_without_one_are_named(lungs, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = import_dataset(lungs, tmp_path / "new")
    assert dataset.label_names == ("background", "lung")
    assert [case.name for case in dataset.training] == [
        "CHNCXR_0001_0",
        "MCUCXR_0002_1",
        "MCUCXR_0003_0",
    ]
    assert dataset.training[1].patient == "MCUCXR_0002"
    assert dataset.left_out == ("CHNCXR_0009_0",)
    assert "1 image(s) without a mask left out: CHNCXR_0009_0" in caplog.text
    labels = open_case_labels(dataset, dataset.training[0])
    assert np.unique(labels).tolist() == [0, 1]
    assert labels.sum() == 24
    assert check_dataset(tmp_path / "new").ok


def test_nlms_own_layout_joins_left_and_right_lung(tmp_path):
    source = tmp_path / "nlm"
    montgomery, shenzhen = source / "MontgomerySet", source / "ChinaSet_AllFiles"
    for name in ("MCUCXR_0001_0", "MCUCXR_0002_0"):
        xray(montgomery / "CXR_png" / f"{name}.png")
        mask(montgomery / "ManualMask" / "leftMask" / f"{name}.png", slice(1, 3))
    mask(montgomery / "ManualMask" / "rightMask" / "MCUCXR_0001_0.png", slice(6, 8))
    xray(shenzhen / "CXR_png" / "CHNCXR_0001_1.png")
    mask(shenzhen / "mask" / "CHNCXR_0001_1_mask.png", slice(0, 5))
    dataset = import_dataset(source, tmp_path / "new")
    assert [case.name for case in dataset.training] == ["CHNCXR_0001_1", "MCUCXR_0001_0"]
    assert dataset.left_out == ("MCUCXR_0002_0",)  # one lung alone is not a mask of both
    assert open_case_labels(dataset, dataset.training[1])[0].tolist() == [
        0,
        1,
        1,
        0,
        0,
        0,
        1,
        1,
        0,
        0,
    ]


def test_a_single_nlm_set_is_found_too(tmp_path):
    source = tmp_path / "MontgomerySet"
    xray(source / "CXR_png" / "MCUCXR_0001_0.png")
    for side in ("leftMask", "rightMask"):
        mask(source / "ManualMask" / side / "MCUCXR_0001_0.png", slice(1, 3))
    assert len(import_dataset(source, tmp_path / "new").training) == 1


def test_xrays_stored_in_colour_become_grey(lungs, tmp_path):
    colour = np.full((8, 10, 3), (30, 60, 90), np.uint8)
    Picture.fromarray(colour).save(lungs / "CXR_png" / "MCUCXR_0003_0.png")
    dataset = import_dataset(lungs, tmp_path / "new")
    image = open_case_images(dataset, dataset.case("MCUCXR_0003_0"))
    assert image.array.shape == (1, 8, 10)
    assert (image.array == 60).all()


def test_grey_masks_and_other_shapes_stop_the_import_and_nothing_is_left(lungs, tmp_path):
    bad = lungs / "masks" / "MCUCXR_0002_1.png"
    for values, message in (
        (np.arange(80).reshape(8, 10), "mask values"),
        (np.zeros((8, 11)), "shape"),
    ):
        write_picture(values, bad)
        with pytest.raises(DataError, match=f"MCUCXR_0002_1.*{message}"):
            import_dataset(lungs, tmp_path / "new")
        assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_lits_is_found_across_folders_and_plain_nii_is_compressed(tmp_path):
    source = tmp_path / "lits"
    volume(source / "part 1" / "volume-0.nii")
    volume(source / "part 2" / "volume-12.nii.gz")
    volume(source / "part 2" / "volume-13.nii")
    volume(source / "masks" / "segmentation-0.nii", labels=True)
    volume(source / "masks" / "segmentation-12.nii.gz", labels=True)
    dataset = import_dataset(source, tmp_path / "new")
    assert dataset.label_names == ("background", "liver", "tumour")
    assert dataset.channel_names == ("CT",)
    assert [case.name for case in dataset.training] == ["liver_000", "liver_012"]
    assert dataset.left_out == ("liver_013",)
    images = tmp_path / "new" / "imagesTr"
    plain = (source / "part 1" / "volume-0.nii").read_bytes()
    assert gzip.decompress((images / "liver_000_0000.nii.gz").read_bytes()) == plain
    packed = (source / "part 2" / "volume-12.nii.gz").read_bytes()
    assert (images / "liver_012_0000.nii.gz").read_bytes() == packed


def test_lits_with_a_lost_volume_or_two_of_one_number_is_refused(tmp_path):
    source = tmp_path / "lits"
    volume(source / "volume-0.nii")
    volume(source / "segmentation-0.nii", labels=True)
    volume(source / "segmentation-1.nii", labels=True)
    with pytest.raises(DataError, match=r"segmentation-1.*without its volume"):
        import_dataset(source, tmp_path / "new", kind="lits")
    volume(source / "volume-1.nii")
    volume(source / "copy" / "volume-1.nii.gz")
    with pytest.raises(DataError, match="a second volume 1"):
        import_dataset(source, tmp_path / "new", kind="lits")


def test_the_decathlon_is_copied_byte_by_byte_with_a_seeded_split(msd, tmp_path):
    source = msd()
    dataset = import_dataset(source, tmp_path / "new", seed=4)
    assert dataset.name == "Thing"
    assert dataset.label_names == ("background", "a", "b")
    for case in dataset.training:
        original = source / "imagesTr" / f"{case.name}.nii.gz"
        assert case.images[0].read_bytes() == original.read_bytes()
    split = find_split(dataset, seed=0)
    assert split.seed == 4
    assert len(split.training) == len(split.validation) == len(split.test) == 1


def test_progress_tells_of_each_image(msd, tmp_path):
    events = []
    data = import_dataset(msd(), tmp_path / "out", progress=events.append)
    assert [event.item for event in events] == [*(case.name for case in data.training), ""]
    assert {(event.task, event.total) for event in events} == {("import", len(data.training))}


def test_the_decathlons_modalities_become_one_file_each(msd, tmp_path):
    source = msd(channels=2)
    dataset = import_dataset(source, tmp_path / "new")
    assert dataset.channel_names == ("MR0", "MR1")
    stored, _, _ = read_nifti(source / "imagesTr" / "thing_0.nii.gz")
    image = open_case_images(dataset, dataset.case("thing_0"))
    np.testing.assert_array_equal(image.array, np.moveaxis(stored, -1, 0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": [{"image": "../x.nii.gz", "label": "a"}]}, "paths inside the folder"),
        ({"training": [{"image": "/etc/x.nii.gz", "label": "a"}]}, "paths inside the folder"),
        ({"training": ["x"]}, "no list of training pairs"),
        ({"training": []}, "no image with a label map"),
        ({"modality": None}, "modality"),
        ({"labels": {"0": "background", "2": "b"}}, "labels"),
        ({"labels": {"0": "background", "1": "a"}}, r"the label value\(s\) 2"),
    ],
)
def test_a_decathlon_task_that_does_not_fit_is_refused(msd, tmp_path, changes, message):
    source = msd(**changes)
    with pytest.raises(DataError, match=message):
        import_dataset(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_one_damaged_pair_is_named_and_nothing_is_left(msd, tmp_path):
    source = msd()
    bad = source / "imagesTr" / "thing_1.nii.gz"
    bad.write_bytes(bad.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"thing_1\.nii\.gz: found damaged gzip data"):
        import_dataset(source, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["Task99_Thing"]


def test_unknown_kinds_folders_and_full_targets_are_refused(lungs, make_dataset, tmp_path):
    with pytest.raises(UsageError, match="kind must be one of auto, montgomery-shenzhen"):
        import_dataset(lungs, tmp_path / "new", kind="brats")
    empty = tmp_path / "empty"
    empty.mkdir()
    for source, message in (
        (empty, "no known data set"),
        (tmp_path / "gone", "no such folder"),
        (make_dataset(), "use this folder as it is"),
    ):
        with pytest.raises(DataError, match=message):
            import_dataset(source, tmp_path / "new")
    with pytest.raises(UsageError, match="files there already"):
        import_dataset(lungs, make_dataset())


def test_the_real_sets_import_completely(shared_data, tmp_path):
    dataset = import_dataset(shared_data / "Task04_Hippocampus", tmp_path / "hippocampus")
    assert len(dataset.training) == 208
    assert dataset.label_names == ("background", "Anterior", "Posterior")
    split = find_split(dataset)
    assert (len(split.training), len(split.validation), len(split.test)) == (145, 21, 42)
