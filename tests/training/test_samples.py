import numpy as np
import pytest
import torch

from lightm_unet.datasets.dataset import open_dataset
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.training.prepared_cases import PreparedCases
from lightm_unet.training.samples import (
    EpochIndexSampler,
    TrainingDataset,
    cut_patch,
    random_patch,
)


@pytest.fixture
def prepared(ct_phantoms, tmp_path):
    dataset = open_dataset(ct_phantoms)
    names = [case.name for case in dataset.training]

    def prepare(**grid):
        preprocessing = Preprocessing(spatial_dims=3, channels=1, **grid)
        return PreparedCases(dataset, names, preprocessing, tmp_path / "cache")

    return prepare


@pytest.mark.parametrize("length", [1, 5, 8])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_all_samples_and_get_equally_many(length, world_size):
    samplers = [EpochIndexSampler(length, 0, rank, world_size) for rank in range(world_size)]
    shares = [[index for _, index in sampler] for sampler in samplers]
    assert {len(share) for share in shares} == {len(samplers[0])}
    assert {index for share in shares for index in share} == set(range(length))


def test_the_order_depends_on_seed_and_epoch_alone():
    sampler, other = EpochIndexSampler(50, seed=1), EpochIndexSampler(50, seed=1)
    first = list(sampler)
    assert first == list(sampler) == list(other)
    other.set_epoch(4)
    assert {epoch for epoch, _ in other} == {4}
    assert [index for _, index in other] != [index for _, index in first]
    assert list(EpochIndexSampler(50, seed=2)) != first


def test_samples_do_not_depend_on_workers_or_on_what_came_before(prepared):
    data = TrainingDataset(prepared(roi_size=(24, 24, 24)), seed=7)
    sampler = EpochIndexSampler(len(data), seed=7)
    sampler.set_epoch(3)
    loaded = [
        list(torch.utils.data.DataLoader(data, sampler=sampler, batch_size=2, num_workers=workers))
        for workers in (0, 2)
    ]
    for alone, with_workers in zip(*loaded, strict=True):
        assert torch.equal(alone["image"], with_workers["image"])
        assert torch.equal(alone["labels"], with_workers["labels"])
    epoch, index = list(sampler)[-1]
    resumed = TrainingDataset(prepared(roi_size=(24, 24, 24)), seed=7)[(epoch, index)]
    assert torch.equal(resumed["image"], loaded[0][-1]["image"][-1])


def test_every_epoch_seed_and_repeat_gives_other_samples(prepared):
    cases = prepared(size=(16, 16, 16))
    data = TrainingDataset(cases, seed=0, repeats=2)
    assert len(data) == 2 * len(cases)
    images = [data[(0, 0)], data[(1, 0)], data[(0, len(cases))]]
    images.append(TrainingDataset(cases, seed=1)[(0, 0)])
    for i, first in enumerate(images):
        for second in images[:i]:
            assert not torch.equal(first["image"], second["image"])


def test_a_whole_image_without_augmentation_is_the_prepared_case(prepared):
    cases = prepared(size=(16, 16, 16))
    sample = TrainingDataset(cases, seed=0, strength="none")[(0, 2)]
    assert torch.equal(sample["image"], cases[2][0])
    assert torch.equal(sample["labels"], cases[2][1][None])
    assert sample["labels"].dtype == torch.uint8
    assert type(sample["image"]) is torch.Tensor


@pytest.mark.parametrize("strength", ["none", "default"])
def test_patches_have_the_roi_size_where_images_are_smaller_or_larger(prepared, strength):
    data = TrainingDataset(prepared(roi_size=(20, 64, 24)), seed=0, strength=strength)
    for index in range(len(data)):
        sample = data[(0, index)]
        assert sample["image"].shape == sample["labels"].shape == (1, 20, 64, 24)


def test_half_of_the_patches_have_foreground_in_their_middle():
    shape, roi = (60, 60, 60), (8, 8, 8)
    foreground = np.array([[1, 30, 30, 30]] * 1000 + [[2, 10, 50, 20]], np.int32)
    generator = np.random.default_rng(0)
    starts = [random_patch(shape, roi, foreground, generator) for _ in range(400)]
    # Labels count equally, however few voxels one of them has.
    common, rare = starts.count((26, 26, 26)), starts.count((6, 46, 16))
    assert 70 < common < 130
    assert 70 < rare < 130


def test_patches_stay_inside_the_image_and_reach_all_of_it():
    generator = np.random.default_rng(0)
    edge = np.array([[1, 0, 9]], np.int32)
    starts = {random_patch((6, 10), (4, 4), edge, generator) for _ in range(300)}
    assert starts == {(i, j) for i in range(3) for j in range(7)}


def test_a_smaller_image_lies_in_the_middle_of_its_patch():
    nothing = np.zeros((0, 3), np.int32)
    start = random_patch((3, 10), (8, 4), nothing, np.random.default_rng(0))
    assert start[0] == -2
    patch = cut_patch(torch.ones(1, 3, 10), start, (8, 4), padding=-6.0)
    assert patch[0, :, 0].tolist() == [-6, -6, 1, 1, 1, -6, -6, -6]
