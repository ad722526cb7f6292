"""Memory: told before a run, kept to in the run, and given back."""

import numpy as np
import pytest

from c_library import CallFailed
from lightm_unet.networks.registry import build_network
from small_models import random_network, write_model

PAPERS = {"dims": 2, "stem": "dwconv"}


@pytest.mark.parametrize(
    ("network", "grid", "most_mb"),
    [
        ("lightm-unet-tiny", (256, 256), 21),
        ("lightm-unet", (256, 256), 21),
        ("lightm-unet", (512, 512), 76),
        ("lightm-unet", (128, 128, 128), 424),
    ],
)
def test_what_a_network_needs(library, tmp_path, network, grid, most_mb):
    built = build_network(network, len(grid), 1, 2).eval()
    with library.model(write_model(tmp_path, built)) as model:
        assert model.network_memory(grid) < most_mb * 1e6
        # Each thread has a few buffers more.
        assert model.network_memory(grid, threads=2) < 1.1 * most_mb * 1e6


def test_a_limit_is_kept(library, tmp_path):
    with library.model(write_model(tmp_path, random_network())) as model:
        image = np.zeros((2, 64, 64))
        needed = model.network_memory((64, 64))
        expected = model.run_network(image)
        # What is kept of the larger run counts as well.
        model.run_network(np.zeros((2, 128, 128)))
        np.testing.assert_array_equal(model.run_network(image, memory_limit=needed), expected)
        with pytest.raises(CallFailed, match=r"TOO_LARGE: this needs .* memory_limit is"):
            model.run_network(image, memory_limit=needed - 1)
        library.release_memory(model.handle)
        np.testing.assert_array_equal(model.run_network(image), expected)
