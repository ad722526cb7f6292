"""Whatever acts when a module is called acts in inference too: nothing is passed over."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from composed import composed
from lightm_unet import build_network
from lightm_unet.errors import UsageError
from lightm_unet.networks import lightm_unet, rvm
from lightm_unet.networks.convolution import DWConv
from lightm_unet.networks.rvm import SSM, CausalConv, VSSModule
from lightm_unet.ops import backends, native_layers

pytestmark = pytest.mark.skipif(
    not backends()[0].available, reason="the native kernels were not built"
)
IMAGE = torch.randn(1, 1, 17, 24, generator=torch.Generator().manual_seed(0))
LAYERS = ("stem", "rvm_layer", "decoder_stage", "conv_stem")


def make(**options):
    torch.manual_seed(0)
    network = build_network("lightm-unet", 2, 1, 2, width=8, encoder_layers=(1, 1), **options)
    return network.eval()


@pytest.fixture
def native_calls(monkeypatch):
    """The names of the native layers as they are used."""
    calls = []
    for module in (rvm, lightm_unet):
        for name in LAYERS:
            if hasattr(module, name):
                op = getattr(native_layers, name)
                counted = lambda *a, op=op, name=name: calls.append(name) or op(*a)  # noqa: E731
                monkeypatch.setattr(module, name, counted)
    return calls


def assert_right(network, image=IMAGE):
    with torch.no_grad():
        found = network(image)
    expected = composed(network, image)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    return found


class Lora(nn.Module):
    """As LoRA wraps a layer: what it was, plus a product of two narrow matrices."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.change = nn.Parameter(0.5 * torch.randn(inner.weight.shape))

    @property
    def weight(self):
        return self.inner.weight

    @property
    def bias(self):
        return self.inner.bias

    def forward(self, x):
        if isinstance(self.inner, nn.Linear):
            return self.inner(x) + F.linear(x, self.change)
        return self.inner(x) * (1 + self.change.mean())


class LoraLinear(nn.Linear):
    """As peft's older layers: a subclass with the same parameters and another forward."""

    def forward(self, x):
        return super().forward(x) * 1.5


def paths(network, *kinds):
    """One module for each of its places in a layer, by path."""
    found = {}
    for path, module in network.named_modules():
        if type(module) in kinds:
            place = path.split("encoder.0.0")[-1].split("decoder.0")[-1]
            found.setdefault(place, path)
    return found.values()


ALL = (nn.Linear, nn.LayerNorm, nn.Conv2d)
EVERY_PATH = list(paths(make(), *ALL))
OWN_PATHS = [p for p in paths(make(), CausalConv, SSM, VSSModule, DWConv) if p]


def replace(network, path, module):
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, module)


def test_as_built_every_layer_runs_natively(native_calls):
    network = make()
    assert_right(network)
    assert len(native_calls) == 1 + 2 + 4 + 2 + 1  # stem, encoder, bottleneck, decoder, head


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_wrapped_layer_is_called(path):
    network = make()
    before = assert_right(network)
    replace(network, path, Lora(network.get_submodule(path)))
    changed = (assert_right(network) - before).abs().max()
    # The stem's only filter may be scaled without a change of its sign, which is all that is used.
    assert changed > 0 or path.startswith("stem")


@pytest.mark.parametrize("path", EVERY_PATH + OWN_PATHS)
def test_hooks_fire_and_may_change_the_result(path):
    network = make()
    before = assert_right(network)
    seen = []

    def hook(module, inputs, output):
        seen.append(path)
        return output + 0.7 * torch.arange(output.shape[1]).view(-1, *[1] * (output.dim() - 2))

    handle = network.get_submodule(path).register_forward_hook(hook)
    with torch.no_grad():
        after = network(IMAGE)
    assert seen == [path]
    assert not torch.equal(before, after)
    assert_right(network)
    handle.remove()
    assert torch.equal(assert_right(network), before)


def test_hooks_may_come_and_go_after_passes(native_calls):
    network = make()
    for _ in range(2):
        native_calls.clear()
        assert_right(network)
        assert len(native_calls) == 10
        seen = []
        layer = network.bottleneck[0].vssm.in_proj
        handle = layer.register_forward_pre_hook(lambda module, inputs, seen=seen: seen.append(1))
        native_calls.clear()
        with torch.no_grad():
            network(IMAGE)
        assert seen == [1]
        assert len(native_calls) == 9  # all layers but this one
        handle.remove()


