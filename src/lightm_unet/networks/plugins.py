"""Modules of a user's own, imported before a network is looked up by its name.

The environment variable LIGHTM_UNET_PLUGINS names them, with commas between: modules that Python
finds (`my_package.networks`) or files (`/home/me/my_networks.py`). Each calls `register_network`.
Processes that this package starts inherit the variable, so they know the same networks.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from lightm_unet.errors import UsageError

PLUGINS = "LIGHTM_UNET_PLUGINS"
_imported: set[str] = set()


def import_plugins() -> None:
    """Import the modules that LIGHTM_UNET_PLUGINS names, each once.

    Raises:
        UsageError: one of them cannot be imported.
    """
    for name in filter(None, map(str.strip, os.environ.get(PLUGINS, "").split(","))):
        if name in _imported:
            continue
        _imported.add(name)  # before its import, which may look up networks itself
        try:
            if name.endswith(".py"):
                _import_file(Path(name).resolve())
            else:
                importlib.import_module(name)
        except (Exception, SystemExit) as error:  # a script may end itself by sys.exit
            _imported.discard(name)
            raise UsageError(
                f"{PLUGINS} names {name!r}, which cannot be imported "
                f"({type(error).__name__}: {error}); expected a module that Python finds, or the "
                "path of a .py file"
            ) from error


def _import_file(path: Path) -> None:
    # A program may name itself: it is not imported a second time beside __main__.
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    if path in {Path(file).resolve() for file in files if file}:
        return
    name = f"lightm_unet_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # as for any .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
