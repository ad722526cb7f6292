"""The networks composed of torch's modules, which define what their native forms must compute."""

import copy
from contextlib import contextmanager
from unittest import mock

from lightm_unet.ops import native_layers


@contextmanager
def composed_form():
    """Within it no layer runs or trains natively; the scan and its like still do."""
    with mock.patch.object(native_layers, "_are_plain", return_value=False):
        yield


def composed(module, *inputs):
    """What calling the module's modules gives; its buffers stay as they are."""
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with composed_form():
        result = module(*inputs).detach()
    for name, buffer in module.named_buffers():
        buffer.copy_(buffers[name])
    return result


def in_double(module):
    """A copy in float64, which is composed in any case."""
    return copy.deepcopy(module).double()
