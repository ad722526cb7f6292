"""LightM-UNet: its exact size, its wiring, and a contract that holds with every option."""

import json

import pytest
import torch
import torch.nn.functional as F

from composed import composed_form
from lightm_unet.errors import UsageError
from lightm_unet.networks.lightm_unet import LightMUNet, LightMUNetOptions
from lightm_unet.networks.registry import build_network

TINY = {"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1}
OPTIONS = [
    {},
    {"expand": 1},
    {"expand": 1.5},
    {"d_state": 1},
    {"conv": "spatial"},
    {"d_conv": 1},
    {"directions": 2},
    {"directions": 4},
    {"directions": 4, "conv": "spatial", "expand": 3, "d_state": 5},
    {"encoder_layers": (1, 2), "bottleneck_layers": 2},
    {"encoder_layers": (1, 1, 1)},
    {"width": 3},
    {"stem": "conv"},
    {"stem": "dwconv-bias"},
    {"encoder_layers": (1, 2), "bottleneck_width": 5},
    {"checkpoint_layers": True},
    {"norm": "batch"},
    {"norm": "instance"},
    {"norm": "batch", "stem": "conv-norm", "head": "dwconv-norm"},
    {"norm": "instance", "stem": "conv-norm", "head": "dwconv-norm"},
]


def make(dims, in_channels=1, out_channels=2, seed=0, **options):
    torch.manual_seed(seed)
    return LightMUNet(dims, in_channels, out_channels, **{**TINY, **options})


def image(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


# ---------------------------------------------------------------------------------------- size


@pytest.mark.parametrize(
    ("dims", "in_channels", "classes", "conv", "count"),
    [
        (3, 1, 3, "causal", 2_542_078),
        (2, 3, 2, "causal", 2_533_469),
        (2, 1, 2, "causal", 2_533_387),
        (3, 1, 3, "spatial", 2_608_318),
        (2, 3, 2, "spatial", 2_547_869),
        (2, 1, 2, "spatial", 2_547_787),
    ],
)
def test_the_paper_s_network_has_exactly_so_many_parameters(
    dims, in_channels, classes, conv, count
):
    assert parameters(LightMUNet(dims, in_channels, classes, conv=conv)) == count


@pytest.mark.parametrize(
    ("dims", "in_channels", "classes", "count"),
    [(2, 1, 2, 383_218), (2, 3, 2, 383_506), (3, 1, 3, 388_131)],
)
def test_a_tiny_network_with_norms_has_exactly_so_many_parameters(
    dims, in_channels, classes, count
):
    options = {"width": 16, "expand": 1, "d_state": 8, "norm": "batch"}
    network = LightMUNet(
        dims, in_channels, classes, stem="conv-norm", head="dwconv-norm", **options
    )
    assert parameters(network) == count


def test_the_decoder_s_norm_is_between_the_residual_and_the_relu():
    block = make(2, norm="batch").decoder[0].eval()
    low, skip = image(1, 4, 8), image(1, 16, 8, seed=1)
    with torch.no_grad():
        block.norm.weight.fill_(0.0)
        block.norm.bias.fill_(-1.0)  # below zero everywhere: nothing passes the ReLU
        assert not block(low, skip, (4, 4)).any()
        block.norm.bias.fill_(1.0)  # 1 everywhere, whatever comes in
        expected = block.halve.weight.flatten(1).sum(1)
        torch.testing.assert_close(block(low, skip, (4, 4)), expected.expand(1, 16, -1))


def test_every_part_of_the_paper_s_network_has_its_share():
    network = LightMUNet(3, 1, 3)
    assert parameters(network.stem) == 27 + 32
    assert [parameters(block) for block in network.encoder] == [12_320, 78_912, 284_800]
    assert parameters(network.bottleneck) == 2_023_424
    # Depthwise 27 C, pointwise C^2, s' C, halving C^2 / 2, for C of 256, 128 and 64.
    assert [parameters(block) for block in network.decoder] == [
        27 * c + c * c + c + c * c // 2 for c in (256, 128, 64)
    ]
    assert parameters(network.head) == (27 * 32 + 32) + (32 * 3 + 3)


# -------------------------------------------------------------------------------------- wiring


def network_by_hand(network, x, layer_by_hand):
    """Section 2 of the paper, computed from nothing but the network's parameters."""
    weights = dict(network.named_parameters())
    conv = {2: F.conv2d, 3: F.conv3d}[network.spatial_dims]
    max_pool = {2: F.max_pool2d, 3: F.max_pool3d}[network.spatial_dims]
    mode = {2: "bilinear", 3: "trilinear"}[network.spatial_dims]

    def dwconv(x, name):
        for part, options in (
            ("depthwise", {"padding": 1, "groups": x.shape[1]}),
            ("pointwise", {}),
        ):
            weight, bias = weights[f"{name}.{part}.weight"], weights.get(f"{name}.{part}.bias")
            x = conv(x, weight, bias, **options)
        return x

    def rvm_layers(x, layers):
        tokens = x.flatten(2).transpose(1, 2)
        for layer in layers:
            tokens = layer_by_hand(layer, tokens, x.shape[2:])
        return tokens.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])

    skips = [dwconv(x, "stem")]
    for layers in network.encoder:
        skips.append(max_pool(rvm_layers(skips[-1], layers), 2))
    x = rvm_layers(skips[-1], network.bottleneck)
    for i in range(len(network.decoder)):
        x = x + skips.pop()
        x = F.relu(dwconv(x, f"decoder.{i}.dwconv") + weights[f"decoder.{i}.scale"] * x)
        x = conv(x, weights[f"decoder.{i}.halve.weight"])
        x = F.interpolate(x, scale_factor=2, mode=mode, align_corners=False)
    return dwconv(x + skips.pop(), "head")


