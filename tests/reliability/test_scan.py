"""The scan and the native layers give the right numbers or refuse by name."""

import pytest
import torch
from torch import nn

from faults import fault
from lightm_unet import build_network
from lightm_unet.errors import UsageError
from lightm_unet.ops import causal_conv1d, gated_norm, selective_scan

SECTION = "Scan and native layers"


def refusals(convert):
    """How many of the ops' arguments are refused by name when one after the other is converted."""
    ones = torch.ones(1, 4, 2)
    ops = {
        selective_scan: {
            "u": ones,
            "delta": ones,
            "A": -torch.ones(2, 3),
            "B": torch.ones(1, 4, 3),
            "C": torch.ones(1, 4, 3),
            "D": torch.ones(2),
            "z": ones,
            "delta_bias": torch.ones(2),
        },
        causal_conv1d: {"x": ones, "weight": torch.ones(2, 3), "bias": torch.ones(2)},
        gated_norm: {"x": ones, "gate": ones, "weight": torch.ones(2), "bias": torch.ones(2)},
    }
    arguments = refused = 0
    for op, tensors in ops.items():
        for name, tensor in tensors.items():
            for backend in (None, "cpu", "torch", "reference"):
                arguments += 1
                try:
                    op(**{**tensors, name: convert(tensor)}, backend=backend)
                except UsageError as error:
                    refused += f"{op.__name__}: {name} needs a dense tensor of" in str(error)
    return "each refused by name" if refused == arguments else f"{refused} of {arguments} refused"


@fault(
    SECTION,
    "whole numbers, truth values or complex numbers in any argument of the scan, the causal "
    "convolution or the gated norm",
    "each refused by name",
)
def test_numbers_that_would_be_cut_off():
    kinds = (torch.int8, torch.int32, torch.int64, torch.bool, torch.complex64, torch.complex128)
    return min({refusals(lambda t, kind=kind: t.to(kind)) for kind in kinds})


@fault(SECTION, "8-bit floats, quantised or sparse tensors there", "each refused by name")
@pytest.mark.filterwarnings("ignore")
def test_numbers_that_need_a_scale():
    converts = (
        lambda t: t.to(torch.float8_e5m2),
        lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
        lambda t: t.to_sparse(),
    )
    return min({refusals(convert) for convert in converts})


@fault(
    SECTION,
    "forward-mode derivatives (`torch.func.jvp`), which the ops do not have",
    "refused by name, not taken for zero",
)
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # by torch itself
def test_forward_mode():
    x, weight, bias = torch.randn(1, 5, 2), torch.randn(2, 3), torch.randn(2)
    try:
        torch.func.jvp(lambda x: causal_conv1d(x, weight, bias), (x,), (x,))
    except UsageError as error:
        named = "causal_conv1d: x carries a forward-mode derivative" in str(error)
        return "refused by name, not taken for zero" if named else str(error)
    return "a derivative without a word"


IMAGE = torch.randn(1, 1, 16, 24, generator=torch.Generator().manual_seed(0))


def network():
    torch.manual_seed(0)
    return build_network("lightm-unet", 2, 1, 2, width=8, encoder_layers=(1, 1)).eval()


def changed_and_right(change):
    """Whether inference gives what training's modules give after a change, and not what before."""
    one = network()
    with torch.no_grad():
        before = one(IMAGE)
        change(one)
        found = one(IMAGE)
    expected = one(IMAGE.clone().requires_grad_()).detach()
    if torch.allclose(found, before):
        return "nothing changed"
    same = (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    return "the modules' own result" if same else "another result than the modules'"


class Lora(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.weight, self.bias = inner.weight, inner.bias
        self.change = nn.Linear(inner.in_features, inner.out_features, bias=False)

    def forward(self, x):
        return self.inner(x) + self.change(x)


@fault(
    SECTION,
    "inference of a network whose linear layers are wrapped after LoRA's manner, after a first "
    "pass without",
    "the modules' own result",
)
def test_lora():
    def wrap(one):
        for module in list(one.modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.Linear and not isinstance(module, Lora):
                    setattr(module, name, Lora(child))

    return changed_and_right(wrap)


@fault(SECTION, "a hook on a layer within, added after a first pass", "the modules' own result")
def test_hooks():
    def hook(one):
        layer = one.bottleneck[0].vssm.in_proj
        layer.register_forward_hook(lambda module, inputs, output: 2 * output)

    return changed_and_right(hook)


@fault(
    SECTION, "another epsilon in a norm, another `forward` of a layer", "the modules' own result"
)
def test_attributes():
    def change(one):
        one.bottleneck[0].vssm.norm.eps = 0.3
        layer = one.encoder[0][0].projection
        layer.forward = lambda x: 2 * nn.Linear.forward(layer, x)

    return changed_and_right(change)


@fault(SECTION, "weights under a parametrization, such as spectral norm", "the modules' own result")
def test_parametrizations():
    def change(one):
        for module in list(one.modules()):
            if type(module) is nn.Linear:
                nn.utils.parametrizations.spectral_norm(module)

    return changed_and_right(change)


@fault(
    SECTION,
    "inference with BatchNorm after more training, loaded weights and changed running statistics",
    "the modules' own result",
)
def test_batch_norm():
    options = {"width": 8, "stem": "conv-norm", "norm": "batch", "head": "dwconv-norm"}
    torch.manual_seed(0)
    one, other = (build_network("lightm-unet", 2, 1, 2, **options) for _ in range(2))
    found = set()
    with torch.no_grad():
        for change in (
            lambda: one.train()(3 + 2 * IMAGE),
            lambda: one.load_state_dict(other.state_dict()),
            lambda: one.head.norm.running_mean.add_(1),
            lambda: one.decoder[0].norm.weight.mul_(2),
        ):
            before = one.eval()(IMAGE)
            change()
            native = one.eval()(IMAGE)
            with torch.enable_grad():
                expected = one(IMAGE.clone().requires_grad_()).detach()
            same = (native - expected).abs().max() <= 1e-5 * expected.abs().max()
            found.add(bool(same and not torch.allclose(native, before)))
    return "the modules' own result" if found == {True} else "another result than the modules'"


@fault(SECTION, "a network quantised by torch to 8-bit weights", "close to the network before")
@pytest.mark.filterwarnings("ignore")
def test_quantised():
    one = network()
    small = torch.ao.quantization.quantize_dynamic(one, {nn.Linear}, dtype=torch.qint8)
    with torch.no_grad():
        change = (small(IMAGE) - one(IMAGE)).abs().max() / one(IMAGE).abs().max()
    return "close to the network before" if 0 < change < 0.2 else f"off by {float(change):.2g}"
