"""The selective scan: its definition, a torch form for any device, and native CPU kernels."""

from lightm_unet.ops.causal_conv import causal_conv1d
from lightm_unet.ops.dispatch import Backend, backends
from lightm_unet.ops.selective_scan import selective_scan

__all__ = ["Backend", "backends", "causal_conv1d", "selective_scan"]
