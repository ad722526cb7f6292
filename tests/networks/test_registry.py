"""Networks by name: what a name stands for, to the parameter, and what is refused."""

import pytest
import torch

from lightm_unet.costs.counting import count_network
from lightm_unet.errors import UsageError
from lightm_unet.networks.registry import NETWORKS, build_network, network_names, network_options

PAPER = {3: (1, 3, (128, 128, 128)), 2: (3, 2, (512, 512))}

# Parameters; GMACs of one image as a decimal of so many digits; GFLOP of the scans. 3D, then 2D;
# one entry alone is 2D.
COSTS = {
    "lightm-unet": [(2_542_078, "64.17", "33.07"), (2_533_469, "21.53", "7.35")],
    "lightm-unet-small": [(1_063_587, "28.54", "6.28"), (1_055_570, "8.73", "1.39")],
    "lightm-unet-tiny": [(388_131, "13.61", "4.19"), (383_506, "3.61", "0.93")],
    "lightm-unet-nano": [(67_347, "4.33", "2.06"), (65_034, "0.88", "0.43")],
    "lightm-unet-released": [(5_015_766, "154.54", "91.86"), (5_011_765, "47.75", "18.98")],
    "lightm-unet-first-upload": [(6_150_168, "352.96", "91.86"), (5_375_991, "61.50", "18.98")],
    "nnu-net": [(31_196_399, "477.37", "0.00"), (46_325_134, "59.76", "0.00")],
    "segresnet": [(18_796_035, "579.15", "0.00"), (6_299_106, "62.25", "0.00")],
    "unetr": [(93_029_619, "175.99", "0.00"), (88_317_186, "119.81", "0.00")],
    "swin-unetr": [(62_186_757, "762.89", "0.00"), (25_139_324, "71.13", "0.00")],
    "u-mamba": [(58_407_567, "985.41", "0.01"), (86_148_014, "117.01", "0.00")],
    "lwnet": [(68_580, "4.10", "0.00")],
    "m2unet": [(549_755, "1.26", "0.00")],
    "vssm-to-conv3": [(18_796_035, "756.72", "0.00"), (6_299_106, "73.12", "0.00")],
    "without-adjustment-factors": [
        (6_150_168 - 21, "352.96", "91.86"),
        (5_375_991 - 21, "61.50", "18.98"),
    ],
    "without-residual-connections": [
        (6_150_168 - 21, "352.96", "91.86"),
        (5_375_991 - 21, "61.50", "18.98"),
    ],
}


def on_meta(name, dims, in_channels, out_channels, **options):
    with torch.device("meta"):
        return build_network(name, dims, in_channels, out_channels, **options)


@pytest.mark.parametrize(
    ("name", "dims"),
    [(name, dims) for name, costs in COSTS.items() for dims in (3, 2)[-len(costs) :]],
)
def test_networks_cost_exactly_this(name, dims):
    in_channels, classes, size = PAPER[dims]
    parameters, gmacs, scan_gflop = COSTS[name][-1 if dims == 2 else 0]
    # The extra logits of deep supervision are part of nnU-Net's and U-Mamba's published counts.
    cost = count_network(on_meta(name, dims, in_channels, classes), size, training=True)
    assert cost.parameters == parameters
    assert f"{cost.macs / 1e9:.2f}" == gmacs
    assert f"{cost.scan_flops / 1e9:.2f}" == scan_gflop


@pytest.mark.parametrize(
    ("name", "limit"),
    [("lightm-unet-small", 1_090_000), ("lightm-unet-tiny", 399_000), ("lightm-unet-nano", 68_000)],
)
def test_the_small_networks_keep_the_paper_s_promise_of_size_and_cost_less(name, limit):
    small, whole = (count_network(on_meta(n, 2, 3, 2), (512, 512)) for n in (name, "lightm-unet"))
    assert small.parameters <= limit
    assert 2 * small.macs + small.scan_flops <= 2 * whole.macs + whole.scan_flops


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lightm-unet", 2_533_387),
        ("lightm-unet-released", 5_011_683),
        ("lightm-unet-first-upload", 5_375_415),
    ],
)
def test_grey_pictures_take_a_few_parameters_less_than_coloured_ones(name, parameters):
    assert sum(p.numel() for p in on_meta(name, 2, 1, 2).parameters()) == parameters


def test_self_attention_replaces_the_eight_scans_of_the_lowest_resolution():
    with_attention = on_meta("vssm-to-self-attention", 3, 1, 3)
    assert sum(key.endswith("qkv.weight") for key in with_attention.state_dict()) == 8
    # Mamba at 256 channels, 512 inner: in_proj, conv1d, x_proj, dt_proj, A_log, D, out_proj.
    mamba = 256 * 1024 + 512 * 5 + 512 * 48 + (16 * 512 + 512) + 512 * 16 + 512 + 512 * 256
    expected = 6_150_168 - 8 * mamba + 8 * 256 * 768
    assert sum(p.numel() for p in with_attention.parameters()) == expected


def test_an_unknown_name_is_answered_with_the_names():
    with pytest.raises(UsageError, match=r"network must be one of lightm-unet, .*; got 'unet'"):
        build_network("unet", 2, 1, 2)


