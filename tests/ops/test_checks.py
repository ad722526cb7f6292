"""What the ops refuse by name, and the forms of tensors that they take without a difference."""

import numpy as np
import pytest
import torch

from lightm_unet.errors import UsageError
from lightm_unet.ops import causal_conv1d, gated_norm, selective_scan
from scan_checks import NAMES, random_inputs

OPS = {
    "selective_scan": (selective_scan, dict(zip(NAMES, random_inputs(2, 6, 4, 4), strict=True))),
    "causal_conv1d": (
        causal_conv1d,
        {"x": torch.randn(2, 6, 4), "weight": torch.randn(4, 4), "bias": torch.randn(4)},
    ),
    "gated_norm": (
        gated_norm,
        {
            "x": torch.randn(2, 6, 4),
            "gate": torch.randn(2, 6, 4),
            "weight": torch.randn(4),
            "bias": torch.randn(4),
        },
    ),
}
ARGUMENTS = [(op, name) for op, (_, arguments) in OPS.items() for name in arguments]
WRONG = {
    "int8": lambda t: t.to(torch.int8),
    "int64": lambda t: t.long(),
    "uint8": lambda t: t.to(torch.uint8),
    "bool": lambda t: t > 0,
    "complex64": lambda t: t.to(torch.complex64),
    "complex128": lambda t: t.to(torch.complex128),
    "float8": lambda t: t.to(torch.float8_e4m3fn),
    "quantised": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    "sparse": lambda t: t.to_sparse(),
    "numpy": lambda t: t.numpy(),
    "list": lambda t: t.tolist(),
}


def plain(op):
    function, arguments = OPS[op]
    return function, {name: t.detach().clone() for name, t in arguments.items()}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize(("op", "name"), ARGUMENTS)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_what_would_be_converted_with_a_loss_is_refused_by_name(op, name, kind):
    function, arguments = plain(op)
    arguments[name] = WRONG[kind](arguments[name])
    for backend in (None, "cpu", "torch", "reference"):
        refusal = f"^{op}: {name} needs a (dense tensor of|torch.Tensor)"
        with pytest.raises(UsageError, match=refusal):
            function(**arguments, backend=backend)


@pytest.mark.parametrize(("op", "name"), ARGUMENTS)
def test_the_first_argument_says_in_what_is_computed(op, name):
    """Mixed kinds of floats are converted: to float64 if the first argument is, else to float32."""
    function, arguments = plain(op)
    first = next(iter(arguments))
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        mixed = {**arguments, name: arguments[name].to(dtype)}
        exact = torch.float64 if mixed[first].dtype == torch.float64 else torch.float32
        expected = function(**{key: t.to(exact) for key, t in mixed.items()})
        out = function(**mixed)
        assert out.dtype == mixed[first].dtype
        torch.testing.assert_close(out, expected.to(out.dtype), rtol=1e-5, atol=1e-6)


FORMS = {
    "transposed": lambda t: t.mT.contiguous().mT if t.dim() > 1 else t,
    "a slice of wider rows": lambda t: torch.cat([t, t], -1)[..., : t.shape[-1]],
    "every second number": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "expanded": lambda t: t[:1].expand(t.shape),
    "one number, expanded": lambda t: t.flatten()[0].expand(t.shape),
    "a lazy negative": lambda t: torch.complex(t, -t).conj().imag,
}


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("op", OPS)
def test_every_form_in_memory_gives_the_same(op, form, backend):
    function, arguments = plain(op)
    formed = {name: FORMS[form](t) for name, t in arguments.items()}
    dense = {name: t.clone(memory_format=torch.contiguous_format) for name, t in formed.items()}
    if op == "selective_scan":  # decay rates stay below 0
        formed["A"], dense["A"] = -formed["A"].abs(), -dense["A"].abs()
    torch.testing.assert_close(
        function(**formed, backend=backend), function(**dense, backend=backend), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("op", OPS)
def test_an_empty_axis_is_refused(op):
    function, arguments = plain(op)
    first = next(iter(arguments))
    with pytest.raises(UsageError, match="non-empty"):
        function(**{**arguments, first: arguments[first][:, :0]})


@pytest.mark.parametrize("op", OPS)
def test_tensors_without_values_give_the_shape(op):
    from torch._subclasses import FakeTensorMode

    function, arguments = plain(op)
    first = next(iter(arguments.values()))
    out = function(**{name: t.to("meta") for name, t in arguments.items()})
    assert (out.shape, out.dtype, out.device.type) == (first.shape, first.dtype, "meta")
    with FakeTensorMode() as mode:
        out = function(**{name: mode.from_tensor(t) for name, t in arguments.items()})
    assert (out.shape, out.dtype, out.device.type) == (first.shape, first.dtype, "cpu")


@pytest.mark.parametrize("op", OPS)
def test_two_devices_are_refused(op):
    function, arguments = plain(op)
    last = list(arguments)[-1]
    with pytest.raises(UsageError, match=f"{op}: {last} is on meta, but"):
        function(**{**arguments, last: arguments[last].to("meta")})


@pytest.mark.parametrize("op", OPS)
def test_other_defaults_of_the_program_change_nothing(op):
    function, arguments = plain(op)
    expected = function(**arguments)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(function(**arguments), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_arrays_are_told_how_to_become_tensors():
    with pytest.raises(UsageError, match=r"got ndarray; torch\.as_tensor makes one"):
        causal_conv1d(np.zeros((1, 2, 3)), torch.zeros(3, 2), torch.zeros(3))


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize(("op", "name"), ARGUMENTS)
def test_the_registered_ops_refuse_the_same(op, name, backend):
    _, arguments = plain(op)
    arguments[name] = arguments[name].int()
    others = {
        "selective_scan": (False, False, backend),
        "causal_conv1d": (True, backend),
        "gated_norm": (1e-5, backend),
    }
    with pytest.raises(UsageError, match=f"^{op}: {name} needs a dense tensor"):
        getattr(torch.ops.lightm_unet, op)(*arguments.values(), *others[op])


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # by torch itself
@pytest.mark.parametrize(("op", "name"), ARGUMENTS)
def test_forward_mode_derivatives_are_refused_and_not_taken_for_zero(op, name):
    from torch.autograd import forward_ad

    function, arguments = plain(op)

    def of_one(t):
        return function(**{**arguments, name: t})

    refusal = f"{op}: {name} carries a forward-mode derivative"
    with pytest.raises(UsageError, match=refusal):
        torch.func.jvp(of_one, (arguments[name],), (arguments[name],))
    with torch.no_grad(), forward_ad.dual_level(), pytest.raises(UsageError, match=refusal):
        of_one(forward_ad.make_dual(arguments[name], arguments[name]))
    with forward_ad.dual_level():  # nothing is differentiated
        assert torch.equal(of_one(arguments[name]), function(**arguments))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_vmap_gives_what_a_loop_gives(op):
    function, arguments = plain(op)
    first = next(iter(arguments))
    stacked = torch.stack([arguments[first], 2 * arguments[first]])

    def of_one(t):
        return function(**{**arguments, first: t})

    torch.testing.assert_close(
        torch.func.vmap(of_one)(stacked), torch.stack([of_one(t) for t in stacked])
    )
