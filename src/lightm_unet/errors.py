"""All errors that a user can cause, each with the exit code of the command.

Each message says what was found, what was expected, and what to do. The command line prints it on
one line without a traceback; Python callers catch `LightMUNetError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


def printable(text: str) -> str:
    """A text with its control characters, which a file name may hold, as Python writes them."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shown_path(path: str | Path) -> str:
    """A path as messages show it: on one line, and without `a/..` where that names the same file.

    Example:
        >>> print(shown_path("images/../masks"), shown_path("../masks"))
        masks ../masks
    """
    short = os.path.normpath(path)
    same = ".." in Path(path).parts and os.path.realpath(short) == os.path.realpath(path)
    return printable(short if same else str(path))


class LightMUNetError(Exception):
    """Base class of all errors that this package raises on purpose; exit code 1."""

    exit_code = 1


class UsageError(LightMUNetError, ValueError):
    """An option or argument that cannot be used as given; exit code 2."""

    exit_code = 2


class SettingError(UsageError):
    """A setting that cannot be used. The command line calls it as the user typed it.

    Args:
        problem: what is wrong, with {0} for the setting's name, {1} for that of a second one.
        names: of the settings, as Python callers know them.

    Example:
        >>> error = SettingError("{0} needs a whole number, got 2.5", "epochs")
        >>> print(error, error.told(lambda name: f"--{name}"), sep=" / ")
        epochs needs a whole number, got 2.5 / --epochs needs a whole number, got 2.5
    """

    def __init__(self, problem: str, *names: str) -> None:
        self.problem, self.names = problem, names
        super().__init__(self.told(str))

    def told(self, call: Callable[[str], str]) -> str:
        """The message with other names for the settings."""
        message = self.problem
        for number, name in enumerate(self.names):
            message = message.replace(f"{{{number}}}", call(name))
        return message


class DataError(LightMUNetError):
    """A file that cannot be used; exit code 3.

    Args:
        path: the file or folder that cannot be used.
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
        super().__init__(f"{shown_path(path)}: found {found}; expected {expected}; {advice}")


class TooLargeError(DataError):
    """A file that holds more than is read; exit code 3."""


class NotFiniteError(DataError):
    """An image with NaN or infinite voxels; exit code 3."""


def join_alike(problems: Iterable[tuple[str | Path, str]]) -> list[str]:
    """Messages that differ only in their file, as one message that names all of these files.

    Args:
        problems: a file, and the message about it, which begins with the file's path.

    Returns:
        The messages, in the order of their first file.

    Example:
        >>> join_alike([("m/a.png", "m/a.png: found red"), ("m/b.png", "m/b.png: found red")])
        ['m/a.png and 1 more (b.png): found red']
    """
    files: dict[str, list[str | Path]] = {}
    for path, message in problems:
        start = f"{shown_path(path)}: "
        rest = message.removeprefix(start)
        key = f": {rest}" if rest != message else message
        files.setdefault(key, []).append(path)
    lines = []
    for key, (first, *others) in files.items():
        if not key.startswith(": "):
            lines += [key] * (1 + len(others))
            continue
        names = ", ".join(printable(Path(other).name) for other in others)
        more = f" and {len(others)} more ({names})" if others else ""
        lines.append(f"{shown_path(first)}{more}{key}")
    return lines


def refuse_all(path: str | Path, messages: Sequence[str]) -> None:
    """Raise one error for one problem or more; several are listed in it, each on its own line.

    Args:
        path: where they are.
        messages: what is wrong, in one line each; without any, nothing is raised.

    Raises:
        DataError: there is a problem.
    """
    if messages:
        error = DataError(path, f"{len(messages)} problem(s)", "none", "correct them:")
        error.args = ("\n".join([str(error), *messages][len(messages) == 1 :]),)
        raise error


class MissingPartError(LightMUNetError, ImportError):
    """A required package, backend or device is not available, or too little memory; exit code 4."""

    exit_code = 4


class DivergedError(LightMUNetError):
    """The training loss has become NaN or infinite; exit code 1."""
