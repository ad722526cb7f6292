"""The causal convolution with its SiLU in Triton; `causal_conv.py` is the definition.

A program takes BLOCK_T steps of BLOCK_C channels. It loads x once for every tap of the filter; all
but the first find it in the L1 cache, so that x crosses the bus once. The backward pass needs
p_t at the `width - 1` steps behind its tile too, and computes it there again, from cache, which
is cheaper than a tensor of the gradients of p.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lightm_unet.ops.cpu import dense_rows
from lightm_unet.ops.triton_math import FOUR_WARPS, load_row, row_strides, sigmoid

BLOCK_T = 64
BLOCK_C = 32


def conv_triton(x: Tensor, weight: Tensor, bias: Tensor, silu: bool) -> Tensor:
    """The op on a GPU: arguments as `causal_conv1d`, result in x's dtype."""
    x, weight, bias = dense_rows(x), weight.contiguous(), bias.contiguous()
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    grid, sizes = _launch(x, weight, silu)
    with torch.cuda.device_of(x):
        conv_forward[grid](
            x, weight, bias, out, *x.shape[1:], *row_strides(x), **sizes, **FOUR_WARPS
        )
    return out


def conv_triton_backward(
    grad_out: Tensor, x: Tensor, weight: Tensor, bias: Tensor, silu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias, each in its tensor's dtype; no atomics."""
    grad_out, x = dense_rows(grad_out), dense_rows(x)
    kinds = weight.dtype, bias.dtype
    weight, bias = weight.contiguous(), bias.contiguous()
    channels, width = weight.shape
    grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    grid, sizes = _launch(x, weight, silu)
    tiles = x.shape[0] * triton.cdiv(x.shape[1], BLOCK_T)
    # By tile of steps: a row for each tap, and one for the bias.
    partial = torch.empty(tiles, width + 1, channels, dtype=torch.float32, device=x.device)
    with torch.cuda.device_of(x):
        conv_backward[grid](
            grad_out, x, weight, bias, grad_x, partial,
            *x.shape[1:], *row_strides(grad_out), *row_strides(x), **sizes, **FOUR_WARPS,
        )  # fmt: skip
    sums = partial.sum(0)
    return grad_x, sums[:width].t().to(kinds[0]).contiguous(), sums[width].clone().to(kinds[1])


def _launch(x: Tensor, weight: Tensor, silu: bool) -> tuple[tuple[int], dict]:
    batch, length, channels = x.shape
    block_c = min(BLOCK_C, triton.next_power_of_2(channels))
    programs = batch * triton.cdiv(length, BLOCK_T) * triton.cdiv(channels, block_c)
    sizes = {"SILU": silu, "WIDTH": weight.shape[1], "BLOCK_T": BLOCK_T, "BLOCK_C": block_c}
    return (programs,), sizes


@triton.jit
def which_tile(length, channels, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr):
    """This program's block of channels, tile of steps and batch entry, the channels fastest."""
    blocks = tl.cdiv(channels, BLOCK_C)
    tiles = tl.cdiv(length, BLOCK_T)
    program = tl.program_id(0)
    return program % blocks, (program // blocks) % tiles, (program // blocks // tiles).to(tl.int64)


@triton.jit
def before_silu(
    x, weight, bias, t, c, length, channels, x_row, WIDTH: tl.constexpr
):  # fmt: skip
    """p at steps t, `(BLOCK_T,)`, of channels c, `(BLOCK_C,)`: `(BLOCK_T, BLOCK_C)`."""
    has_c = c < channels
    p = tl.zeros((t.shape[0], c.shape[0]), tl.float32)
    p += load_row(bias + c, has_c)[None, :]
    for k in tl.static_range(WIDTH):
        source = t - (WIDTH - 1) + k  # (BLOCK_T,)
        inside = ((source >= 0) & (source < length))[:, None] & has_c[None, :]
        tap = load_row(weight + c * WIDTH + k, has_c)  # (BLOCK_C,)
        p += load_row(x + source[:, None] * x_row + c[None, :], inside) * tap[None, :]
    return p


@triton.jit
def conv_forward(
    x, weight, bias, out, length, channels, x_batch, x_row,
    SILU: tl.constexpr, WIDTH: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """One tile of the output."""
    block, tile, batch = which_tile(length, channels, BLOCK_T, BLOCK_C)
    c = block * BLOCK_C + tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    t = tile.to(tl.int64) * BLOCK_T + tl.arange(0, BLOCK_T)  # (BLOCK_T,)
    inside = (t < length)[:, None] & (c < channels)[None, :]  # (BLOCK_T, BLOCK_C)
    p = before_silu(x + batch * x_batch, weight, bias, t, c, length, channels, x_row, WIDTH)
    if SILU:
        p *= sigmoid(p)
    at = (batch * length + t)[:, None] * channels + c[None, :]  # (BLOCK_T, BLOCK_C)
    tl.store(out + at, p.to(out.dtype.element_ty), mask=inside)


@triton.jit
def conv_backward(
    grad_out, x, weight, bias, grad_x, partial,
    length, channels, grad_batch, grad_row, x_batch, x_row,
    SILU: tl.constexpr, WIDTH: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """One tile of x's gradient, and the tile's part of the filters' and the bias's."""
    block, tile, batch = which_tile(length, channels, BLOCK_T, BLOCK_C)
    c = block * BLOCK_C + tl.arange(0, BLOCK_C)  # (BLOCK_C,)
    t = tile.to(tl.int64) * BLOCK_T + tl.arange(0, BLOCK_T)  # (BLOCK_T,)
    has_c = c < channels
    inside = (t < length)[:, None] & has_c[None, :]  # (BLOCK_T, BLOCK_C)
    x += batch * x_batch
    grad_out += batch * grad_batch
    partial += (batch * tl.cdiv(length, BLOCK_T) + tile) * (WIDTH + 1) * channels

    sum_x = tl.zeros((BLOCK_T, BLOCK_C), tl.float32)
    for ahead in tl.static_range(WIDTH):  # step t reached the outputs t ... t + WIDTH - 1
        later = t + ahead  # (BLOCK_T,)
        exists = (later < length)[:, None] & has_c[None, :]  # (BLOCK_T, BLOCK_C)
        grad_p = load_row(grad_out + later[:, None] * grad_row + c[None, :], exists)
        if SILU:
            p = before_silu(x, weight, bias, later, c, length, channels, x_row, WIDTH)
            gate = sigmoid(p)
            grad_p *= gate * (1.0 + p * (1.0 - gate))
        tap = load_row(weight + c * WIDTH + WIDTH - 1 - ahead, has_c)  # (BLOCK_C,)
        sum_x += grad_p * tap[None, :]
        if ahead == 0:
            for k in tl.static_range(WIDTH):
                source = t - (WIDTH - 1) + k  # (BLOCK_T,)
                seen = (source >= 0)[:, None] & inside  # (BLOCK_T, BLOCK_C)
                earlier = load_row(x + source[:, None] * x_row + c[None, :], seen)
                tl.store(partial + k * channels + c, tl.sum(grad_p * earlier, 0), mask=has_c)
            tl.store(partial + WIDTH * channels + c, tl.sum(grad_p, 0), mask=has_c)
    at = (batch * length + t)[:, None] * channels + c[None, :]  # (BLOCK_T, BLOCK_C)
    tl.store(grad_x + at, sum_x.to(grad_x.dtype.element_ty), mask=inside)