@pytest.mark.parametrize(
    "register",
    ["register_module_forward_hook", "register_module_forward_pre_hook"],
)
def test_hooks_for_all_modules_fire(register):
    network = make()
    seen = set()
    handle = getattr(nn.modules.module, register)(lambda module, *_: seen.add(type(module)))
    try:
        with torch.no_grad():
            network(IMAGE)
    finally:
        handle.remove()
    assert {nn.Linear, nn.LayerNorm, nn.Conv2d} <= seen


def subclass(module):
    module.__class__ = type("Other", (type(module),), {"forward": lambda self, x: x * 0.5})


def own_forward(module):
    module.forward = lambda x: type(module).forward(module, x) * 1.5


def parametrized(module):
    class Half(nn.Module):
        def forward(self, weight):
            return weight * 0.5

    parametrize.register_parametrization(module, "weight", Half())


@pytest.mark.parametrize(
    "change",
    [
        own_forward,
        parametrized,
        lambda module: parametrizations.weight_norm(module),
        lambda module: parametrizations.spectral_norm(module),
        pytest.param(lambda module: torch.nn.utils.weight_norm(module), id="old weight_norm"),
        pytest.param(lambda module: torch.nn.utils.spectral_norm(module), id="old spectral_norm"),
        pytest.param(lambda module: prune.l1_unstructured(module, "weight", 0.5), id="prune"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv2d])
def test_changed_layers_give_what_their_modules_give(change, kind):
    network = make()
    for module in [m for m in network.modules() if type(m) is kind]:
        change(module)
    network.train()(IMAGE)  # spectral_norm learns its direction while training
    assert_right(network.eval())


def test_a_class_that_was_patched_is_called(monkeypatch):
    network = make()
    before = assert_right(network)
    forward = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: 1.5 * forward(self, x))
    assert not torch.equal(assert_right(network), before)


@pytest.mark.parametrize("path", [p for p in EVERY_PATH if "norm" in p])
def test_a_changed_epsilon_counts(path, native_calls):
    network = make()
    before = assert_right(network)
    network.get_submodule(path).eps = 0.5
    assert not torch.equal(assert_right(network), before)


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("stem.depthwise", "padding_mode", "circular"),
        ("decoder.0.dwconv.depthwise", "padding_mode", "reflect"),
        ("head.depthwise", "padding_mode", "replicate"),
    ],
)
def test_another_padding_counts(path, name, value):
    network = make()
    before = assert_right(network)
    layer = network.get_submodule(path)
    padded = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        3,
        padding=1,
        groups=layer.groups,
        bias=layer.bias is not None,
        padding_mode=value,
    )
    padded.load_state_dict(layer.state_dict())
    replace(network, path, padded)
    assert not torch.equal(assert_right(network), before)


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("bottleneck.0.vssm.in_proj", lambda m: nn.Linear(m.in_features, m.out_features)),
        ("bottleneck.0.vssm.out_proj", lambda m: nn.Linear(m.in_features, m.out_features)),
        ("bottleneck.0.projection", lambda m: nn.Linear(m.in_features, m.out_features, bias=False)),
        ("bottleneck.0.norm", lambda m: nn.LayerNorm(m.normalized_shape, bias=False)),
        ("bottleneck.0.vssm.norm", lambda m: nn.LayerNorm(m.normalized_shape, bias=False)),
        ("bottleneck.0.vssm.norm", lambda m: nn.RMSNorm(m.normalized_shape)),
        ("bottleneck.0.vssm.norm", lambda m: nn.Identity()),
        ("bottleneck.0.projection_norm", lambda m: nn.Identity()),
        ("decoder.0.halve", lambda m: nn.Conv2d(m.in_channels, m.out_channels, 1)),
        ("decoder.0.dwconv.pointwise", lambda m: nn.Conv2d(m.in_channels, m.out_channels, 1)),
        ("head.depthwise", lambda m: nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)),
    ],
)
def test_a_layer_in_anothers_place_counts_with_its_bias(path, other):
    network = make()
    before = assert_right(network)
    replace(network, path, other(network.get_submodule(path)))
    assert not torch.equal(assert_right(network), before)


