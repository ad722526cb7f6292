"""Explain in one sentence what is wrong with a command."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from cyclopts import (
    App,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnusedCliTokensError,
)

from lightm_unet.errors import SettingError, UsageError
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
        if minus := _negative_after(name, error.root_input_tokens or ()):
            return f"{name} needs a value without a minus sign, got {minus!r}"
    elif isinstance(error, UnusedCliTokensError):
        assert error.unused_tokens is not None
        found = f"{verb} does not accept the arguments {' '.join(error.unused_tokens)}"
    else:
        error.verbose = False
        found = str(error).rstrip(".")
    return f"{found}; see `lightm-unet {verb} --help`"


def as_typed(error: UsageError, app: App, words: Sequence[str]) -> str:
    """An error's message with the names of settings as the command line has them.

    Functions say `overlap needs a number`, for their users in Python; on the command line that is
    `--overlap`.

    Args:
        error: a `SettingError` says which words are settings; of another one, the first word is
            taken for one where "needs" or "must" follows.
        app: the command line.
        words: those of the command.
    """

    def option(name: str) -> str:
        command = app
        for word in words:
            if word.startswith("-") or word not in command:
                break
            command = command[word]
        if command.default_command is not None:
            for argument in command.assemble_argument_collection():
                if argument.keys == (name,) or argument.name == f"--{name}":
                    return argument.name
        return name

    if isinstance(error, SettingError):
        return error.told(option)
    return re.sub(r"^\w+(?= (needs|must)\b)", lambda word: option(word[0]), str(error))


def _negative_after(name: str | None, words: Sequence[str]) -> str | None:
    """The word after an option, where it looks like a negative value."""
    following = dict(itertools.pairwise(words)).get(name or "", "")
    return following if re.match(r"-[\d.]", following) else None
