"""The token that clients have to send."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from lightm_unet.deploy.serve.access import LOOPBACK
from lightm_unet.errors import UsageError
from lightm_unet.system.files import read_bytes

VARIABLE = "LIGHTM_UNET_TOKEN"
SHORTEST = 16
_log = logging.getLogger(__name__)


def read_token(file: Path | None, host: str) -> str | None:
    """The token of a file's first line, else of the variable; None if there is none.

    Args:
        file: with the token.
        host: that the server listens on.

    Raises:
        UsageError: it is too short or holds what no header can; or the host needs one.
        DataError: the file cannot be read.
    """
    place = VARIABLE if file is None else str(file)
    token = os.environ.get(VARIABLE)
    if file is not None:
        # An empty file holds an empty token, which is refused below like any that is too short.
        data = b"" if file.is_file() and file.stat().st_size == 0 else read_bytes(file, 10_000)
        token = (data.decode("utf-8", "replace").splitlines() or [""])[0]
        if os.name == "posix" and file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            _log.warning("%s: other users of this computer can read it; chmod 600 hides it", file)
    token = None if token is None else token.strip()
    if token is None:
        if host not in LOOPBACK:
            raise UsageError(
                f"host {host!r} lets other computers in, which needs a token: write one into a "
                f"file that only you can read and give --token-file FILE, or set {VARIABLE}; "
                "`openssl rand -hex 32` makes one"
            )
        return None
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            f"{place} holds a token of {len(token)} characters; expected at least {SHORTEST} plain "
            "ones without a blank; `openssl rand -hex 32` makes one"
        )
    return token
