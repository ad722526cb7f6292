"""Explain in one sentence what is wrong with a command."""

from __future__ import annotations

from cyclopts import (
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnusedCliTokensError,
)

from lightm_unet.errors import UsageError
from lightm_unet.system.choices import check_choice


def explain(error: CycloptsError) -> str:
    """What was found, what was expected, and where to find help."""
    if isinstance(error.__cause__, UsageError):  # a value that cannot be used
        return str(error.__cause__)
    verb = " ".join(error.command_chain or ())
    if isinstance(error, UnknownCommandError):
        assert error.app is not None  # cyclopts sets it, here and below
        assert error.unused_tokens is not None
        verbs = [name for name in error.app if not name.startswith("-")]
        try:
            check_choice("command", error.unused_tokens[0], verbs)
        except UsageError as unknown:
            return str(unknown)
    if isinstance(error, MissingArgumentError):
        name = error.keyword
        assert error.argument is not None
        found = f"{name} needs a value" if name else f"{verb} needs {error.argument.name}"
    elif isinstance(error, UnusedCliTokensError):
        assert error.unused_tokens is not None
        found = f"{verb} does not accept the arguments {' '.join(error.unused_tokens)}"
    else:
        error.verbose = False
        found = str(error).rstrip(".")
    return f"{found}; see `lightm-unet {verb} --help`"
