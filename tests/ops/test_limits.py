"""Work of known size: as much as is said, and of the instruction set in use."""

import os
import subprocess
import sys

import pytest
import torch

from lightm_unet.ops import limits
from lightm_unet.ops.dispatch import native

pytestmark = pytest.mark.skipif(native is None, reason="the extension is not built")

CHAINS, ITEMS, WIDTH = 12, 8, {"avx512": 16, "avx2": 8, "portable": 4}


@pytest.mark.parametrize("threads", [1, 3])
def test_the_amount_is_that_of_all_threads_chains_and_lanes(threads):
    numbers = 5 * threads * ITEMS * CHAINS * WIDTH[native.instruction_set()]
    assert limits.multiply_adds(5, threads) == 2 * numbers
    assert limits.exponentials(5, threads) == numbers


@pytest.mark.parametrize("count", [1, 15, 1003])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_stream_doubles_every_number_and_counts_both_buffers(count, threads):
    source, target = torch.randn(count), torch.full((count,), torch.nan)
    assert limits.double_stream(source, target, threads) == 8 * count
    assert torch.equal(target, 2 * source)


def test_buffers_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"to has shape \(3,\); expected \(4,\)"):
        limits.double_stream(torch.zeros(4), torch.zeros(3), 1)


def test_a_smaller_instruction_set_does_less_in_a_round():
    code = "from lightm_unet.ops.limits import multiply_adds; print(multiply_adds(1, 1))"
    environment = {**os.environ, "LIGHTM_UNET_ISA": "portable"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 2 * ITEMS * CHAINS * WIDTH["portable"]
