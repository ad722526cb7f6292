"""One pass of a network under torch: an inference or a training step."""

from __future__ import annotations

import gc

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightm_unet.benchmark.contestants import Contestant
from lightm_unet.networks.registry import build_network
from lightm_unet.system.device import choose_device, wait_for
from lightm_unet.system.memory import forget_peak, peak_bytes, resident_bytes

SEED = 0


def make_image(contestant: Contestant) -> np.ndarray:
    """The image that every contestant of a size gets, `(batch, in_channels, *size)`, float32."""
    shape = (contestant.batch, contestant.in_channels, *contestant.size)
    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)


def make_network(contestant: Contestant) -> nn.Module:
    """The contestant's network with random weights, always the same ones."""
    torch.manual_seed(SEED)
    return build_network(
        contestant.network,
        len(contestant.size),
        contestant.in_channels,
        contestant.out_channels,
        image_size=contestant.size,
    )


class TorchPass:
    """A network, its input, and for training labels and an optimizer; call it for one pass.

    Raises:
        UsageError: there is no such network, or it has no such option.
        MissingPartError: the device is not here.
    """

    def __init__(self, contestant: Contestant) -> None:
        torch.set_num_threads(contestant.threads)
        self.device = choose_device(contestant.device)
        self.trains = contestant.job == "train"
        self.network = make_network(contestant).train(self.trains).to(self.device)
        self.image = torch.from_numpy(make_image(contestant)).to(self.device)
        self.parameters = sum(p.numel() for p in self.network.parameters())
        if self.trains:
            shape = (contestant.batch, 1, *contestant.size)
            self.labels = torch.randint(contestant.out_channels, shape, device=self.device)
            self.optimizer = torch.optim.SGD(self.network.parameters(), 1e-3, momentum=0.9)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.idle_bytes = torch.cuda.memory_allocated(self.device)
        elif self.device.type == "mps":
            self.idle_bytes = torch.mps.driver_allocated_memory()
        else:
            forget_peak()
            self.idle_bytes = resident_bytes()

    def __call__(self) -> None:
        """Do one pass, and wait until it is done."""
        if self.trains:
            self.optimizer.zero_grad()
            training_loss(self.network(self.image), self.labels).backward()
            self.optimizer.step()
        else:
            with torch.inference_mode():
                self.network(self.image)
        wait_for(self.device)

    def peak_bytes(self) -> int:
        """The most memory so far: of this process, or on the GPU of the tensors."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if self.device.type == "mps":  # it keeps what it was given, and so shows its peak
            return torch.mps.driver_allocated_memory()
        return peak_bytes()


def training_loss(outputs: Tensor | tuple[Tensor, ...], labels: Tensor) -> Tensor:
    """Cross-entropy; under deep supervision the sum over the outputs, each weighing half the last.

    Args:
        outputs: logits `(batch, classes, *spatial)`, or a tuple of them, full resolution first.
        labels: `(batch, 1, *spatial)`, whole numbers.
    """
    if isinstance(outputs, Tensor):
        outputs = (outputs,)
    loss = outputs[0].new_zeros(())
    for level, logits in enumerate(outputs):
        small = F.interpolate(labels.float(), size=logits.shape[2:], mode="nearest").long()
        loss = loss + F.cross_entropy(logits, small[:, 0]) / 2**level
    return loss
