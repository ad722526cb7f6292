"""What does not fit never reaches a kernel, and the error says what was found and expected."""

import pytest
import torch

from lightm_unet.ops.dispatch import native
from lightm_unet.ops.native_call import call

pytestmark = pytest.mark.skipif(native is None, reason="the extension is not built")


def refused(kernel, *arguments):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the caller looks at the message)
        call(kernel, *arguments)
    return str(error.value)


def test_a_wrong_shape_is_named_with_the_right_one():
    x, weight, bias = torch.zeros(1, 5, 3), torch.zeros(3, 4), torch.zeros(4)
    message = refused(native.conv_forward, x, weight, bias, True, torch.zeros(1, 5, 3))
    assert message == "bias has shape (4,); expected (3,)"


def test_rows_must_be_dense_along_the_channels():
    x, weight, bias = torch.zeros(1, 3, 5).mT, torch.zeros(3, 4), torch.zeros(3)
    message = refused(native.conv_forward, x, weight, bias, True, torch.zeros(1, 5, 3))
    assert message == "x has steps of 5 along its last axis; expected a dense one"


def decoder(low_length, grid, factor):
    length = torch.Size(grid).numel()
    tensors = torch.zeros(1, low_length, 4), torch.zeros(1, length, 4)
    depthwise = torch.zeros(4, 3 ** len(grid))
    out = torch.zeros(1, length, 2)
    head = depthwise, None, torch.zeros(2, 4), None, None, None, None, 1.0
    return refused(native.decoder_stage, *tensors, grid, factor, *head, out)


def test_an_odd_grid_cannot_come_from_one_of_half_its_size():
    assert decoder(2, [5, 2], 2) == "grid is (5, 2); expected 2 or 3 positive even sizes"
    assert decoder(1, [2, 3, 4], 2) == "grid is (2, 3, 4); expected 2 or 3 positive even sizes"


@pytest.mark.parametrize("grid", [[4], [2, 2, 2, 2], [0, 4], [-2, 4]])
def test_a_grid_has_two_or_three_positive_sizes(grid):
    tokens, depthwise = torch.zeros(1, 4, 4), torch.zeros(4, 9)
    head = depthwise, None, torch.zeros(2, 4), None, None, None, None, 1.0
    out = torch.zeros(1, 4, 2)
    message = refused(native.decoder_stage, tokens, tokens, grid, 1, *head, out)
    assert "expected 2 or 3 positive sizes" in message


def test_a_layer_needs_all_its_weights():
    tokens = torch.zeros(1, 4, 2)
    for kernel, arguments in (
        (native.rvm_layer, (tokens, [], 1e-5, [], tokens, None)),
        (native.rvm_backward, (tokens, tokens, tokens, [], 1e-5, [], tokens, [])),
    ):
        message = refused(kernel, *arguments)
        assert message == f"0 weights; expected {len(native.RVM_WEIGHTS)}, those of RVM_WEIGHTS"


def test_what_a_layer_kept_belongs_to_its_shape():
    # One channel, one state and a convolution of one step: every weight has one number but x_proj.
    sizes = {"in_proj": (2, 1), "x_proj": (3, 1)}
    matrices = ("conv_weight", "dt_weight", "A_log", "out_proj", "projection_weight")
    weights = [
        torch.ones(sizes.get(name, (1, 1) if name in matrices else (1,)))
        for name in native.RVM_WEIGHTS
    ]
    tokens, expected = torch.zeros(1, 4, 1), native.rvm_kept_floats(1, 4, 1, 1, 1, 1, 1, 0)
    message = refused(
        *(native.rvm_backward, tokens, tokens, torch.zeros(7), weights, 1e-5, []),
        *(torch.zeros(1, 4, 1), [w.clone() for w in weights]),
    )
    assert message == f"kept has shape (7,); expected ({expected},)"


def test_a_size_beyond_all_memory_is_refused_and_does_not_wrap_around():
    with pytest.raises(ValueError, match="more numbers than memory has addresses"):
        native.empty([2**33, 2**33])
    with pytest.raises(ValueError, match="more numbers than memory has addresses"):
        native.empty([2**62])


