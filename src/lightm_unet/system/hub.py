"""Folders on the Hugging Face Hub: fetched into its cache on this machine, and uploaded.

Nothing is asked of the Hub unless a repository is named. Which address, cache and token are used,
and whether there is a network at all, say huggingface_hub's own variables, such as HF_HUB_OFFLINE.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightm_unet.errors import UsageError
from lightm_unet.system.extras import require_extra

_PART = r"[A-Za-z0-9][\w.-]*"
_REPOSITORY = re.compile(rf"({_PART}/{_PART})(?:@([\w./-]+))?")
# A command's path has lost one of the two strokes.
_ADDRESS = re.compile(r"hf://?(.*)")


def hub_address(text: str) -> str | None:
    """What is named on the Hub by `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION`; None otherwise.

    Example:
        >>> hub_address("hf://someone/lungs@v2"), hub_address("someone/lungs")
        ('someone/lungs@v2', None)
    """
    match = _ADDRESS.fullmatch(text)
    return match[1] if match else None


def is_repository(text: str) -> bool:
    """Whether a text could name a repository: OWNER/NAME or OWNER/NAME@REVISION."""
    return _REPOSITORY.fullmatch(text) is not None


def fetch(repository: str, files: Sequence[str]) -> Path:
    """The folder with some files of a repository, from the Hub's cache on this machine if possible.

    Args:
        repository: OWNER/NAME or OWNER/NAME@REVISION, a branch, a tag or a commit.
        files: their names; those that the repository does not have are left out.

    Raises:
        UsageError: no repository has this name, or it cannot be reached.
        MissingPartError: huggingface_hub is not installed.
    """
    match = _REPOSITORY.fullmatch(repository)
    if match is None:
        raise UsageError(f"hf://{repository}: expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    require_extra("hub", "a model of the Hugging Face Hub")
    import huggingface_hub

    try:
        folder = huggingface_hub.snapshot_download(
            match[1], revision=match[2], allow_patterns=list(files)
        )
    except _problems() as error:
        raise UsageError(f"{repository}: cannot be fetched ({_one_line(error)})") from error
    return Path(folder)


def upload(
    folder: Path, repository: str, files: Sequence[str], *, message: str, private: bool
) -> str:
    """Put a folder's files into a repository, which is made where it is missing.

    Args:
        folder: holds the files.
        repository: OWNER/NAME.
        files: names of the files to upload; those that the folder does not have are left out.
        message: of the commit.
        private: whether a new repository is visible to its owner alone.

    Returns:
        The commit's address.

    Raises:
        UsageError: the repository cannot be written, for example because nobody is logged in.
        MissingPartError: huggingface_hub is not installed.
    """
    if not is_repository(repository) or "@" in repository:
        raise UsageError(f"{repository!r:.60}: expected a repository as OWNER/NAME")
    require_extra("hub", "a model of the Hugging Face Hub")
    import huggingface_hub

    api = huggingface_hub.HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit: Any = api.upload_folder(
            repo_id=repository,
            folder_path=str(folder),
            allow_patterns=list(files),
            commit_message=message,
        )
    except _problems() as error:
        raise UsageError(f"{repository}: cannot be uploaded ({_one_line(error)})") from error
    return str(commit.commit_url)


def _problems() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises for a name, a right or a connection that is missing."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    return HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
