"""What holds for every test and doctest, before torch is imported."""

import os
from importlib.util import find_spec

import pytest

# Tiny networks are not worth sharing, and tests that run side by side would fight for the cores.
# Tests of several threads ask for them.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

# Where triton has no build, its kernels are not imported to look for doctests either.
collect_ignore_glob = (
    [] if find_spec("triton") else ["src/lightm_unet/ops/triton_*.py", "tests/ops/triton_inter*"]
)


def pytest_addoption(parser):
    """Options of this project's tests."""
    parser.addoption(
        "--write-reliability",
        action="store_true",
        help="write docs/reliability.md from what the tests in tests/reliability found",
    )


@pytest.fixture(autouse=True)
def _own_networks_are_forgotten(monkeypatch):
    """A network that a test or a doctest registers is known to it alone."""
    from lightm_unet.networks import registry

    monkeypatch.setattr(registry, "NETWORKS", dict(registry.NETWORKS))