def test_what_goes_with_the_last_product_needs_it():
    tokens, depthwise = torch.zeros(1, 4, 4), torch.zeros(4, 9)
    stage = depthwise, None, torch.zeros(4, 4), None, None, None, torch.zeros(4), 0.0
    message = refused(native.decoder_stage, tokens, tokens, [2, 2], 1, *stage, tokens)
    assert message == "last_bias needs last, which is missing"


def test_a_scale_needs_as_many_channels_out_as_in():
    tokens, depthwise = torch.zeros(1, 4, 4), torch.zeros(4, 9)
    stage = depthwise, None, torch.zeros(2, 4), None, torch.zeros(2), None, None, 1.0
    message = refused(
        native.decoder_stage, tokens, tokens, [2, 2], 1, *stage, tokens[..., :2].clone()
    )
    assert message == (
        "pointwise has 2 outputs; expected 4, as many as there are channels, since there is a scale"
    )


def mix_backward(**changed):
    tokens, depthwise, pointwise = torch.zeros(1, 4, 4), torch.zeros(4, 9), torch.zeros(4, 4)
    arguments = {
        "grad": tokens, "low": tokens, "skip": tokens, "grid": [2, 2], "factor": 1,
        "depthwise": depthwise, "depthwise_bias": None, "pointwise": pointwise, "scale": None,
        "grad_low": None, "grad_skip": tokens, "grad_depthwise": depthwise,
        "grad_depthwise_bias": None, "grad_pointwise": pointwise, "grad_pointwise_bias": None,
        "grad_scale": None,
    }  # fmt: skip
    return refused(native.mix_stage_backward, *(arguments | changed).values())


def norm_backward(**changed):
    tokens, channels = torch.zeros(1, 4, 4), torch.zeros(4)
    arguments = {
        "grad": tokens, "x": tokens, "weight": channels, "bias": channels, "epsilon": 1e-5,
        "last": None, "slope": 0.0, "mean": channels, "variance": channels, "grad_x": tokens,
        "grad_weight": channels, "grad_bias": channels, "grad_last": None, "grad_last_bias": None,
    }  # fmt: skip
    return refused(native.norm_stage_backward, *(arguments | changed).values())


def test_gradients_that_do_not_belong_together_are_refused():
    four = torch.zeros(4)
    for changed, message in (
        ({"grad_low": torch.zeros(1, 4, 4)}, "grad_low needs grad_skip, and a low grid of half"),
        ({"grad_depthwise": None}, "grad_depthwise and grad_pointwise belong together"),
        ({"grad_scale": four}, "grad_scale needs scale, which is missing"),
        ({"low": None, "factor": 2}, "factor is 2; expected 1, since there is no low"),
        ({"grad": torch.zeros(1, 4, 3)}, "grad has shape (1, 4, 3); expected (1, 4, 4)"),
        (
            {"grad_depthwise": None, "grad_pointwise": None, "grad_pointwise_bias": four},
            "gradients of biases and scale need grad_pointwise, which is missing",
        ),
    ):
        assert message in mix_backward(**changed)
    for changed, message in (
        ({"bias": None}, "weight and bias belong together"),
        ({"mean": None}, "mean and variance go with weight"),
        ({"slope": 1.5}, "slope is 1.500000; expected one from 0 to 1"),
        ({"grad_last": torch.zeros(4, 4)}, "grad_last and grad_last_bias need last"),
        (
            {"weight": None, "bias": None, "mean": None, "variance": None},
            "grad_weight and grad_bias need weight",
        ),
        ({"mean": torch.zeros(3)}, "mean has shape (3,); expected (4,)"),
    ):
        assert message in norm_backward(**changed)


def test_the_gradient_of_the_stem_s_weight_has_the_image_s_taps():
    grad, image = torch.zeros(1, 4, 3), torch.zeros(1, 1, 2, 2)
    message = refused(native.conv_stem_backward, grad, image, torch.zeros(3, 27), torch.zeros(3))
    assert message == "grad_weight has shape (3, 27); expected (3, 9)"
