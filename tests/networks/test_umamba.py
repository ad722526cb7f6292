"""U-Mamba's own parts; test_released_weights.py compares the whole with its authors' code."""

import torch
import torch.nn.functional as F

from lightm_unet.networks import build_network
from lightm_unet.networks.umamba import ResidualConvBlock


def normalise(x):
    """InstanceNorm with its first weights."""
    axes = tuple(range(2, x.dim()))
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + 1e-5)


def test_a_block_adds_a_shortcut_averaged_and_projected():
    torch.manual_seed(0)
    block, x = ResidualConvBlock(2, 3, 5, stride=2), torch.randn(2, 3, 8, 6)
    weights = dict(block.named_parameters())
    first = F.conv2d(x, weights["conv1.conv.weight"], weights["conv1.conv.bias"], 2, padding=1)
    first = F.leaky_relu(normalise(first), 0.01)
    second = F.conv2d(first, weights["conv2.conv.weight"], weights["conv2.conv.bias"], padding=1)
    shortcut = F.conv2d(F.avg_pool2d(x, 2), weights["skip.1.conv.weight"])
    expected = F.leaky_relu(normalise(second) + normalise(shortcut), 0.01)
    torch.testing.assert_close(block(x), expected)


def test_a_shortcut_without_a_change_is_the_input_itself():
    assert len(ResidualConvBlock(3, 4, 4).skip) == 0


def test_one_mamba_replaces_what_leaves_the_encoder():
    torch.manual_seed(0)
    network, x = build_network("u-mamba", 2, 1, 2, features=(2, 4)), torch.randn(1, 4, 3, 5)
    tokens = x.flatten(2).transpose(1, 2)
    with torch.no_grad():
        expected = network.mamba(F.layer_norm(tokens, (4,))).transpose(1, 2).reshape(x.shape)
        torch.testing.assert_close(network.bottleneck(x), expected)
