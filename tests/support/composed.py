"""The layers as torch's modules compose them, which is their definition."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from lightm_unet.ops import native_layers


@contextmanager
def composed_form() -> Iterator[None]:
    """Within it no tensors fit a native layer."""
    with patch.object(native_layers, "_are_plain", return_value=False):
        yield
