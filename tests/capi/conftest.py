"""The library for C, built once."""

import pytest

from c_library import built_library


@pytest.fixture(scope="session")
def library(pytestconfig):
    """The functions of csrc/capi.h."""
    return built_library(pytestconfig)
