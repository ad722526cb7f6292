"""First weights that keep the variance, layer by layer."""

import copy

import pytest
import torch
from torch import nn

from lightm_unet import build_network
from lightm_unet.errors import UsageError
from lightm_unet.networks.first_weights import scale_first_weights

OPTIONS = [
    "width=8",
    "width=8:stem=conv:directions=2",
    "width=8:stem=dwconv-bias:conv=spatial",
    "width=8:stem=conv-norm:norm=batch:head=dwconv-norm",
    "width=8:norm=instance:encoder_layers=[1,1]",
]
SIZES = {2: (24, 17), 3: (16, 9, 12)}


def make(options="width=8", dims=2):
    torch.manual_seed(0)
    return build_network(f"lightm-unet:{options}", dims, 1, 3)


def some_images(dims=2, batch=4):
    generator = torch.Generator().manual_seed(1)
    return 3 + 2 * torch.randn(batch, 1, *SIZES[dims], generator=generator)


def deviations(network, images):
    """The standard deviation of every linear layer's output, by path, in training mode."""
    network, found = copy.deepcopy(network).train(), {}

    def look(path):
        return lambda module, _, output: found.update({path: float(output.std(correction=0))})

    for path, module in network.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d)):
            module.register_forward_hook(look(path))
    with torch.no_grad():
        network(images)
    return found


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dims", [2, 3])
def test_every_scaled_layer_has_a_variance_of_one(options, dims):
    network, images = make(options, dims), some_images(dims)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    factors = scale_first_weights(network, images)
    found = deviations(network, images)
    parts = {".".join(path.split(".")[-2:]) for path in factors}
    assert {"dwconv.depthwise", "dwconv.pointwise"} <= parts
    for path, factor in factors.items():
        assert found[path] == pytest.approx(1, abs=1e-3)
        layer = network.get_submodule(path)
        torch.testing.assert_close(layer.weight, before[f"{path}.weight"] * factor)
    for name, tensor in network.state_dict().items():  # nothing else has changed
        if name.rpartition(".")[0] not in factors:
            assert torch.equal(tensor, before[name]), name


def test_stem_projections_decoder_and_halving_are_scaled_and_the_head_is_not():
    factors = scale_first_weights(
        make("width=8:encoder_layers=[1]:bottleneck_layers=1"), some_images()
    )
    assert list(factors) == [
        "stem.depthwise",
        "stem.pointwise",
        "encoder.0.0.projection",
        "bottleneck.0.projection",
        "decoder.0.dwconv.depthwise",
        "decoder.0.dwconv.pointwise",
        "decoder.0.halve",
    ]


def test_the_logits_start_neither_dull_nor_certain():
    images = some_images()

    def spread(network):
        with torch.no_grad():
            return float(network(images).std())

    scaled = make()
    scale_first_weights(scaled, images)
    assert 1.5 * spread(make()) < spread(scaled) < 2


def test_the_same_images_give_the_same_weights_in_either_mode():
    images = some_images()
    one, other = make(OPTIONS[3]).train(), make(OPTIONS[3]).eval()
    assert scale_first_weights(one, images) == scale_first_weights(other, images)
    for first, second in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(first, second)
    assert one.training
    assert not other.training


def test_no_hook_and_no_gradient_is_left():
    network = make()
    scale_first_weights(network, some_images())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    network(some_images()).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_images_that_say_nothing_are_refused_and_the_weights_kept(value):
    network = make(OPTIONS[3])
    before = {name: t.clone() for name, t in network.state_dict().items()}
    with pytest.raises(UsageError, match=r"the output of stem\.conv has a standard deviation of"):
        scale_first_weights(network, torch.full((2, 1, 16, 16), value))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(module._forward_hooks for module in network.modules())


def test_images_of_another_shape_are_refused_as_by_the_network():
    with pytest.raises(UsageError, match="this network takes"):
        scale_first_weights(make(), torch.zeros(2, 3, 16, 16))


def test_another_network_is_refused():
    with pytest.raises(
        UsageError, match=r"scaled for lightm-unet and its .*, got PlainUNet; leave the"
    ):
        scale_first_weights(build_network("nnu-net", 2, 1, 2), some_images())