@pytest.mark.parametrize("options", [{}, {"conv": "spatial", "directions": 4}], ids=str)
@pytest.mark.parametrize("dims", [2, 3])
def test_the_network_equals_the_paper_s_section_2_in_logits_and_gradients(
    dims, options, randomise, layer_by_hand
):
    network = randomise(make(dims, 2, 3, encoder_layers=(1, 2), bottleneck_layers=2, **options))
    x, variables = image(2, 2, *[8] * dims), list(network.parameters())

    actual, expected = network(x), network_by_hand(network, x, layer_by_hand)

    close = {"rtol": 1e-3, "atol": 1e-4 * expected.abs().max().item()}
    torch.testing.assert_close(actual, expected, **close)
    with torch.no_grad():  # without gradients native parts may take over
        torch.testing.assert_close(network(x), expected, **close)
    seed = torch.linspace(-1, 1, expected.numel()).reshape(expected.shape)
    for got, want in zip(
        torch.autograd.grad(actual, variables, seed),
        torch.autograd.grad(expected, variables, seed),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3 * want.abs().max().item())


def test_the_adjustment_factors_of_the_decoder_start_at_1():
    assert torch.equal(make(3).decoder[0].scale, torch.ones(8, 1, 1, 1))


def test_an_image_that_does_not_divide_is_padded_with_its_last_rows_and_cropped_back(randomise):
    network = randomise(make(2, encoder_layers=(1, 1)))  # needs multiples of 4
    x = image(1, 1, 6, 5)
    rows = [0, 1, 2, 3, 4, 5, 5, 5]
    columns = [0, 1, 2, 3, 4, 4, 4, 4]
    padded = x[:, :, rows][:, :, :, columns]
    torch.testing.assert_close(network(x), network(padded)[:, :, :6, :5])


