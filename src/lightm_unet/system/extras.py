"""Optional packages, in groups that pip installs by name: `pip install 'lightm-unet[train]'`.

What needs one asks for it before any work is done, so that nobody waits an hour for a report that
cannot be drawn.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from lightm_unet.errors import MissingPartError

EXTRAS = {
    "train": ("pytorch-lightning", "torchmetrics", "tensorboard"),
    "report": ("jinja2", "matplotlib"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "dicom": ("pydicom", "highdicom", "pylibjpeg", "pylibjpeg-openjpeg", "imagecodecs"),
    "tables": ("pyarrow",),
    "ray": ("ray",),
    "itk": ("SimpleITK",),
    "monai": ("pytorch-ignite", "fire"),
    "hub": ("huggingface-hub",),
    "serve": ("fastapi", "uvicorn", "python-multipart", "prometheus-client"),
}
"""The packages of each extra, as in pyproject.toml."""


def require_extra(extra: str, purpose: str, *packages: str) -> None:
    """Stop if packages of an extra are not installed; nothing is imported.

    Args:
        extra: its name.
        purpose: what needs them, the start of the message's sentence.
        packages: which of its packages; by default all.

    Raises:
        MissingPartError: one is missing. The message names it and the command that installs it.
    """
    missing = [package for package in packages or EXTRAS[extra] if not is_installed(package)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingPartError(
            f"{purpose} needs {', '.join(missing)}, which {verb} not installed; "
            f"{install_command(extra)}"
        )


_MODULES = {
    "pylibjpeg-openjpeg": "openjpeg",
    "python-multipart": "python_multipart",
    "pytorch-ignite": "ignite",
}
"""Packages whose module is called otherwise."""


def installed_versions(extra: str) -> dict[str, str | None]:
    """The version of each package of an extra; None where it is not installed."""
    return {
        package: _version(package) if is_installed(package) else None for package in EXTRAS[extra]
    }


def is_installed(package: str) -> bool:
    """Whether Python finds a package, without importing it."""
    return find_spec(_MODULES.get(package, package.replace("-", "_"))) is not None


def install_command(extra: str) -> str:
    """The command that installs an extra.

    Example:
        >>> install_command("train")
        "pip install 'lightm-unet[train]'"
    """
    return f"pip install 'lightm-unet[{extra}]'"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a folder on the path, without the data that pip leaves
        return "of unknown version"
