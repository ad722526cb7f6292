"""The RVM layer against the paper's equations 1 to 3, and what each token can see."""

import pytest
import torch
import torch.nn.functional as F

from lightm_unet.networks.rvm import RVMLayer

OPTIONS = {"expand": 2, "d_state": 4, "conv": "causal", "d_conv": 4, "directions": 1}


@pytest.mark.parametrize("spatial", [(3, 5), (2, 3, 4)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"conv": "spatial"},
        {"directions": 2},
        {"directions": 4, "conv": "spatial"},
        {"expand": 1.5, "d_state": 3, "d_conv": 2},
    ],
    ids=str,
)
def test_a_layer_equals_the_paper_s_equations_in_output_and_gradients(
    spatial, options, randomise, layer_by_hand
):
    layer = randomise(RVMLayer(len(spatial), 20, 40, **{**OPTIONS, **options}))
    tokens = torch.randn(
        2, torch.Size(spatial).numel(), 20, generator=torch.Generator().manual_seed(1)
    ).requires_grad_()
    variables = [tokens, *layer.parameters()]

    actual, expected = layer(tokens, spatial), layer_by_hand(layer, tokens, spatial)

    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():  # without gradients a native layer may take over
        torch.testing.assert_close(layer(tokens, spatial), expected, rtol=1e-4, atol=1e-4)
    assert expected.abs().mean() > 0.1  # two outputs near zero would agree too
    weights = torch.linspace(-1, 1, expected.numel()).reshape(expected.shape)
    for got, want in zip(
        torch.autograd.grad(actual, variables, weights),
        torch.autograd.grad(expected, variables, weights),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3 * want.abs().max().item())


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize(("spatial", "pool"), [((4, 6), F.max_pool2d), ((2, 4, 6), F.max_pool3d)])
def test_a_layer_can_keep_the_largest_of_each_2x2_or_2x2x2_places(
    spatial, pool, gradients, randomise
):
    layer = randomise(RVMLayer(len(spatial), 8, 16, **OPTIONS))
    tokens = torch.randn(2, torch.Size(spatial).numel(), 8)
    with torch.set_grad_enabled(gradients):
        whole = layer(tokens, spatial).transpose(1, 2).reshape(2, 16, *spatial)
        pooled = layer(tokens, spatial, pool=True)
    torch.testing.assert_close(pooled, pool(whole, 2).flatten(2).transpose(1, 2))


def reached(spatial, changed, **options):
    """Which output tokens change when the input token `changed` does, in a new layer.

    Its small first step sizes keep what was seen for hundreds of steps.
    """
    torch.manual_seed(0)
    layer = RVMLayer(len(spatial), 8, 8, **{**OPTIONS, **options}).double()
    tokens = torch.randn(1, torch.Size(spatial).numel(), 8, dtype=torch.float64)
    other = tokens.clone()
    other[:, changed] += torch.randn(8)
    with torch.no_grad():
        difference = layer(other, spatial) - layer(tokens, spatial)
    return (difference != 0).any(-1)[0].nonzero().flatten().tolist()


def test_with_a_causal_convolution_and_one_direction_nothing_flows_backwards():
    assert reached((3, 4), changed=7) == [7, 8, 9, 10, 11]


@pytest.mark.parametrize("directions", [2, 4])
def test_with_more_directions_every_token_hears_of_every_other(directions):
    assert reached((3, 4), changed=7, directions=directions) == list(range(12))


def test_a_spatial_convolution_shows_a_token_to_its_neighbours_in_the_row_before():
    # Token 7 is row 1, column 3 of 3x4; in row 0 it touches columns 2 and 3. The scan goes on.
    assert reached((3, 4), changed=7, conv="spatial") == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_a_new_layer_starts_from_the_values_of_mamba_and_the_paper():
    torch.manual_seed(0)
    layer = RVMLayer(3, 64, 64, **OPTIONS)
    ssm = layer.vssm.ssm[0]
    assert torch.equal(layer.scale, torch.ones(64))
    assert torch.equal(ssm.D, torch.ones(128))
    torch.testing.assert_close(ssm.A_log.exp(), torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(128, 4))
    step = F.softplus(ssm.dt_proj.bias)
    assert 0.001 <= step.min() < 0.005
    assert 0.05 < step.max() <= 0.1
    assert ssm.dt_proj.weight.shape == (128, 4)  # dt_rank is 64 / 16, rounded up
    assert RVMLayer(3, 20, 20, **OPTIONS).vssm.ssm[0].dt_proj.weight.shape == (40, 2)
    assert ssm.dt_proj.weight.abs().max() <= 4**-0.5