def test_a_linear_layer_of_the_same_kind_still_runs_natively(native_calls):
    network = make()
    old = network.bottleneck[0].vssm.in_proj
    network.bottleneck[0].vssm.in_proj = nn.Linear(old.in_features, old.out_features, bias=False)
    assert_right(network)
    assert len(native_calls) == 10


@pytest.mark.filterwarnings("ignore")
def test_a_network_quantised_by_torch_gives_what_its_modules_give():
    network = make()
    before = assert_right(network)
    quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)
    with torch.no_grad():
        found = quantised(IMAGE)
    assert found.isfinite().all()
    assert not torch.equal(found, before)
    assert (found - before).abs().max() < 0.5 * before.abs().max()


class Scaled(torch.Tensor):
    """A weight that is multiplied whenever it is used."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is F.linear:
            args = [a.as_subclass(torch.Tensor) * 2 if isinstance(a, cls) else a for a in args]
        return super().__torch_function__(function, types, args, kwargs or {})


def test_a_weight_with_arithmetic_of_its_own_is_left_to_it():
    network = make()
    before = assert_right(network)
    layer = network.bottleneck[0].vssm.in_proj
    layer.weight = nn.Parameter(layer.weight.detach().as_subclass(Scaled))
    assert not torch.equal(assert_right(network), before)


def test_modes_and_transforms_see_the_single_operations(native_calls):
    from torch.autograd import forward_ad
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Functions(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    class Dispatch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    network = make()
    expected = composed(network, IMAGE)
    for mode in (Functions(), Dispatch(), forward_ad.dual_level(), torch.autocast("cpu")):
        with torch.no_grad(), mode:
            found = network(IMAGE)
        assert not native_calls, mode
        torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.05)
    with torch.no_grad(), torch.device("cpu"):
        network(IMAGE)
    assert len(native_calls) == 10  # a default device watches nothing


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # by torch itself
def test_forward_mode_derivatives_are_refused():
    network = make()
    with torch.no_grad(), pytest.raises(UsageError, match="carries a forward-mode derivative"):
        torch.func.jvp(network, (IMAGE,), (IMAGE,))


def test_swapped_weights_are_used(native_calls):
    network = make()
    doubled = {name: 1.5 * p.detach() for name, p in network.named_parameters()}
    with torch.no_grad():
        found = torch.func.functional_call(network, doubled, (IMAGE,))
        network.load_state_dict(doubled, assign=True)
        native_calls.clear()
        assert torch.equal(network(IMAGE), found)
    assert len(native_calls) == 10


def test_copies_and_pickles_run_natively(native_calls):
    network = make()
    expected = assert_right(network)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        native_calls.clear()
        with torch.no_grad():
            assert torch.equal(other(IMAGE), expected)
        assert len(native_calls) == 10
        other.bottleneck[0].vssm.in_proj.register_forward_hook(lambda m, i, out: 2 * out)
        assert not torch.equal(assert_right(other), expected)
    assert torch.equal(assert_right(network), expected)


def test_merged_lora_runs_natively_again(native_calls):
    network = make()
    layer = network.bottleneck[0].vssm.in_proj
    lora = Lora(layer)
    network.bottleneck[0].vssm.in_proj = lora
    with_lora = assert_right(network)
    with torch.no_grad():
        layer.weight += lora.change
    network.bottleneck[0].vssm.in_proj = layer
    native_calls.clear()
    merged = assert_right(network)
    assert len(native_calls) == 10
    torch.testing.assert_close(merged, with_lora, rtol=1e-4, atol=1e-5)


def test_training_calls_what_replaces_the_step_size_and_the_norm_too():
    """These two are read by their weights while training; in another's place they are called."""
    network = make().train()
    before = composed(network, IMAGE)
    vssm = network.bottleneck[0].vssm
    vssm.ssm[0].dt_proj = Lora(vssm.ssm[0].dt_proj)
    changed = composed(network, IMAGE)
    assert not torch.equal(changed, before)
    vssm.norm.register_forward_hook(lambda module, inputs, output: 0 * output)
    assert not network.bottleneck[0].vssm(torch.randn(1, 4, 32), (2, 2)).any()
