"""What the networks from MONAI need besides the contract of all networks."""

import pytest
import torch

from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import build_network

SMALL = {"feature_size": 4, "hidden_size": 12, "mlp_dim": 16, "num_heads": 2}


def test_unetr_is_built_for_one_size_rounded_up_to_whole_patches():
    network = build_network("unetr", 2, 1, 2, image_size=(20, 33), **SMALL)
    assert network.config["image_size"] == (32, 48)
    assert network(torch.zeros(1, 1, 20, 33)).shape == (1, 2, 20, 33)


def test_an_image_too_large_for_unetr_is_refused_with_advice():
    network = build_network("unetr", 2, 1, 2, image_size=(32, 32), **SMALL)
    with pytest.raises(
        UsageError,
        match="built for images of up to 32x32, got 16x33; build it with that image_size, or",
    ):
        network(torch.zeros(1, 1, 16, 33))


def test_unetr_is_built_for_the_paper_s_images_by_default():
    with torch.device("meta"):
        assert build_network("unetr", 2, 1, 2).config["image_size"] == (512, 512)
        assert build_network("unetr", 3, 1, 2).config["image_size"] == (128, 128, 128)


def test_swin_unetr_pads_a_single_patch_so_that_it_can_be_normalised():
    options = {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4)}
    network = build_network("swin-unetr", 2, 1, 2, **options).train()
    assert network.pad(torch.zeros(1, 1, 20, 20)).shape == (1, 1, 32, 64)
    assert network.pad(torch.zeros(1, 1, 20, 33)).shape == (1, 1, 32, 64)
    assert network.pad(torch.zeros(1, 1, 33, 20)).shape == (1, 1, 64, 32)
    assert network(torch.zeros(1, 1, 20, 20)).shape == (1, 2, 20, 20)
