"""One pass of a network under torch: an inference or a training step."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.networks.registry import build_network
from lightm_unet.system.device import choose_device, wait_for
from lightm_unet.system.memory import forget_peak, peak_bytes, resident_bytes

SEED = 0


def make_image(case: BenchCase) -> np.ndarray:
    """The image that every case of a size gets, `(batch, in_channels, *size)`, float32."""
    shape = (case.batch, case.in_channels, *case.size)
    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)


def make_network(case: BenchCase) -> nn.Module:
    """The case's network with random weights, always the same ones."""
    torch.manual_seed(SEED)
    return build_network(
        case.network,
        len(case.size),
        case.in_channels,
        case.out_channels,
        image_size=case.size,
    )


class TorchPass:
    """A network, its input, and for training labels and an optimizer; call it for one pass.

    A pass of training is a step that `train` takes by the network's own recipe and in the precision
    that it chooses for the device.

    Raises:
        UsageError: there is no such network, or it has no such option.
        MissingPartError: the device is not available.
    """

    def __init__(self, case: BenchCase) -> None:
        torch.set_num_threads(case.threads)
        self.device = choose_device(case.device)
        trains = case.job == "train"
        self.network = make_network(case).train(trains).to(self.device)
        self.image = torch.from_numpy(make_image(case)).to(self.device)
        self.parameters = sum(p.numel() for p in self.network.parameters())
        self.do_pass = self._training_step(case) if trains else self._inference
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
        self.do_pass()
        wait_for(self.device)

    def peak_bytes(self) -> int:
        """Peak memory so far: of this process, or of the tensors on the GPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if self.device.type == "mps":  # it keeps what it was given, and so shows its peak
            return torch.mps.driver_allocated_memory()
        # Linux counts some pages late: the peak may be read a few pages below what was held before.
        return max(peak_bytes(), self.idle_bytes)

    def _inference(self) -> None:
        with torch.inference_mode():
            self.network(self.image)

    def _training_step(self, case: BenchCase) -> Callable[[], object]:
        from lightm_unet.training.preflight import find_precision
        from lightm_unet.training.recipes import build_optimizer, find_recipe, settle_recipe
        from lightm_unet.training.settings import TrainingSettings
        from lightm_unet.training.step import take_step

        settings = TrainingSettings(device=case.device, network=case.network)
        recipe = find_recipe(settle_recipe(settings.recipe, settings.network))
        shape = (case.batch, 1, *case.size)
        labels = torch.randint(case.out_channels, shape, dtype=torch.uint8, device=self.device)
        return partial(
            take_step,
            self.network,
            build_optimizer(recipe, self.network, recipe.learning_rate),
            recipe,
            self.image,
            labels,
            find_precision(settings),
        )
