"""Small pieces that the Triton kernels share: functions of one number, and options of a launch.

Kernels run without a GPU when `TRITON_INTERPRET=1` is set before triton is first imported.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

ONE_WARP = {"num_warps": 1, "enable_fp_fusion": True}
FOUR_WARPS = {"num_warps": 4, "enable_fp_fusion": True}
LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x)); 0 and 1 at the far ends, never NaN."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def softplus(x):
    """log(1 + exp(x)) with a relative error of float32's rounding at both ends.

    With e = exp(-|x|) it is max(x, 0) + log(1 + e). The usual fast logarithm has an absolute error,
    which is all there is left of the small steps that a network starts with. log(1 + e) is
    2 atanh(s), s = e / (2 + e) <= 1/3, whose series ends at s^15 / 15.
    """
    e = tl.exp(-tl.abs(x))
    s = e / (2.0 + e)
    q = s * s
    series = q * (1.0 / 15.0) + 1.0 / 13.0
    series = q * series + 1.0 / 11.0
    series = q * series + 1.0 / 9.0
    series = q * series + 1.0 / 7.0
    series = q * series + 1.0 / 5.0
    series = q * series + 1.0 / 3.0
    series = q * series + 1.0
    return tl.maximum(x, 0.0) + 2.0 * s * series


@triton.jit
def load_row(pointers, mask):
    """What the pointers see, in float32; 0 where the mask is false."""
    return tl.load(pointers, mask=mask, other=0.0).to(tl.float32)


def row_strides(t: Tensor | None) -> tuple[int, int]:
    """Elements from one batch entry to the next and from one step to the next; 0, 0 for None."""
    return (0, 0) if t is None else (t.stride(0), t.stride(1))
