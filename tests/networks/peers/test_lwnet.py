"""W-Net: its published counts, and the logits of both its U-Nets."""

import pytest
import torch

from lightm_unet.errors import UsageError
from lightm_unet.networks.base import TwoStages
from lightm_unet.networks.peers.lwnet import LittleUNet, LittleWNet
from lightm_unet.networks.registry import build_network
from lightm_unet.training.losses import dice_cross_entropy, training_loss


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def picture(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_with_three_channels_and_one_logit_it_has_the_published_number_of_parameters():
    assert count(LittleUNet(3, 1, (8, 16, 32))) == 34_201
    assert count(LittleWNet(2, 3, 1)) == 68_482


def test_a_further_class_costs_each_head_and_the_second_u_net_s_first_block():
    # 9 in each head of 8 channels; 8 x 9 of the first convolution and 8 of its shortcut.
    assert count(LittleWNet(2, 3, 2)) - count(LittleWNet(2, 3, 1)) == 2 * 9 + 8 * 9 + 8


@pytest.mark.parametrize("size", [(1, 1), (13, 9), (32, 4), (3, 50)])
def test_pictures_of_any_size_keep_it(size):
    network = build_network("lwnet", 2, 3, 4)
    assert network.eval()(picture(2, 3, *size)).shape == (2, 4, *size)
    assert [each.shape for each in network.train()(picture(1, 3, *size))] == [(1, 4, *size)] * 2


def test_the_last_of_the_two_logits_in_training_is_the_answer_in_evaluation():
    network = build_network("lwnet", 2, 1, 2).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # so that both modes normalise alike
    x = picture(2, 1, 64, 64)
    with torch.no_grad():
        both = network(x)
        assert isinstance(both, TwoStages)
        alone = network.eval()(x)
    assert torch.equal(alone, both.last)
    assert not torch.allclose(alone, both.first, rtol=0.1)


def test_the_second_u_net_sees_the_image_and_the_first_s_logits():
    network, seen = build_network("lwnet", 2, 1, 2).eval(), []
    network.second.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = picture(1, 1, 8, 8)
    with torch.no_grad():
        network(x)
        assert torch.equal(seen[0], torch.cat((x, network.first(x)), 1))


def test_both_stages_are_trained_alike():
    labels = torch.randint(2, (1, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    last, first = picture(1, 2, 8, 8), picture(1, 2, 8, 8).flip(2)
    expected = (dice_cross_entropy(last, labels) + dice_cross_entropy(first, labels)) / 2
    torch.testing.assert_close(training_loss(TwoStages(last, first), labels), expected)


def test_a_seed_gives_the_same_network():
    def logits(seed):
        torch.manual_seed(seed)
        with torch.no_grad():
            return build_network("lwnet", 2, 1, 2).eval()(picture(1, 1, 16, 16))

    assert torch.equal(logits(3), logits(3))
    assert not torch.equal(logits(3), logits(4))


@pytest.mark.parametrize(
    ("features", "message"),
    [((8,), "at least two resolutions, got"), ((8, 0), "a list of positive whole numbers, got")],
)
def test_features_that_no_network_can_be_built_from_are_refused(features, message):
    with pytest.raises(UsageError, match=message):
        build_network("lwnet", 2, 1, 2, features=features)
