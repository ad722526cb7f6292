"""Whole images and sliding windows."""

import pytest
import torch

from lightm_unet.models.logits import compute_logits
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
