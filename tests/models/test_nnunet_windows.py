"""Sliding windows as nnU-Net lays them."""

import pytest
import torch

from lightm_unet.models.logits import compute_logits
from lightm_unet.models.nnunet_windows import window_logits, window_starts
from lightm_unet.preprocessing.preprocessing import Preprocessing


class Seen(torch.nn.Module):
    """Gives its input twice, and notes the sizes."""

    def __init__(self):
        super().__init__()
        self.sizes, self.sums = [], []

    def forward(self, image):
        self.sizes.append(tuple(image.shape))
        self.sums.append(float(image.sum()))
        return torch.cat([image, -image], dim=1)


@pytest.mark.parametrize(
    ("size", "roi", "step", "starts"),
    [
        (110, 64, 0.5, [0, 23, 46]),
        (64, 64, 0.5, [0]),
        (65, 64, 0.5, [0, 1]),
        (40, 16, 1.0, [0, 12, 24]),
    ],
)
def test_windows_have_equal_distances(size, roi, step, starts):
    assert window_starts(size, roi, step) == starts


def test_the_average_of_what_is_the_same_everywhere_is_the_same():
    image = torch.randn(2, 1, 11, 9, 10)
    network = Seen()
    logits = window_logits(network, image, (8, 8, 4), 0.5)
    torch.testing.assert_close(logits, torch.cat([image, -image], dim=1), atol=1e-5, rtol=0)
    assert network.sizes == [(2, 1, 8, 8, 4)] * (2 * 2 * 4)


def test_a_smaller_image_lies_in_the_middle_of_zeros():
    image = torch.ones(1, 1, 5, 4)
    network = Seen()
    plan = Preprocessing(2, 1, roi_size=(8, 8), normalization="nnunet-zscore")
    logits = compute_logits(network, image, plan)
    assert (network.sizes, network.sums) == ([(1, 1, 8, 8)], [20.0])
    torch.testing.assert_close(logits, torch.cat([image, -image], dim=1))


def test_the_middle_of_a_window_counts_more_than_its_edge():
    steps = iter([0.0, 1.0])

    def network(image):
        return torch.full_like(image, next(steps))

    logits = window_logits(network, torch.zeros(1, 1, 8, 12), (8, 8), 0.5)[0, 0, 4]
    assert torch.equal(logits[:4], torch.zeros(4))
    assert torch.equal(logits[8:], torch.ones(4))
    assert logits[4] < 0.2 < 0.8 < logits[7] + 0.2
    assert (logits.diff() >= 0).all()