# ------------------------------------------------------------------------------------ contract


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dims", [2, 3])
class TestEveryCombinationOfOptions:
    def test_keeps_the_size_and_trains_every_parameter(self, dims, options):
        network = make(dims, in_channels=2, out_channels=3, **options).train()
        spatial = (11, 9, 10)[:dims]
        logits = network(image(2, 2, *spatial))
        assert logits.shape == (2, 3, *spatial)
        F.cross_entropy(logits, torch.randint(3, (2, *spatial))).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    def test_gives_the_same_logits_with_and_without_gradients(self, dims, options):
        network = make(dims, in_channels=2, out_channels=3, **options).eval()
        x = image(2, 2, *(11, 9, 10)[:dims])
        with composed_form():
            composed = network(x).detach()
        found = [network(x).detach()]
        with torch.no_grad():
            found.append(network(x))
        for logits in found:
            difference = torch.linalg.vector_norm(logits - composed)
            assert difference <= 1e-4 * torch.linalg.vector_norm(composed)

    def test_treats_each_image_of_a_batch_alone(self, dims, options):
        network = make(dims, **options).eval()
        batch = image(3, 1, *(8, 6, 5)[:dims])
        with torch.no_grad():
            alone = torch.cat([network(single[None]) for single in batch])
            torch.testing.assert_close(network(batch), alone, rtol=1e-4, atol=1e-5)

    def test_is_the_same_again_from_its_config_and_weights(self, dims, options):
        network = make(dims, **options).eval()
        again = build_network(**json.loads(json.dumps(network.config))).eval()
        x = image(1, 1, *(8, 6, 5)[:dims])
        with torch.no_grad():
            assert not torch.equal(again(x), network(x))
            again.load_state_dict(network.state_dict())
            assert torch.equal(again(x), network(x))


@pytest.mark.parametrize("spatial", [(1, 1), (1, 7), (1, 1, 1), (5, 3, 7), (2, 1, 9)])
def test_even_the_smallest_images_keep_their_size(spatial):
    network = make(len(spatial), out_channels=3, encoder_layers=(1, 1, 1)).eval()
    with torch.no_grad():
        logits = network(image(1, 1, *spatial))
    assert logits.shape == (1, 3, *spatial)
    assert logits.isfinite().all()


@pytest.mark.parametrize("dims", [2, 3])
def test_computing_layers_again_in_the_backward_pass_changes_no_gradient(dims):
    plain = make(dims, directions=2).train()
    saving = make(dims, directions=2, checkpoint_layers=True).train()
    x = image(1, 1, *[8] * dims)
    for network in (plain, saving):
        network(x).square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name


def test_computing_layers_again_keeps_fewer_tensors_for_the_backward_pass():
    def kept(**options):
        network, numbers = make(2, bottleneck_layers=3, **options).train(), []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: numbers.append(tensor.numel()) or tensor, lambda tensor: tensor
        ):
            network(image(1, 1, 32, 32))
        return sum(numbers)

    assert kept(checkpoint_layers=True) < kept() / 2


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("conv", ["causal", "spatial"])
def test_bfloat16_autocast_stays_near_float32_forward_and_backward(dims, conv):
    network = make(dims, conv=conv, encoder_layers=(1, 1))
    x = image(1, 1, *[16] * dims)
    exact = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(x)
    rough.float().square().sum().backward()
    assert rough.dtype == torch.bfloat16
    error = torch.linalg.vector_norm(rough.float() - exact)
    assert error < 0.05 * torch.linalg.vector_norm(exact)
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_one_pass_over_the_paper_s_network_gives_finite_logits():
    torch.manual_seed(0)
    with torch.no_grad():
        logits = LightMUNet(2, 3, 2).eval()(image(1, 3, 33, 40))
    assert logits.shape == (1, 2, 33, 40)
    assert logits.isfinite().all()
    assert logits.std() > 0


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width needs a positive whole number, got 0"),
        ({"width": 4.5}, "width needs a positive whole number, got 4.5"),
        ({"bottleneck_layers": 0}, "bottleneck_layers needs a positive whole number, got 0"),
        ({"bottleneck_width": 0}, "bottleneck_width needs a positive whole number or none, got 0"),
        (
            {"stem": "DWConv"},
            "stem must be one of dwconv, dwconv-bias, conv, conv-norm; got 'DWConv'",
        ),
        ({"norm": "layer"}, "norm must be one of none, batch, instance; got 'layer'"),
        ({"head": "conv"}, "head must be one of dwconv, dwconv-norm; got 'conv'"),
        ({"stem": "conv-norm"}, 'stem .conv-norm. needs a norm, "batch" or "instance"; got "none"'),
        ({"head": "dwconv-norm"}, "head .dwconv-norm. needs a norm"),
        ({"d_state": -1}, "d_state needs a positive whole number, got -1"),
        ({"d_conv": 0}, "d_conv needs a positive whole number, got 0"),
        ({"encoder_layers": ()}, r"encoder_layers needs a tuple of positive .*, got \(\)"),
        ({"encoder_layers": (1, 0)}, r"encoder_layers needs a tuple of positive .*, got \(1, 0\)"),
        ({"expand": 0}, "inner channels, got 0"),
        ({"expand": -2}, "inner channels, got -2"),
        (
            {"conv": "casual"},
            "conv must be one of causal, spatial; got 'casual'",
        ),
        ({"directions": 3}, "directions must be one of 1, 2, 4; got 3"),
        ({"expand": float("nan")}, "expand needs a number that leaves inner channels, got nan"),
        ({"expand": "2"}, "expand needs a number that leaves inner channels, got '2'"),
        ({"encoder_layers": 3}, "encoder_layers needs a tuple of positive .*, got 3"),
        ({"width": True}, "width needs a positive whole number, got True"),
        ({"checkpoint_layers": "no"}, "checkpoint_layers is true or false, got 'no'"),
        ({"widht": 8}, "no option widht; it has width, stem"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named_with_what_was_expected(options, message):
    with pytest.raises(UsageError, match=message):
        LightMUNet(2, 1, 2, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 1, 2), "spatial_dims is 2 or 3, got 1"),
        ((4, 1, 2), "spatial_dims is 2 or 3, got 4"),
        ((2, 0, 2), "channels need to be positive whole numbers, got 0 in and 2 out"),
        ((2, 1, 0), "channels need to be positive whole numbers, got 1 in and 0 out"),
    ],
)
def test_wrong_dimensions_and_channels_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        LightMUNet(*arguments)


