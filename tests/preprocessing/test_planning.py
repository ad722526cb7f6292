import json

import numpy as np
import pytest

from lightm_unet.datasets.dataset import open_dataset
from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.preprocessing.normalization import normalise
from lightm_unet.preprocessing.planning import plan_preprocessing

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def rename_channel(root, name):
    path = root / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "channel_names": {"0": name}}))


def test_without_a_choice_it_is_the_papers_sizes(make_dataset, xray_phantoms):
    plan = plan_preprocessing(open_dataset(make_dataset()), ["case_0"])
    assert (plan.spatial_dims, plan.size, plan.roi_size) == (3, (128, 128, 128), None)
    xray = open_dataset(xray_phantoms)
    plan = plan_preprocessing(xray, [xray.training[0].name])
    assert (plan.spatial_dims, plan.size, plan.normalization) == (2, (512, 512), "zscore")


def test_one_number_stands_for_all_axes(make_dataset):
    dataset = open_dataset(make_dataset())
    plan = plan_preprocessing(dataset, ["case_0"], roi_size=[32], spacing_mm=[1.5])
    assert plan.roi_size == (32, 32, 32)
    assert plan.spacing_mm == (1.5, 1.5, 1.5)


@pytest.mark.parametrize(
    ("channel", "normalization"),
    [
        ("CT", "ct"),
        ("ct_venous", "ct"),
        ("Contrast CT", "ct"),
        ("MRI", "zscore"),
        ("PECT", "zscore"),
    ],
)
def test_ct_as_a_word_in_the_channels_name_asks_for_ct(make_dataset, channel, normalization):
    root = make_dataset()
    rename_channel(root, channel)
    assert plan_preprocessing(open_dataset(root), ["case_0"]).normalization == normalization


def test_ct_statistics_are_those_of_the_training_foreground(make_dataset):
    root = make_dataset(cases=3)
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[:2] = 1
    for index, value in enumerate((40, 60, 9999)):
        image = np.where(labels, value, -1000).astype(np.int16)
        write_nifti(image, AFFINE, root / "imagesTr" / f"case_{index}_0000.nii.gz")
        write_nifti(labels, AFFINE, root / "labelsTr" / f"case_{index}.nii.gz")
    plan = plan_preprocessing(open_dataset(root), ["case_0", "case_1"])
    assert plan.intensity_range == (40, 60)
    assert plan.intensity_mean == 50
    assert plan.intensity_std == 10


def fill(root, images, labels):
    for index, image in enumerate(images):
        write_nifti(
            np.asarray(image, np.float32), AFFINE, root / f"imagesTr/case_{index}_0000.nii.gz"
        )
        write_nifti(labels, AFFINE, root / "labelsTr" / f"case_{index}.nii.gz")


def test_a_saturated_foreground_leaves_the_rest_visible(make_dataset):
    """An implant of 3071 alone would give a range of no width."""
    root = make_dataset(cases=1)
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[:2] = 1
    body = np.random.default_rng(0).normal(40, 30, labels.shape)
    fill(root, [np.where(labels, 3071, body)], labels)
    plan = plan_preprocessing(open_dataset(root), ["case_0"])
    low, high = plan.intensity_range
    assert low < 0
    assert high == 3071
    shown = normalise(body[None].astype(np.float32), plan)
    assert np.std(shown) > 0.01


def test_ct_images_of_one_value_are_a_data_error(make_dataset):
    root = make_dataset(cases=1)
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[:2] = 1
    fill(root, [np.full(labels.shape, -1024.0)], labels)
    with pytest.raises(DataError, match="the single intensity -1024"):
        plan_preprocessing(open_dataset(root), ["case_0"])


def test_ct_without_any_foreground_is_a_data_error(make_dataset):
    root = make_dataset(cases=1)
    write_nifti(np.zeros((6, 7, 8), np.uint8), AFFINE, root / "labelsTr" / "case_0.nii.gz")
    with pytest.raises(DataError, match="no foreground voxel"):
        plan_preprocessing(open_dataset(root), ["case_0"])
    plan_preprocessing(open_dataset(root), ["case_0"], normalization="zscore")


@pytest.mark.parametrize(
    "options",
    [
        {"size": [32], "roi_size": [32]},
        {"size": [32, 32]},
        {"spacing_mm": [1.0]},
        {"size": [32], "spacing_mm": [1.0]},
        {"roi_size": [0]},
        {"normalization": "minmax"},
    ],
)
def test_options_that_contradict_each_other_are_refused(make_dataset, options):
    with pytest.raises(UsageError):
        plan_preprocessing(open_dataset(make_dataset()), ["case_0"], **options)


def test_a_case_is_needed_and_must_exist(make_dataset):
    dataset = open_dataset(make_dataset())
    with pytest.raises(UsageError):
        plan_preprocessing(dataset, [])
    with pytest.raises(DataError, match="no case other"):
        plan_preprocessing(dataset, ["other"])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_among_volumes_does_not_make_the_plan_flat(make_dataset, axis):
    root = make_dataset(cases=2)
    for folder, name in (("imagesTr", "case_0_0000"), ("labelsTr", "case_0")):
        thin = np.expand_dims(np.eye(6, dtype=np.uint8), axis)
        write_nifti(thin, AFFINE, root / folder / f"{name}.nii.gz")
    plan = plan_preprocessing(open_dataset(root), ["case_0", "case_1"], roi_size=[8])
    assert (plan.spatial_dims, plan.roi_size) == (3, (8, 8, 8))
