"""A whole RVM layer as one op, for inference: native, streamed along the sequence.

`networks/rvm.py` composes the layer of norms, products, a convolution and a scan; that is its
definition, and how it trains. Where no gradient is needed, the native form does the same in tiles
that stay in cache: it reads the input once, writes the output once, and needs a tile of memory
instead of a dozen copies of the sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from lightm_unet.ops.dispatch import choose_backend, native
from lightm_unet.ops.selective_scan import scan_flops

WEIGHTS = (
    "norm_weight",
    "norm_bias",
    "in_proj",
    "conv_weight",
    "conv_bias",
    "x_proj",
    "dt_weight",
    "dt_bias",
    "A",
    "D",
    "scan_norm_weight",
    "scan_norm_bias",
    "out_proj",
    "scale",
    "projection_norm_weight",
    "projection_norm_bias",
    "projection_weight",
    "projection_bias",
)
"""The layer's tensors in the order that the op takes them; shapes as in csrc/rvm_layer.h."""


def can_run_rvm_layer(tokens: Tensor, weights: list[Tensor]) -> bool:
    """Whether the native layer gives what the composed one would, for these tensors, here and now.

    It needs the "cpu" backend, float32 throughout, no autocast, and nobody who waits for a
    gradient. Compilers trace the composed layer instead.
    """
    if native is None or tokens.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if torch.is_grad_enabled() and any(t.requires_grad for t in (tokens, *weights)):
        return False
    return (
        all(t.dtype == torch.float32 for t in (tokens, *weights))
        and not torch.is_autocast_enabled("cpu")
        and choose_backend(None, tokens.device, tokens.dtype) == "cpu"
    )


@torch.library.custom_op("lightm_unet::rvm_layer", mutates_args=())
def rvm_layer(tokens: Tensor, weights: list[Tensor], epsilon: float) -> Tensor:
    """Run the layer; ask `can_run_rvm_layer` first.

    Args:
        tokens: `(batch, length, channels)`, float32, on the CPU.
        weights: see `WEIGHTS`.
        epsilon: of the three LayerNorms.

    Returns:
        `(batch, length, out_channels)`.
    """
    out = tokens.new_empty(*tokens.shape[:2], weights[-1].shape[0])
    native.rvm_layer(
        tokens.contiguous(),
        [t.contiguous() for t in weights],
        epsilon,
        out,
        torch.get_num_threads(),
    )
    return out


@rvm_layer.register_fake
def _(tokens, weights, epsilon):
    return tokens.new_empty(*tokens.shape[:2], weights[-1].shape[0])


@register_flop_formula(torch.ops.lightm_unet.rvm_layer)
def _(tokens_shape, weights_shapes, *_, **__) -> int:
    batch, length, _ = tokens_shape
    shapes = dict(zip(WEIGHTS, weights_shapes, strict=True))
    products = ("in_proj", "conv_weight", "x_proj", "dt_weight", "out_proj", "projection_weight")
    macs = sum(shapes[name][0] * shapes[name][1] for name in products)
    return 2 * batch * length * macs + scan_flops(batch, length, *shapes["A"])


def release_workspace() -> None:
    """Give the memory that native layers keep between calls back to the system."""
    if native is not None:
        native.release_workspace()
