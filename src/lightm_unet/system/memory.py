"""Memory of this machine, and of this process: what it holds now, and the most it has held."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def machine_bytes() -> int:
    """Physical memory of this machine."""
    return psutil.virtual_memory().total


def resident_bytes() -> int:
    """Physical memory that this process holds."""
    return psutil.Process().memory_info().rss


def free_bytes() -> int:
    """Bytes that programs can have now without making the system swap."""
    return psutil.virtual_memory().available


def peak_bytes() -> int:
    """The most that this process has held, since it began or since `forget_peak`."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    # Bytes on macOS, kilobytes elsewhere.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> None:
    """Let the peak start from what is held now, where the system can: Linux.

    Building a network may take more for a moment than running it.
    """
    try:
        _CLEAR.write_text("5")
    except OSError:
        return
