"""Training samples that are the same in a resumed run, for any number of workers.

All randomness of a sample depends on (seed, epoch, index), and the order of samples on
(seed, epoch). No random generator is kept between samples, so no state has to be saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lightm_unet.preprocessing.augmentation import build_augmentation
from lightm_unet.preprocessing.mirroring import AUTO, plan_mirroring
from lightm_unet.preprocessing.normalization import padding_value
from lightm_unet.training.prepared_cases import PreparedCases

FOREGROUND_SHARE = 0.5
"""Fraction of patches centred on a foreground voxel, whose label is drawn first."""


class EpochIndexSampler(torch.utils.data.Sampler[tuple[int, int]]):
    """Yields (epoch, index), in an order that depends only on (seed, epoch).

    Each of several processes gets every `world_size`-th sample. All get the same number: if it does
    not divide evenly, the first few samples are used twice.

    Args:
        length: the number of samples, `len` of the `TrainingDataset`.
        seed: the run's seed.
        rank: this process's number, from 0.
        world_size: the number of processes.

    Example:
        >>> sampler = EpochIndexSampler(5, seed=0, rank=1, world_size=2)
        >>> sampler.set_epoch(3)
        >>> len(sampler), {epoch for epoch, _ in sampler}
        (3, {3})
    """

    def __init__(self, length: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.length, self.seed, self.rank, self.world_size = length, seed, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.length // self.world_size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        wrapped = np.resize(order, len(self) * self.world_size)
        for index in wrapped[self.rank :: self.world_size]:
            yield self.epoch, int(index)


class TrainingDataset(torch.utils.data.Dataset):
    """Augmented samples, indexed by (epoch, index) from an `EpochIndexSampler`.

    A sample is `{"image": float32 (channels, *grid), "labels": uint8 (1, *grid)}`. In whole-image
    mode the grid is `preprocessing.size`. In patch mode it is a random patch of `roi_size`: half
    of them are centred on a foreground voxel, as far as the image's edge allows. An image smaller
    than the patch is put into its middle, with `padding_value(preprocessing)` around it.

    Args:
        cases: the prepared training cases.
        seed: the run's seed; the same seed, epoch and index give the same sample, to the bit.
        strength: strength of the augmentation, see `build_augmentation`.
        repeats: samples drawn from each case per epoch.
        mirror_axes: axes to mirror, see `plan_mirroring`; by default as the labels' names allow.
    """

    def __init__(
        self,
        cases: PreparedCases,
        seed: int,
        strength: str = "default",
        repeats: int = 1,
        mirror_axes: Sequence[str] = (AUTO,),
    ) -> None:
        self.cases, self.seed, self.repeats = cases, seed, repeats
        self.roi_size = cases.preprocessing.roi_size
        labels, dims = cases.dataset.label_names, cases.preprocessing.spatial_dims
        self.mirroring = plan_mirroring(labels, dims, strength, mirror_axes)
        self.augment = build_augmentation(cases.preprocessing, strength, self.mirroring.axes)

    def __len__(self) -> int:
        return len(self.cases) * self.repeats

    def __getitem__(self, epoch_index: tuple[int, int]) -> dict[str, torch.Tensor]:
        epoch, index = epoch_index
        case = index % len(self.cases)
        crop_seed, augment_seed = np.random.SeedSequence([self.seed, epoch, index]).spawn(2)
        image, labels, _ = self.cases[case]
        if self.roi_size is not None:
            start = random_patch(
                tuple(labels.shape),
                self.roi_size,
                self.cases.foreground(case),
                np.random.default_rng(crop_seed),
            )
            padding = padding_value(self.cases.preprocessing)
            image = cut_patch(image, start, self.roi_size, padding)
            labels = cut_patch(labels[None], start, self.roi_size)[0]
        # Copies, so that no transform can write into the mapped files' pages.
        sample: dict[str, Any] = {"image": image.clone(), "labels": labels[None].clone()}
        self.augment.set_random_state(seed=int(augment_seed.generate_state(1)[0]))
        sample = self.augment(sample)
        return {
            "image": _plain(sample["image"]).to(torch.float32),
            "labels": _plain(sample["labels"]).to(torch.uint8),
        }


def random_patch(
    shape: tuple[int, ...],
    roi_size: tuple[int, ...],
    foreground: np.ndarray,
    generator: np.random.Generator,
) -> tuple[int, ...]:
    """Draw where a patch starts: half of the patches are centred on a foreground voxel.

    Args:
        shape: shape of the grid.
        roi_size: shape of the patch.
        foreground: positions from `PreparedCases.foreground`; may be empty.
        generator: source of the random numbers.

    Returns:
        The first voxel along each axis. It is negative where the image is smaller than the patch,
        so that the image lies in the patch's middle.
    """
    room = [length - roi for length, roi in zip(shape, roi_size, strict=True)]
    if len(foreground) and generator.random() < FOREGROUND_SHARE:
        # The label is drawn first: otherwise small structures would rarely be chosen.
        label = generator.choice(np.unique(foreground[:, 0]))
        place = generator.choice(foreground[foreground[:, 0] == label])[1:]
        wanted = [int(p) - roi // 2 for p, roi in zip(place, roi_size, strict=True)]
    else:
        wanted = [int(generator.integers(max(free, 0) + 1)) for free in room]
    return tuple(
        min(max(start, 0), free) if free >= 0 else -(-free // 2)
        for start, free in zip(wanted, room, strict=True)
    )


def cut_patch(
    array: torch.Tensor, start: tuple[int, ...], roi_size: tuple[int, ...], padding: float = 0.0
) -> torch.Tensor:
    """Cut `(channels, *roi_size)` out of `(channels, *grid)`, with `padding` outside the image.

    Example:
        >>> cut_patch(torch.tensor([[[1, 2, 3]]]), (0, -1), (1, 3))
        tensor([[[0, 1, 2]]])
    """
    patch = array.new_full((array.shape[0], *roi_size), padding)
    source, target = [slice(None)], [slice(None)]
    for first, roi, length in zip(start, roi_size, array.shape[1:], strict=True):
        low, high = max(first, 0), min(first + roi, length)
        source.append(slice(low, high))
        target.append(slice(low - first, high - first))
    patch[tuple(target)] = array[tuple(source)]
    return patch


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """A MONAI MetaTensor without its metadata, which would slow down every later operation."""
    return tensor.as_tensor() if hasattr(tensor, "as_tensor") else tensor
