"""What a format of `export` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lightm_unet.deploy.settings import ExportSettings
from lightm_unet.models.model_folder import ModelFolder


@dataclass(frozen=True)
class Exported:
    """What an export has written."""

    path: Path
    """The file, or the folder."""
    bytes: int
    """Its size, or that of all files in it."""
    checked: str
    """What it was compared with before it was written, and what was found, in one line."""


class Writer(NamedTuple):
    """How a format is written."""

    write: Callable[[ModelFolder, Path, ExportSettings], Exported]
    """Writes all or nothing: a model that cannot be used elsewhere is refused with the reason."""
    check: Callable[[Path], None]
    """Looks at the output, and for the packages that it needs, before any work."""
    takes: tuple[str, ...] = ()
    """Which fields of `ExportSettings` matter to it; others are refused."""
