"""M2U-Net: its published count, and the encoder's sizes."""

import pytest
import torch

from lightm_unet.networks.peers.m2unet import SKIPS, InvertedResidual, M2UNet
from lightm_unet.networks.registry import build_network


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def picture(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_with_three_channels_and_one_logit_it_has_the_published_number_of_parameters():
    assert count(M2UNet(2, 3, 1)) == 549_748


def test_a_further_class_costs_one_filter_of_the_five_inner_channels_and_its_norm():
    assert count(M2UNet(2, 3, 2)) - count(M2UNet(2, 3, 1)) == 5 + 2


def test_the_encoder_is_mobilenet_v2_up_to_a_sixteenth_of_the_size():
    network, found, x = M2UNet(2, 3, 1).eval(), {}, picture(1, 3, 64, 96)
    with torch.no_grad():
        for number, block in enumerate(network.encoder):
            x = block(x)
            found[number] = tuple(x.shape[1:])
    assert len(found) == 14
    assert [found[number] for number in SKIPS] == [(16, 32, 48), (24, 16, 24), (32, 8, 12)]
    assert found[13] == (96, 4, 6)


def test_a_block_has_a_shortcut_where_the_shape_stays():
    assert InvertedResidual(8, 8, 6).is_residual
    assert not InvertedResidual(8, 8, 6, stride=2).is_residual
    assert not InvertedResidual(8, 9, 6).is_residual
    block = InvertedResidual(8, 8, 6).eval()
    torch.nn.init.zeros_(block.layers[-2].weight)
    x = picture(1, 8, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("size", [(1, 1), (13, 9), (32, 4), (3, 50)])
def test_pictures_of_any_size_keep_it(size):
    network = build_network("m2unet", 2, 3, 4)
    assert network.eval()(picture(2, 3, *size)).shape == (2, 4, *size)
    assert network.train()(picture(1, 3, *size)).shape == (1, 4, *size)


def test_a_seed_gives_the_same_network():
    def logits(seed):
        torch.manual_seed(seed)
        with torch.no_grad():
            return build_network("m2unet", 2, 1, 2).eval()(picture(1, 1, 16, 16))

    assert torch.equal(logits(3), logits(3))
    assert not torch.equal(logits(3), logits(4))