@pytest.mark.parametrize("name", network_names())
def test_an_unknown_option_is_answered_with_the_options(name):
    known = ", ".join(network_options(name)) or "none"
    with pytest.raises(UsageError, match=f"{name} has no option depth; it has {known}"):
        build_network(name, 2, 1, 2, depth=3)


@pytest.mark.parametrize("name", sorted(set(network_names()) - set(network_names(3))))
def test_a_network_for_pictures_alone_refuses_volumes_by_its_name(name):
    with pytest.raises(UsageError, match=f"{name} takes 2D images only, not 3D; .*lightm-unet"):
        build_network(name, 3, 1, 2)


@pytest.mark.parametrize("name", network_names())
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 1, 2), "spatial_dims is 2 or 3, got 4"),
        ((2, 0, 2), "positive whole numbers, got 0 in and 2 out"),
        ((2, 1, 1.5), "positive whole numbers, got 1 in and 1.5 out"),
    ],
)
def test_impossible_dimensions_and_channels_are_refused(name, arguments, message):
    with pytest.raises(UsageError, match=message):
        build_network(name, *arguments)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("segresnet", {"init_filters": 12}, "init_filters needs a multiple of 8, got 12"),
        ("segresnet", {"blocks_down": (1, 0)}, "blocks_down needs a list of positive whole"),
        ("segresnet", {"blocks_down": (1, 2)}, "blocks_up needs a list of 1 positive whole"),
        ("segresnet", {"blocks_down": (1,), "blocks_up": ()}, "at least two resolutions, got"),
        ("unetr", {"hidden_size": 100}, "hidden_size needs a multiple of num_heads, got 100"),
        ("unetr", {"mlp_dim": "wide"}, "mlp_dim needs a positive whole number, got 'wide'"),
        ("unetr", {"image_size": (32,)}, "image_size needs a list of 2 positive whole"),
        ("swin-unetr", {"feature_size": 20}, "feature_size needs a multiple of 12, got 20"),
        ("swin-unetr", {"num_heads": (5, 5, 5, 5)}, "48 channels cannot be shared by 5"),
        ("swin-unetr", {"depths": (2, 2)}, "depths needs a list of 4 positive whole"),
        ("nnu-net", {"features": (32,)}, "features needs at least two stages"),
        ("nnu-net", {"features": 32}, "features needs a list of positive whole numbers, got 32"),
        ("nnu-net", {"deep_supervision": 1}, "deep_supervision is true or false, got 1"),
        ("nnu-net", {"image_size": (32,)}, "image_size needs a list of 2 positive whole"),
        ("u-mamba", {"blocks_encoder": 0}, "blocks_encoder needs a positive whole number, got 0"),
        ("lightm-unet-released", {"init_filters": 4}, "init_filters needs a multiple of 8, got 4"),
        ("lightm-unet-released", {"form": "first-upload"}, "means form=released, got 'first-upl"),
        ("lightm-unet-tiny", {"width": 32}, "lightm-unet-tiny means width=16, got 32"),
        ("vssm-to-conv3", {"layer": "mamba"}, "vssm-to-conv3 means layer=conv3, got 'mamba'"),
        ("lightm-unet-released", {"layer": "lstm"}, "layer must be one of mamba, .*; got 'lstm'"),
    ],
)
def test_options_that_no_network_can_be_built_from_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        build_network(name, 2, 1, 2, **options)


@pytest.mark.parametrize("name", network_names())
def test_an_image_of_another_shape_is_refused(name):
    with pytest.raises(UsageError, match=r"takes \(batch, 1, H, W\), got \(1, 2, 8, 8\)"):
        on_meta(name, 2, 1, 2)(torch.empty(1, 2, 8, 8, device="meta"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lightm-unet:width=100000000", "^lightm-unet: width is at most 1048576, got 100000000$"),
        ("lightm-unet:encoder_layers=[1,2000]", "encoder_layers is at most 1024, got 2000"),
        (f"lightm-unet:encoder_layers={[1] * 17}", "encoder_layers has at most 16 numbers, got 17"),
        ("lightm-unet:width=300000", r"lightm-unet: .* parameters need \d+ GiB, and .* are free"),
        ("segresnet:init_filters=800000", "segresnet: the network's parameters need"),
    ],
)
def test_what_no_machine_holds_is_refused_before_it_is_built(text, message):
    with pytest.raises(UsageError, match=message):
        build_network(text, 3, 1, 2)


def test_looking_whether_it_fits_draws_no_random_numbers():
    torch.manual_seed(0)
    network = build_network("lightm-unet:width=8", 2, 1, 2)
    torch.manual_seed(0)
    again = NETWORKS["lightm-unet"].build(2, 1, 2, width=8)
    for first, second in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(first, second)


def test_a_name_that_is_nearly_right_comes_first():
    with pytest.raises(UsageError, match=r"^did you mean 'lightm-unet' or .*[?] network must be"):
        build_network("lightm-nuet", 2, 1, 2)
    with pytest.raises(
        UsageError, match=r"^did you mean 'width'[?] lightm-unet has no option widht"
    ):
        build_network("lightm-unet:widht=8", 2, 1, 2)
