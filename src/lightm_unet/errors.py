"""Every error a user can cause, each with the exit code its command ends with.

The message is the interface: what was found, what was expected, what to do. The command line
prints it on one line without a traceback; Python callers catch `LightMUNetError`.
"""

from __future__ import annotations

from pathlib import Path


class LightMUNetError(Exception):
    """Base of all errors raised on purpose by this package; exit code 1."""

    exit_code = 1


class UsageError(LightMUNetError, ValueError):
    """An option or argument that cannot be used as given; exit code 2."""

    exit_code = 2


class DataError(LightMUNetError):
    """A file that cannot be used; exit code 3.

    Args:
        path: the file or folder at fault.
        found: what is there.
        expected: what should be there.
        advice: what to do about it.

    Example:
        >>> print(DataError("case_1.nii.gz", "a NaN in the affine", "16 finite numbers",
        ...                 "export the image again"))
        case_1.nii.gz: found a NaN in the affine; expected 16 finite numbers; export the image again
    """

    exit_code = 3

    def __init__(self, path: str | Path, found: str, expected: str, advice: str) -> None:
        self.path, self.found, self.expected, self.advice = Path(path), found, expected, advice
        super().__init__(f"{path}: found {found}; expected {expected}; {advice}")


class MissingPartError(LightMUNetError, ImportError):
    """A backend or optional package that was asked for is not here; exit code 4."""

    exit_code = 4


class DivergedError(LightMUNetError):
    """Training has ended in numbers that are not finite; exit code 1."""
