"""Whole images and sliding windows."""

import errno
import os

import pytest
import torch

from lightm_unet.errors import UsageError
from lightm_unet.models import logits_memory
from lightm_unet.models.logits import compute_image_logits, compute_logits, mirrored
from lightm_unet.preprocessing.preprocessing import Preprocessing


class Brightening(torch.nn.Module):
    """Answers with the number of the window, whatever is in it."""

    windows = 0

    def forward(self, images):
        self.windows += 1
        return torch.full_like(images, self.windows)


def test_a_whole_image_passes_through_the_network_once_as_it_is():
    seen = []
    whole = Preprocessing(spatial_dims=2, channels=1, size=(5, 7))
    images = torch.rand(1, 1, 5, 7)
    compute_logits(lambda x: seen.append(x) or x, images, whole)
    assert len(seen) == 1
    assert seen[0] is images


def test_an_image_smaller_than_the_window_is_padded_as_in_training():
    patches = Preprocessing(
        spatial_dims=2,
        channels=1,
        roi_size=(6, 6),
        normalization="ct",
        outliers="clip",
        intensity_range=(-100.0, 300.0),
        intensity_mean=50.0,
        intensity_std=75.0,
    )
    seen = []
    compute_logits(lambda x: seen.append(x.clone()) or x, torch.ones(1, 1, 2, 2), patches)
    expected = torch.full((6, 6), -2.0)  # (-100 - 50) / 75
    expected[2:4, 2:4] = 1
    torch.testing.assert_close(seen[0][0, 0], expected)


def test_windows_are_averaged_with_more_weight_at_their_centres():
    patches = Preprocessing(spatial_dims=2, channels=1, roi_size=(1, 8))
    # Two windows, at 0 to 7 and 4 to 11; both cover 4 to 7, where the first one loses weight.
    row = compute_logits(Brightening(), torch.zeros(1, 1, 1, 12), patches)[0, 0, 0]
    assert row[:4].tolist() == pytest.approx([1] * 4)
    assert row[8:].tolist() == pytest.approx([2] * 4)
    assert torch.all(row[4:8].diff() > 0)
    assert row[5:7].mean().item() == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("grid", "roi", "overlap"),
    [
        ((17, 23), (8, 8), 0.5),
        ((5, 40), (8, 16), 0.25),
        ((13, 9, 20), (6, 4, 8), 0.5),
        ((3, 30, 11), (8, 8, 8), 0.75),
        ((20, 7, 9), (4, 16, 9), 0),
        ((11, 1, 1), (3, 1, 1), 0.9),
    ],
)
def test_windows_are_averaged_as_monais_are(grid, roi, overlap):
    from monai.inferers import sliding_window_inference

    torch.manual_seed(0)
    kind = torch.nn.Conv2d if len(grid) == 2 else torch.nn.Conv3d
    network = kind(2, 3, 3, padding=1)
    images = torch.randn(2, 2, *grid)
    patches = Preprocessing(spatial_dims=len(grid), channels=2, roi_size=roi)
    with torch.inference_mode():
        expected = sliding_window_inference(
            images, roi, 1, network, overlap=overlap, mode="gaussian"
        )
        found = compute_logits(network, images, patches, overlap)
        alone = compute_image_logits(network, images[1], patches, overlap)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(alone.tensor, expected[1], rtol=1e-5, atol=1e-6)


def test_large_logits_are_the_same_from_a_file(monkeypatch):
    patches = Preprocessing(spatial_dims=3, channels=1, roi_size=(4, 8, 8))
    image = torch.randn(1, 19, 10, 12)
    network = torch.nn.Conv3d(1, 2, 3, padding=1)
    with torch.inference_mode():
        expected = compute_image_logits(network, image, patches)
        monkeypatch.setattr(logits_memory, "LARGEST_IN_MEMORY", 100)
        found = compute_image_logits(network, image, patches)
    assert expected.mapped is None
    assert found.mapped is not None
    found.release()
    assert torch.equal(found.tensor, expected.tensor)


def test_a_folder_without_space_for_large_logits_is_named(monkeypatch):
    monkeypatch.setattr(logits_memory, "LARGEST_IN_MEMORY", 100)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UsageError, match=r"take 0\.0 GB .*No space left.* TMPDIR"):
        logits_memory.take_memory((2, 100))


def test_a_mirrored_network_sees_each_mirror_image_and_mirrors_its_answer_back():
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    seen = []

    def network(images):
        seen.append(images[0, 0].tolist())
        return images * torch.tensor([1.0, 0.0, 0.0])  # knows left from right

    found = mirrored(network, [0, 1])(image)
    assert seen == [
        [[0, 1, 2], [3, 4, 5]],
        [[3, 4, 5], [0, 1, 2]],
        [[2, 1, 0], [5, 4, 3]],
        [[5, 4, 3], [2, 1, 0]],
    ]
    # The first column in two of the four views, and in the others the last.
    assert found[0, 0].tolist() == [[0, 0, 1], [1.5, 0, 2.5]]
    assert mirrored(network, []) is network
