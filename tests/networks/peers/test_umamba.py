"""U-Mamba's own parts; test_released_weights.py compares the whole with its authors' code."""

import pytest
import torch
import torch.nn.functional as F

from lightm_unet.errors import UsageError
from lightm_unet.networks.peers.umamba import ResidualConvBlock, UMamba
from lightm_unet.networks.registry import build_network


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


def scanned(x, norm, mamba):
    """What a Mamba with a norm before it makes of a grid of voxels, without a shortcut."""
    tokens = norm(x.flatten(2).transpose(1, 2))
    return mamba(tokens).transpose(1, 2).reshape(x.shape)


@torch.no_grad()
def test_one_mamba_replaces_what_leaves_the_encoder():
    torch.manual_seed(0)
    network, x = build_network("u-mamba", 2, 1, 2, features=(2, 4)).eval(), torch.randn(1, 1, 6, 10)
    stem, (high_stage, low_stage) = network.encoder["stem"], network.encoder["stages"]
    high = high_stage(stem(x))
    low = scanned(low_stage(high), network.ln, network.mamba)
    torch.testing.assert_close(network(x), decoded(network, high, low))


@torch.no_grad()
def test_in_the_encoder_form_every_stage_hands_on_what_its_mamba_makes_of_it():
    torch.manual_seed(0)
    network = build_network("u-mamba-encoder", 2, 1, 2, features=(2, 4)).eval()
    x = torch.randn(1, 1, 6, 10)
    stem, (high_stage, low_stage) = network.encoder["stem"], network.encoder["stages"]
    first, second = (layer.values() for layer in network.encoder["mamba_layers"])
    high = scanned(high_stage(stem(x)), *first)
    low = scanned(low_stage(high), *second)
    torch.testing.assert_close(network(x), decoded(network, high, low))


def decoded(network, high, low):
    """What a decoder of one stage makes of two resolutions."""
    (upsample,), (stage,), (head,) = (
        network.decoder[part] for part in ("transpconvs", "stages", "seg_layers")
    )
    return head(stage(torch.cat((upsample(low), high), 1)))


def test_the_encoder_form_has_a_mamba_for_each_stage_more():
    def parameters(name):
        with torch.device("meta"):
            return sum(p.numel() for p in build_network(name, 3, 1, 3).parameters())

    def layer(c):
        # LayerNorm; in_proj, out_proj; conv1d; x_proj; dt_proj; A_log and D, of 2c channels.
        r = c // 16
        return 2 * c + 6 * c * c + 10 * c + 2 * c * (r + 32) + 2 * c * (r + 1) + 34 * c

    expected = parameters("u-mamba") + sum(map(layer, (32, 64, 128, 256, 320)))
    assert parameters("u-mamba-encoder") == expected


def test_another_form_is_refused():
    with pytest.raises(UsageError, match="form must be one of bottleneck, encoder; got 'both'"):
        UMamba(2, 1, 2, form="both")
