"""The operations of a pass: the package's own count, and three of them for a training step."""

import pytest
import torch
from torch import nn

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.operations import count_pass
from lightm_unet.costs.count import count_networks
from lightm_unet.errors import UsageError
from lightm_unet.networks import registry
from lightm_unet.networks.base import SegmentationNetwork
from lightm_unet.networks.registry import register_network


def count(**change):
    return count_pass(BenchCase("lightm-unet-nano", (32, 32), in_channels=3, **change))


def test_an_inference_has_the_operations_of_count_scans_included():
    cost = count_networks(["lightm-unet-nano"], size=(32, 32)).costs["lightm-unet-nano"]
    assert cost.scan_flops > 0
    assert count() == cost.flops


def test_a_batch_has_them_for_each_image_and_a_training_step_three_times():
    assert count(batch=4) == 4 * count()
    assert count(job="train") == 3 * count()
    assert count(threads=2, engine="onnxruntime", allocator="kept") == count()


def test_training_with_deep_supervision_has_the_operations_of_its_extra_logits():
    def step(**change):
        return count_pass(BenchCase("nnu-net", (64, 64), **change))

    assert step(job="train") > 3 * step()


class NeedsValues(SegmentationNetwork):
    """Looks at its numbers, which are none when it is counted."""

    def __init__(self, spatial_dims, in_channels, out_channels):
        shape = spatial_dims, in_channels, out_channels
        super().__init__("needs-values", *shape, multiple=1, options={})
        self.layer = nn.Conv2d(in_channels, out_channels, 1)

    def compute(self, image):
        return self.layer(image if image.sum().item() > 0 else -image)


def test_a_network_that_runs_but_cannot_be_counted_is_named(monkeypatch):
    monkeypatch.setattr(registry, "NETWORKS", dict(registry.NETWORKS))
    register_network("needs-values", NeedsValues)
    with pytest.raises(UsageError, match="needs-values cannot be counted: ") as error:
        count_pass(BenchCase("needs-values", (8, 8)))
    assert "\n" not in str(error.value)
    assert torch.zeros(1).device.type == "cpu"  # the meta device was for the count alone
