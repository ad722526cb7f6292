"""What the tests of the ops share."""

import pytest
import torch


@pytest.fixture
def nan_in_fresh_memory():
    """Fill what `empty` returns with NaN, so that an output a kernel forgot cannot pass."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)
