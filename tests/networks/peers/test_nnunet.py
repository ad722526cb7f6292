"""nnU-Net's network: how many stages, which logits, and its names."""

import pytest
import torch
from torch import nn

from lightm_unet.networks.peers.nnunet import default_features
from lightm_unet.networks.registry import build_network


@pytest.mark.parametrize(
    ("dims", "image_size", "features"),
    [
        (2, None, (32, 64, 128, 256, 512, 512, 512, 512)),
        (2, (512, 512), (32, 64, 128, 256, 512, 512, 512, 512)),
        (2, (2048, 2048), (32, 64, 128, 256, 512, 512, 512, 512)),  # never more than 8
        (2, (128, 128), (32, 64, 128, 256, 512, 512)),  # 128 / 2^5 = 4
        (2, (127, 128), (32, 64, 128, 256, 512)),
        (3, None, (32, 64, 128, 256, 320, 320)),
        (3, (128, 128, 128), (32, 64, 128, 256, 320, 320)),
        (3, (32, 48, 32), (32, 64, 128, 256)),
        (3, (5, 5, 5), (32, 64)),  # never fewer than 2
    ],
)
def test_stages_are_added_while_4_voxels_are_left_along_the_shortest_axis(
    dims, image_size, features
):
    assert default_features(dims, image_size) == features
    with torch.device("meta"):
        network = build_network("nnu-net", dims, 1, 2, image_size=image_size)
    assert network.config["features"] == features


@pytest.mark.parametrize("name", ["nnu-net", "u-mamba"])
def test_logits_of_lower_resolutions_come_in_training_mode_only_and_on_request(name):
    image = torch.zeros(1, 1, 16, 16)
    network = build_network(name, 2, 1, 2, features=(2, 4, 4, 4))
    assert [each.shape[2] for each in network.train()(image)] == [16, 8, 4]
    assert network.eval()(image).shape == (1, 2, 16, 16)
    alone = build_network(name, 2, 1, 2, features=(2, 4, 4, 4), deep_supervision=False)
    assert alone.train()(image).shape == (1, 2, 16, 16)
    assert {n: t.shape for n, t in alone.state_dict().items()} == {
        n: t.shape for n, t in network.state_dict().items()
    }


def test_the_first_of_the_logits_is_what_evaluation_gives():
    image = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    network = build_network("nnu-net", 2, 1, 2, features=(2, 4, 4))
    with torch.no_grad():
        torch.testing.assert_close(network.train()(image)[0], network.eval()(image))


def test_a_plain_network_is_what_nnunet_s_text_says():
    """Built a second time from torch's layers alone, with the same weights."""
    network = build_network("nnu-net", 2, 1, 3, features=(2, 4)).eval()
    image = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def stage(channels, width, stride, weights):
        def layers(channels, stride):
            return (
                nn.Conv2d(channels, width, 3, stride, padding=1),
                nn.InstanceNorm2d(width, affine=True),
                nn.LeakyReLU(0.01),
            )

        module = nn.Sequential(*layers(channels, stride), *layers(width, 1))
        module.load_state_dict(dict(zip(module.state_dict(), weights.values(), strict=True)))
        return module

    with torch.no_grad():
        encoder, decoder = network.encoder["stages"], network.decoder
        skip = stage(1, 2, 1, encoder[0].state_dict())(image)
        low = stage(2, 4, 2, encoder[1].state_dict())(skip)
        x = torch.cat((decoder["transpconvs"][0](low), skip), 1)
        x = stage(4, 2, 1, decoder["stages"][0].state_dict())(x)
        torch.testing.assert_close(network(image), decoder["seg_layers"][0](x))


def test_parameters_go_by_nnunet_s_names():
    names = set(build_network("nnu-net", 2, 1, 2, features=(2, 4)).state_dict())
    for part in (
        "encoder.stages.0.0.convs.0.conv.weight",
        "encoder.stages.1.0.convs.1.norm.bias",
        "decoder.stages.0.convs.0.conv.weight",
        "decoder.transpconvs.0.weight",
        "decoder.seg_layers.0.bias",
    ):
        assert part in names


def test_first_weights_are_he_s_and_first_biases_0():
    torch.manual_seed(0)
    network = build_network("nnu-net", 2, 1, 2, features=(32, 64))
    conv = network.encoder["stages"][1][0].convs[1].conv
    # Variance 2 / ((1 + 0.01^2) fan_in), with 64 * 9 inputs.
    assert conv.weight.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.02)
    assert not conv.bias.any()
