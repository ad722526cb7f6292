"""Diagnose the installation: what is installed, what is used, and why the rest is not."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from lightm_unet import __version__
from lightm_unet.ops import Backend, backends
from lightm_unet.ops.dispatch import ENVIRONMENT_VARIABLE, choose_backend, native
from lightm_unet.ops.memory import kept_limit
from lightm_unet.reporting import formats
from lightm_unet.system.extras import EXTRAS, install_command, installed_versions

RESTRICTIONS = (
    "LIGHTM_UNET_ISA",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
)
"""Environment variables that keep the native kernels, torch or its libraries from using all
instructions that the processor has."""
PACKAGES = ("torch", "monai", "numpy", "scipy", "nibabel", "pillow", "safetensors")


@dataclass(frozen=True)
class Diagnosis:
    """The result of `doctor`."""

    version: str
    """Version of lightm-unet."""
    system: str
    """Operating system, processor architecture and Python."""
    packages: dict[str, str]
    """Versions of the required packages."""
    extras: dict[str, dict[str, str | None]]
    """For each extra, its packages' versions; None if a package is not installed."""
    devices: dict[str, str]
    """For each kind of device, a description of the devices found."""
    backends: tuple[Backend, ...]
    """Every implementation of the scan, the fastest first."""
    live_backend: str
    """Name of the backend that runs on the CPU in this process."""
    instruction_sets: dict[str, str]
    """On the CPU: those of the native kernels, where they are built, and of torch; then the
    environment variables that restrict them."""
    kept_limit: int
    """The most bytes that the native kernels keep of freed memory, see `release_memory`."""


def doctor() -> Diagnosis:
    """Inspect this installation; nothing is changed or sent anywhere."""
    return Diagnosis(
        version=__version__,
        system=f"{platform.platform()}, Python {platform.python_version()}",
        packages={name: _version(name) for name in PACKAGES},
        extras={extra: installed_versions(extra) for extra in EXTRAS},
        devices={"cpu": _cpu(), "cuda": _cuda(), "mps": _mps()},
        backends=backends(),
        live_backend=choose_backend(None, torch.device("cpu"), torch.float32),
        instruction_sets=_instruction_sets(),
        kept_limit=kept_limit(),
    )


def describe(diagnosis: Diagnosis) -> list[str]:
    """A diagnosis as lines of text."""
    lines = [f"lightm-unet {diagnosis.version} on {diagnosis.system}", ""]
    lines += [f"  {name} {number}" for name, number in diagnosis.packages.items()]
    lines += ["", "extras"]
    lines += [_describe_extra(name, found) for name, found in diagnosis.extras.items()]
    lines += ["", "devices"]
    lines += [f"  {name:<10} {detail}" for name, detail in diagnosis.devices.items()]
    forced = os.environ.get(ENVIRONMENT_VARIABLE)
    by_whom = f", set by {ENVIRONMENT_VARIABLE}" if forced else ""
    lines += ["", f"selective scan on the CPU: {diagnosis.live_backend}{by_whom}"]
    for backend in diagnosis.backends:
        state = "available" if backend.available else "MISSING"
        if not backend.available and backend.name == "triton" and not torch.cuda.is_available():
            state = "not needed without a GPU;"
        lines.append(f"  {backend.name:<10} {state:<10} {backend.runs_on}: {backend.detail}")
    lines += ["", f"instruction sets: {describe_instruction_sets(diagnosis.instruction_sets)}"]
    if diagnosis.kept_limit:
        lines.append(
            f"freed memory kept for the next pass: up to {formats.megabytes(diagnosis.kept_limit)} "
            "MB; lightm_unet.release_memory() frees it"
        )
    return lines


def describe_instruction_sets(sets: dict[str, str]) -> str:
    """`Diagnosis.instruction_sets` in a few words.

    Example:
        >>> describe_instruction_sets({"native kernels": "avx2", "torch": "AVX512"})
        'native kernels avx2, torch AVX512'
        >>> describe_instruction_sets({"torch": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"})
        'torch AVX2; restricted by ATEN_CPU_CAPABILITY=avx2'
    """
    users = ", ".join(f"{who} {name}" for who, name in sets.items() if who not in RESTRICTIONS)
    given = ", ".join(f"{who}={name}" for who, name in sets.items() if who in RESTRICTIONS)
    return f"{users}; restricted by {given}" if given else users


def _describe_extra(name: str, found: dict[str, str | None]) -> str:
    missing = [package for package, number in found.items() if number is None]
    present = ", ".join(f"{package} {number}" for package, number in found.items() if number)
    if not missing:
        return f"  {name:<10} {'installed':<10} {present}"
    also = f"; {present} installed" if present else ""
    return f"  {name:<10} {'MISSING':<10} {install_command(name)} (no {', '.join(missing)}{also})"


def _instruction_sets() -> dict[str, str]:
    sets = {} if native is None else {"native kernels": native.instruction_set()}
    sets["torch"] = torch.backends.cpu.get_cpu_capability()
    return sets | {name: os.environ[name] for name in RESTRICTIONS if os.environ.get(name)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in information.read_text(errors="replace").splitlines()
            if line.startswith("model name")
        ]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"


def _cuda() -> str:
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return ", ".join(torch.cuda.get_device_name(i) for i in range(count))
    if torch.version.cuda is None:
        return "none: this torch was built for the CPU"
    return "none: torch was built for CUDA, but finds no driver or no card"


def _mps() -> str:
    if torch.backends.mps.is_available():
        return "Apple GPU"
    return "none: Apple's GPUs only"