@pytest.mark.parametrize(
    ("dims", "shape", "message"),
    [
        (2, (1, 3, 8, 8), r"takes \(batch, 1, H, W\), got \(1, 3, 8, 8\)"),
        (2, (1, 1, 8, 8, 8), r"takes \(batch, 1, H, W\), got \(1, 1, 8, 8, 8\)"),
        (3, (1, 1, 8, 8), r"takes \(batch, 1, D, H, W\), got \(1, 1, 8, 8\)"),
        (2, (1, 8), r"takes \(batch, 1, H, W\), got \(1, 8\)"),
        (2, (1, 1, 0, 8), r"takes \(batch, 1, H, W\), got \(1, 1, 0, 8\)"),
        (2, (0, 1, 8, 8), r"takes \(batch, 1, H, W\), got \(0, 1, 8, 8\)"),
        (2, (8,), r"takes \(batch, 1, H, W\), got \(8,\)"),
    ],
)
def test_an_image_of_another_shape_is_named_with_what_the_network_takes(dims, shape, message):
    with pytest.raises(UsageError, match=message):
        make(dims)(torch.zeros(shape))


def test_half_the_width_of_the_bottleneck_leaves_two_fifths_of_the_parameters():
    wide, narrow = (
        parameters(LightMUNet(2, 1, 2, bottleneck_width=width)) for width in (None, 128)
    )
    assert (wide, narrow) == (2_533_387, 963_211)


@pytest.mark.parametrize(("stem", "rank"), [("dwconv", 1), ("dwconv-bias", 2), ("conv", 10)])
def test_the_stem_makes_so_many_independent_channels_of_a_grey_picture(stem, rank):
    network = make(2, stem=stem, width=16)
    with torch.no_grad():
        tokens = network.stem(image(1, 1, 16, 16))
    assert torch.linalg.matrix_rank(tokens[0]) == rank  # at most a 3x3 window and the bias


def test_the_defaults_are_the_paper_s():
    assert LightMUNetOptions() == LightMUNetOptions(
        width=32,
        stem="dwconv",
        encoder_layers=(1, 2, 2),
        bottleneck_layers=4,
        bottleneck_width=None,
        expand=2,
        d_state=16,
        conv="causal",
        d_conv=4,
        directions=1,
        checkpoint_layers=False,
    )
