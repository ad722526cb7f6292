"""What this processor can do at most: work of known size, for `bench` to time.

Each function runs a native kernel, which must be built, and returns how much was done, in float32.
"""

from __future__ import annotations

from torch import Tensor
from torch.utils.dlpack import to_dlpack

from lightm_unet.ops.dispatch import native


def multiply_adds(rounds: int, threads: int) -> int:
    """Fused multiply-adds in registers: no thread waits for memory or for its own results.

    Args:
        rounds: how often every thread's chains of operations go on.
        threads: so many share the work, which grows with them.

    Returns:
        Operations; a multiply-add counts as 2.
    """
    return 2 * native.multiply_adds(rounds, threads)


def exponentials(rounds: int, threads: int) -> int:
    """Exponentials in registers, as the selective scan makes its decays.

    Args:
        rounds: as for `multiply_adds`.
        threads: as for `multiply_adds`.

    Returns:
        Exponentials.
    """
    return native.exponentials(rounds, threads)


def double_stream(source: Tensor, target: Tensor, threads: int) -> int:
    """Read one tensor and write another: twice the first.

    The stores are ordinary ones, as in all kernels: before it writes a line of the target, the
    processor reads it. That is not counted.

    Args:
        source: `(count,)`.
        target: as `source`; it is changed.
        threads: so many share the work.

    Returns:
        Bytes read from `source` and written to `target`.
    """
    native.double_stream(to_dlpack(source), to_dlpack(target), threads)
    return source.nbytes + target.nbytes
