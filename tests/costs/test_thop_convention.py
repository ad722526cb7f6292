"""The convention of the printed numbers: by hand, and against thop where it is installed."""

import warnings

import pytest
import torch
from torch import nn

from lightm_unet.costs.thop_convention import ThopCount, count_as_thop
from lightm_unet.networks.peers.mamba import Mamba
from lightm_unet.networks.registry import build_network

SIZE = (4, 6)
VOXELS = 4 * 6


class Tokens(nn.Module):
    """Layers that work on tokens, behind an image."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, image):
        return self.layers(image.flatten(2).transpose(1, 2))


@pytest.mark.parametrize(
    ("layer", "parameters", "operations"),
    [
        (nn.Conv2d(8, 4, 3, padding=1), 8 * 4 * 9 + 4, VOXELS * 4 * 8 * 9),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), 8 * 9 + 8, VOXELS * 8 * 9),
        (nn.Conv2d(8, 4, 1, stride=2), 8 * 4 + 4, VOXELS // 4 * 4 * 8),
        # In truth each voxel that comes out sees one of the four places of the kernel.
        (nn.ConvTranspose2d(8, 4, 2, 2), 8 * 4 * 4 + 4, 4 * VOXELS * 4 * 8 * 4),
        (nn.InstanceNorm2d(8), 0, 2 * VOXELS * 8),
        (nn.InstanceNorm2d(8, affine=True), 16, 4 * VOXELS * 8),
        (nn.BatchNorm2d(8), 16, 4 * VOXELS * 8),
        (nn.GroupNorm(2, 8), 0, 0),
        (nn.AvgPool2d(2), 0, VOXELS // 4 * 8),
        (nn.MaxPool2d(2), 0, 0),
        (nn.ReLU(), 0, 0),
        (nn.Upsample(scale_factor=2, mode="bilinear"), 0, 11 * 4 * VOXELS * 8),
        (nn.Upsample(scale_factor=2, mode="nearest"), 0, 4 * VOXELS * 8),
        (nn.Softmax(dim=1), 0, VOXELS * (8 + 7 + 8)),
        (Tokens(nn.Linear(8, 5)), 8 * 5 + 5, VOXELS * 8 * 5),
        (Tokens(nn.LayerNorm(8)), 16, 4 * VOXELS * 8),
        (Tokens(Mamba(8)), 0, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_each_layer_counts_by_its_rule_for_each_image_of_the_batch(layer, parameters, operations):
    for batch in (1, 3):
        count = count_as_thop(layer, SIZE, batch, in_channels=8)
        assert count == ThopCount(parameters, batch * operations)


def test_trilinear_interpolation_counts_nothing():
    layer = nn.Upsample(scale_factor=2, mode="trilinear")
    assert count_as_thop(layer, (4, 4, 4), in_channels=8) == ThopCount(0, 0)


def test_a_layer_that_is_never_called_and_a_loose_parameter_do_not_count():
    class Partial(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(8, 2, 1), nn.Conv2d(8, 2, 1)
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, image):
            return self.scale * self.used(image)

    assert count_as_thop(Partial(), SIZE, in_channels=8) == ThopCount(18, VOXELS * 16)


def test_a_layer_called_twice_has_its_parameters_once_and_its_operations_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, image):
            return self.conv(self.conv(image))

    assert count_as_thop(Twice(), SIZE, in_channels=8) == ThopCount(72, 2 * VOXELS * 64)


class Block(nn.Module):
    """As nnU-Net holds a convolution: by its name, and in a list of all modules."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)
        self.all_modules = nn.Sequential(self.conv)

    def forward(self, image):
        return self.all_modules(image)


class Decoder(nn.Module):
    """As nnU-Net's decoder holds the encoder that it belongs to."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.block = Block(4, 2)

    def forward(self, image):
        return self.block(image)


class Published(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Block(8, 4)
        self.decoder = Decoder(self.encoder)

    def forward(self, image):
        return self.decoder(self.encoder(image))


def test_places_multiply_the_parameters_and_their_square_the_operations():
    encoder, decoder = (8 * 4 + 4, VOXELS * 8 * 4), (4 * 2 + 2, VOXELS * 4 * 2)
    assert count_as_thop(Published(), SIZE, in_channels=8) == ThopCount(
        4 * encoder[0] + 2 * decoder[0], 16 * encoder[1] + 4 * decoder[1]
    )


def test_places_that_a_network_declares_count_as_those_that_it_has():
    class Ours(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 2, 1)

        def published_places(self, name):
            return {"encoder": 4, "decoder": 2}[name]

        def forward(self, image):
            return self.decoder(self.encoder(image))

    published = count_as_thop(Published(), SIZE, in_channels=8)
    assert count_as_thop(Ours(), SIZE, in_channels=8) == published


def test_the_network_is_left_as_it_is():
    network = build_network("nnu-net", 2, 1, 2, features=(4, 8)).eval()
    before = network.state_dict()
    count_as_thop(network, (16, 16))
    assert not network.training
    assert not any(module._forward_hooks for module in network.modules())
    for name, value in network.state_dict().items():
        assert value.device.type == "cpu"
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("segresnet", {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)}),
        ("unetr", {"feature_size": 4, "hidden_size": 12, "mlp_dim": 16, "num_heads": 2}),
        (
            "swin-unetr",
            {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4)},
        ),
        ("vssm-to-conv3", {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)}),
    ],
)
def test_agrees_with_thop_on_whole_networks(name, options, dims):
    network = build_network(name, dims, 1, 2, (32,) * dims, **options)
    assert_agrees_with_thop(network, (32,) * dims, in_channels=1)


def test_agrees_with_thop_on_layers_in_several_places():
    assert_agrees_with_thop(Published(), SIZE, in_channels=8)


def import_thop():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks distutils which torch this is
        return pytest.importorskip("thop", reason="thop, a check only, is not installed")


def assert_agrees_with_thop(network, size, in_channels):
    actual = count_as_thop(network, size, 2, in_channels)
    # Afterwards, since thop leaves hooks on layers that it meets twice.
    images = torch.zeros(2, in_channels, *size)
    operations, parameters = import_thop().profile(network, (images,), verbose=False)
    assert actual == ThopCount(int(parameters), int(operations))
