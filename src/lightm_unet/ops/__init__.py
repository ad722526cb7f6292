"""The selective scan and the fused steps beside it: definitions, torch forms, CPU, GPU kernels."""

from lightm_unet.ops.causal_conv import causal_conv1d
from lightm_unet.ops.dispatch import Backend, backends
from lightm_unet.ops.gated_norm import gated_norm
from lightm_unet.ops.memory import release_memory
from lightm_unet.ops.selective_scan import selective_scan

__all__ = ["Backend", "backends", "causal_conv1d", "gated_norm", "release_memory", "selective_scan"]
