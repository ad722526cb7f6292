"""One contract that every network keeps, by its name, in 2D and 3D."""

import json
import re

import pytest
import torch
import torch.nn.functional as F

from lightm_unet.costs.counting import count_network
from lightm_unet.networks.base import TwoStages
from lightm_unet.networks.registry import build_network, network_names

AUTHORS = {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)}
SMALL = {
    "lightm-unet": {"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1},
    "lightm-unet-small": {"encoder_layers": (1,)},
    "lightm-unet-tiny": {"encoder_layers": (1,)},
    "lightm-unet-nano": {"encoder_layers": (1,)},
    "segresnet": AUTHORS,
    "nnu-net": {"features": (4, 8)},
    "u-mamba": {"features": (4, 8), "blocks_encoder": 1, "blocks_decoder": 1},
    "u-mamba-encoder": {"features": (4, 8), "blocks_encoder": 1, "blocks_decoder": 1},
    "unetr": {"feature_size": 4, "hidden_size": 12, "mlp_dim": 16, "num_heads": 2},
    "swin-unetr": {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4)},
    "lwnet": {"features": (4, 8)},
    "m2unet": {},
}
# The last biases of MobileNetV2's blocks: the norm behind the next pointwise layer subtracts them.
WITHOUT_EFFECT = re.compile(
    r"encoder\.1\.layers\.4\.bias|(encoder\.\d+|decoder\.[012])\.layers\.7\.bias"
)

pytestmark = pytest.mark.parametrize(
    ("name", "dims"), [(name, dims) for dims in (2, 3) for name in network_names(dims)]
)


def make(name, dims, in_channels=1, seed=0):
    torch.manual_seed(seed)
    options = SMALL.get(name, AUTHORS)
    return build_network(name, dims, in_channels, 3, image_size=(32,) * dims, **options)


def image(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def as_tuple(logits):
    return logits if isinstance(logits, tuple) else (logits,)


def loss_of(network, x):
    """Cross-entropy at every resolution against a corner of class 1."""
    labels = torch.zeros(x.shape[0], 1, *x.shape[2:])
    labels[..., :7] = 1
    total = 0
    for logits in as_tuple(network(x)):
        target = F.interpolate(labels, logits.shape[2:], mode="nearest")[:, 0].long()
        total = total + F.cross_entropy(logits, target)
    return total


def test_one_logit_for_each_class_and_voxel_of_images_of_any_size(name, dims):
    network = make(name, dims, in_channels=2).eval()
    for spatial in ([16] * dims, [13, 9, 10][:dims], [1] * dims):
        with torch.no_grad():
            logits = network(image(2, 2, *spatial))
        assert logits.shape == (2, 3, *spatial)
        assert torch.isfinite(logits).all()


def test_in_training_each_resolution_has_logits_half_the_size_of_the_one_before(name, dims):
    spatial = [13, 9, 10][:dims]
    found = make(name, dims).train()(image(1, 1, *spatial))
    assert isinstance(found, TwoStages) == (name == "lwnet")
    for level, logits in enumerate(as_tuple(found)):
        level = 0 if isinstance(found, TwoStages) else level  # both at full resolution
        assert logits.shape == (1, 3, *(-(-size // 2**level) for size in spatial))


def test_every_parameter_has_a_gradient(name, dims):
    network = make(name, dims).train()
    loss_of(network, image(1, 1, *[13, 9, 10][:dims])).backward()
    for parameter_name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            assert (name, "norm_cross_attn" in parameter_name) == ("unetr", True)
            continue
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        if name == "m2unet" and WITHOUT_EFFECT.fullmatch(parameter_name):
            assert parameter.grad.abs().max() < 1e-6, parameter_name
            continue
        assert parameter.grad.any(), parameter_name


def test_a_step_down_the_gradient_lowers_the_loss(name, dims):
    network, x = make(name, dims).train(), image(2, 1, *[16] * dims)
    before = loss_of(network, x)
    before.backward()
    parameters = [p for p in network.parameters() if p.requires_grad]
    gradients = [parameter.grad for parameter in parameters]
    slope = sum(float(gradient.square().sum()) for gradient in gradients)
    with torch.no_grad():  # so far that a straight slope would take 2 % off the loss
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 0.02 * float(before) / slope * gradient
        assert loss_of(network, x) < before


def test_is_the_same_again_from_its_config_and_weights(name, dims):
    network = make(name, dims).eval()
    config = json.loads(json.dumps(network.config))
    assert config["name"] == network.name == name
    again, x = build_network(**config).eval(), image(1, 1, *[16] * dims)
    assert again.config == network.config
    with torch.no_grad():
        assert not torch.equal(again(x), network(x))
        again.load_state_dict(network.state_dict())
        assert torch.equal(again(x), network(x))


def test_is_counted_without_being_computed(name, dims):
    network = make(name, dims, in_channels=2)
    cost = count_network(network, (32,) * dims)
    assert cost.parameters == sum(p.numel() for p in network.parameters())
    assert cost.macs > 32**dims  # at least one weight for each voxel
    has_scan = any(key.endswith("A_log") for key in network.state_dict())
    assert (cost.scan_flops > 0) == has_scan
