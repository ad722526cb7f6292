r"""The selective scan as a loop: short, slow, any device, any floating type. The definition.

Symbols, the same in every file of this package:

    u            input sequence                        (batch, length, channels)
    delta        step size, before softplus if asked   (batch, length, channels)
    A            decay rates, negative in practice     (channels, state)
    B, C         input and output maps, per step       (batch, length, state)
    D            skip weight                           (channels,)
    z            gate                                  (batch, length, channels)
    delta_bias   added to delta before softplus        (channels,)
    h            hidden state                          (batch, channels, state)

For every batch entry and channel, with h_0 = 0:

    h_t = exp(delta_t A) * h_{t-1} + delta_t B_t u_t
    y_t = <C_t, h_t> + D u_t
    out_t = y_t * silu(z_t)

Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023,
section 3.2, with the simplified (Euler) discretisation of B that their released code uses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def scan_reference(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Run the recurrence step by step; shapes as in the module's table.

    Returns:
        `(batch, length, channels)`, in u's dtype. Differentiable by autograd; memory grows with
        `length * channels * state`, so keep it to short sequences.
    """
    if delta_bias is not None:
        delta = delta + delta_bias
    if delta_softplus:
        delta = F.softplus(delta)
    batch, length, channels = u.shape
    h = u.new_zeros(batch, channels, A.shape[1])
    outputs = []
    for t in range(length):
        decay = torch.exp(delta[:, t, :, None] * A)  # (batch, channels, state)
        h = decay * h + (delta[:, t] * u[:, t])[:, :, None] * B[:, t, None, :]
        outputs.append((h * C[:, t, None, :]).sum(-1))  # (batch, channels)
    y = torch.stack(outputs, dim=1)
    if D is not None:
        y = y + D * u
    if z is not None:
        y = y * F.silu(z)
    return y
