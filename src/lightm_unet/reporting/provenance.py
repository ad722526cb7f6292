"""When, where and with what a result was made."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version

from lightm_unet import __version__


@dataclass(frozen=True)
class Provenance:
    """The origin of a report: versions, machine and date."""

    created: datetime
    """UTC, to the second."""
    version: str
    """Version of this package."""
    python: str
    packages: dict[str, str]
    """Versions of what the result rests on, by name."""
    machine: str
    """Operating system and kind of processor."""

    def to_json_dict(self) -> dict[str, str]:
        """For programs; the date as in 2026-01-31T12:00:00+00:00."""
        return {
            "created": self.created.isoformat(),
            "version": self.version,
            "python": self.python,
            "machine": self.machine,
            **self.packages,
        }

    @property
    def date(self) -> str:
        """For people, such as 2026-01-31 12:00 UTC."""
        return f"{self.created:%Y-%m-%d %H:%M} UTC"

    @property
    def software(self) -> str:
        """For people, such as lightm-unet 1.0, Python 3.13, torch 2.13."""
        versions = {"lightm-unet": self.version, "Python": self.python, **self.packages}
        return ", ".join(f"{name} {number}" for name, number in versions.items())


def made_now(packages: Sequence[str] = ()) -> Provenance:
    """The provenance of what is made at this moment, on this machine.

    Args:
        packages: installed packages that the result rests on.
    """
    return Provenance(
        created=datetime.now(timezone.utc).replace(microsecond=0),
        version=__version__,
        python=platform.python_version(),
        packages={name: version(name) for name in packages},
        machine=f"{platform.system()} {platform.machine()}",
    )
