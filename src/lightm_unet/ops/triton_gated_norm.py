"""LayerNorm(x) * silu(gate) in Triton, forward and backward: each tensor crosses the bus once.

A program holds BLOCK_R whole rows. With mean and variance over the channels of a row,

    r = 1 / sqrt(var + epsilon),   n = (x - mean) r,   out = (weight n + bias) gate sigmoid(gate)

and, with k the gradient of n, the gradient of x is r (k - mean(k) - n mean(k n)).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lightm_unet.ops.cpu import dense_rows
from lightm_unet.ops.triton_math import FOUR_WARPS, load_row, sigmoid

TILE = 2048  # numbers in a program's tile: 16 for each thread
TILES_PER_PROGRAM = 8  # in the backward pass, to have fewer partial sums


def gated_norm_triton(
    x: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, epsilon: float
) -> Tensor:
    """LayerNorm over the last axis, times silu(gate).

    Args:
        x: `(..., channels)`.
        gate: x's shape; half of a wider row is read in place.
        weight: `(channels,)`.
        bias: `(channels,)`.
        epsilon: added to the variance.

    Returns:
        x's shape and dtype. Float32 inside, whatever comes in.
    """
    rows_x, rows_gate = _rows(x), _rows(gate)
    weight, bias = weight.contiguous(), bias.contiguous()
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, channels, sizes = _sizes(rows_x)
    with torch.cuda.device_of(x):
        gated_norm_forward[(triton.cdiv(rows, sizes["BLOCK_R"]),)](
            rows_x, rows_gate, weight, bias, out, rows, channels,
            rows_x.stride(0), rows_gate.stride(0), epsilon, **sizes, **FOUR_WARPS,
        )  # fmt: skip
    return out


def gated_norm_triton_backward(
    grad_out: Tensor, x: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, gate, weight and bias, each in its tensor's dtype; no atomics."""
    rows_grad, rows_x, rows_gate = _rows(grad_out), _rows(x), _rows(gate)
    kinds = weight.dtype, bias.dtype
    weight, bias = weight.contiguous(), bias.contiguous()
    grad_x, grad_gate = (
        torch.empty_like(t, memory_format=torch.contiguous_format) for t in (x, gate)
    )
    rows, channels, sizes = _sizes(rows_x)
    programs = triton.cdiv(rows, sizes["BLOCK_R"] * TILES_PER_PROGRAM)
    partial = torch.empty(programs, 2, channels, dtype=torch.float32, device=x.device)
    with torch.cuda.device_of(x):
        gated_norm_backward[(programs,)](
            rows_grad, rows_x, rows_gate, weight, bias, grad_x, grad_gate, partial,
            rows, channels, rows_grad.stride(0), rows_x.stride(0), rows_gate.stride(0), epsilon,
            TILES=TILES_PER_PROGRAM, **sizes, **FOUR_WARPS,
        )  # fmt: skip
    grad_weight, grad_bias = (s.clone() for s in partial.sum(0))
    return grad_x, grad_gate, grad_weight.to(kinds[0]), grad_bias.to(kinds[1])


def _rows(t: Tensor) -> Tensor:
    """`(rows, channels)` with a dense last axis, in place where one row stride does."""
    return dense_rows(dense_rows(t).flatten(0, -2))


def _sizes(rows: Tensor) -> tuple[int, int, dict[str, int]]:
    block_c = triton.next_power_of_2(rows.shape[1])
    return *rows.shape, {"BLOCK_R": max(1, TILE // block_c), "BLOCK_C": block_c}


@triton.jit
def gated_norm_forward(
    x, gate, weight, bias, out, rows, channels, x_row, gate_row, epsilon,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """BLOCK_R rows of the output."""
    row = tl.program_id(0).to(tl.int64) * BLOCK_R + tl.arange(0, BLOCK_R)  # (BLOCK_R,)
    c = tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    inside = (row < rows)[:, None] & (c < channels)[None, :]  # (BLOCK_R, BLOCK_C)
    values = load_row(x + row[:, None] * x_row + c[None, :], inside)
    mean = tl.sum(values, 1) / channels  # (BLOCK_R,)
    centred = tl.where(inside, values - mean[:, None], 0.0)  # (BLOCK_R, BLOCK_C)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / channels + epsilon)  # (BLOCK_R,)
    w = load_row(weight + c, c < channels)  # (BLOCK_C,)
    b = load_row(bias + c, c < channels)  # (BLOCK_C,)
    opening = load_row(gate + row[:, None] * gate_row + c[None, :], inside)
    result = (centred * scale[:, None] * w[None, :] + b[None, :]) * opening * sigmoid(opening)
    at = row[:, None] * channels + c[None, :]  # (BLOCK_R, BLOCK_C)
    tl.store(out + at, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def gated_norm_backward(
    grad_out, x, gate, weight, bias, grad_x, grad_gate, partial,
    rows, channels, grad_row, x_row, gate_row, epsilon,
    TILES: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Gradients of TILES * BLOCK_R rows, and their part of those of weight and bias."""
    c = tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    has_c = c < channels
    w = load_row(weight + c, has_c)  # (BLOCK_C,)
    b = load_row(bias + c, has_c)  # (BLOCK_C,)
    sum_weight = tl.zeros((BLOCK_C,), tl.float32)
    sum_bias = tl.zeros((BLOCK_C,), tl.float32)
    for tile in range(TILES):
        first = (tl.program_id(0).to(tl.int64) * TILES + tile) * BLOCK_R
        row = first + tl.arange(0, BLOCK_R)  # (BLOCK_R,)
        inside = (row < rows)[:, None] & has_c[None, :]  # (BLOCK_R, BLOCK_C), as all below
        values = load_row(x + row[:, None] * x_row + c[None, :], inside)
        mean = tl.sum(values, 1) / channels  # (BLOCK_R,)
        centred = tl.where(inside, values - mean[:, None], 0.0)
        scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / channels + epsilon)  # (BLOCK_R,)
        normal = centred * scale[:, None]

        grad = load_row(grad_out + row[:, None] * grad_row + c[None, :], inside)
        opening = load_row(gate + row[:, None] * gate_row + c[None, :], inside)
        opened = sigmoid(opening)
        at = row[:, None] * channels + c[None, :]
        through_gate = grad * (normal * w[None, :] + b[None, :])
        through_gate *= opened * (1.0 + opening * (1.0 - opened))
        tl.store(grad_gate + at, through_gate.to(grad_gate.dtype.element_ty), mask=inside)

        grad *= opening * opened
        sum_weight += tl.sum(grad * normal, 0)
        sum_bias += tl.sum(grad, 0)
        k = grad * w[None, :]
        mean_k = tl.sum(k, 1) / channels  # (BLOCK_R,)
        mean_kn = tl.sum(k * normal, 1) / channels  # (BLOCK_R,)
        result = scale[:, None] * (k - mean_k[:, None] - normal * mean_kn[:, None])
        tl.store(grad_x + at, result.to(grad_x.dtype.element_ty), mask=inside)

    partial += tl.program_id(0).to(tl.int64) * 2 * channels
    tl.store(partial + c, sum_weight, mask=has_c)
    tl.store(partial + channels + c, sum_bias, mask=has_c)
