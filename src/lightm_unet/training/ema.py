"""An exponential moving average of a network's weights, which often scores better than the last.

After step t (from 0) the average moves towards the weights by 1 - d, with

    d = min(decay, (1 + t) / (10 + t))

so that it covers the last ninth of the steps so far, and never more than about 1 / (1 - decay) of
them: a short run is averaged over few steps, a long one over 1000 with a decay of 0.999. The first
weights, which are random, are soon forgotten.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

RAW, EMA = "raw", "ema"
"""The weights of the last step, and their moving average."""
PREFIXES = {RAW: "network.", EMA: "averaged.network."}
"""How the names of both begin in a checkpoint."""


class AveragedNetwork(nn.Module):
    """The moving average of a network, as a network of its own that is always in eval mode.

    As a part of the module that is trained it goes into checkpoints and to other devices with it,
    and a resumed run has it to the bit. It is given no gradient, so an optimizer and
    DistributedDataParallel leave it alone.

    The statistics of BatchNorm are averaged as the weights are: those of the last step belong to
    other weights. Buffers that hold whole numbers are copied.

    Args:
        network: the network; it is copied.
        decay: of the average in a long run, below 1.

    Example:
        >>> network = nn.Linear(1, 1, bias=False)
        >>> averaged = AveragedNetwork(network, decay=0.999)
        >>> _ = network.load_state_dict({"weight": averaged.network.weight + 1})
        >>> averaged.update(network)  # the first step moves it by nine tenths
        >>> round((network.weight - averaged.network.weight).item(), 3)
        0.1
    """

    steps: torch.Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.eval()

    def train(self, mode: bool = True) -> AveragedNetwork:
        """Stays in eval mode, also when the module that it is a part of is trained."""
        return super().train(False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.network(image)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights that a step has given.

        Args:
            network: the network that is trained.
        """
        step = int(self.steps)
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        self.steps += 1
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        moving = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([own for own, _ in moving], [other for _, other in moving], share)
        for own, other in pairs:
            if not own.is_floating_point():
                own.copy_(other)

    @torch.no_grad()
    def exchange(self, network: nn.Module) -> None:
        """Swap the average and the weights; doing so again undoes it.

        Args:
            network: the network that is trained.
        """
        for own, other in zip(_tensors(self.network), _tensors(network), strict=True):
            kept = own.clone()
            own.copy_(other)
            other.copy_(kept)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
