"""The library for C: built from csrc, and called by ctypes as a C program would."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path

import numpy as np
import pytest

from lightm_unet.ops.dispatch import native

CSRC = Path(__file__).parents[2] / "csrc"
FLAGS = ("-std=c++17", "-ffp-contract=fast", "-Wno-psabi", "-pthread", f"-I{CSRC}")
INSTRUCTION_SETS = {
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512dq", "-mfma", "-mprefer-vector-width=512"),
}
"""What turns kernels_portable.cpp into the kernels of another set."""
STATUSES = (
    *("OK", "BAD_ARGUMENT", "BAD_MODEL", "UNSUPPORTED_MODEL", "BAD_IMAGE"),
    *("TOO_LARGE", "NO_MEMORY", "CANCELLED", "INTERNAL"),
)
"""`enum lightm_status`, in order."""
PROGRESS = ctypes.CFUNCTYPE(c_int, c_void_p, c_double)


def compiler_or_skip() -> str:
    """A C++ compiler for this machine."""
    found = shutil.which(os.environ.get("CXX", "c++"))
    if found is None:
        pytest.skip("there is no C++ compiler")
    return found


def library_sources() -> list[Path]:
    """Every source of the library, with the kernels that need no flags of their own."""
    folders = [CSRC / name for name in ("images", "model", "ops", "runtime")]
    files = [CSRC / "capi.cpp", *(file for each in folders for file in sorted(each.glob("*.cpp")))]
    return [file for file in files if not file.stem.startswith("kernels_avx")]


def compile_objects(
    compiler: Sequence[str | Path],
    flags: Sequence[str],
    sources: Sequence[Path],
    folder: Path,
    kernels: Sequence[str] = ("-O1",),
) -> list[Path]:
    """Compile on two cores.

    Args:
        compiler: the command.
        flags: for all sources.
        sources: what to compile.
        folder: of the object files.
        kernels: flags for the kernels; the rest takes no time when it runs.

    Returns:
        An object file for each source, in their order.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def compile_one(source: Path) -> Path:
        target = folder / f"{source.parent.name}_{source.stem}.o"
        own = kernels if source.stem.startswith("kernels_") else ("-O0",)
        subprocess.run([*compiler, *FLAGS, *flags, *own, "-c", source, "-o", target], check=True)
        return target

    # The longest first.
    order = sorted(sources, key=lambda file: not file.stem.startswith("kernels_"))
    with ThreadPoolExecutor(2) as pool:
        built = dict(zip(order, pool.map(compile_one, order), strict=True))
    return [built[source] for source in sources]


def build_once(
    config: pytest.Config,
    name: str,
    own: Sequence[Path],
    build: Callable[[Path], None],
    version: Sequence[str | Path] | None = None,
) -> Path:
    """A folder in pytest's cache that `build` has filled, for this state of the sources.

    Args:
        config: where the cache is.
        name: of what is built; earlier states of it are dropped.
        own: files that it is made of besides csrc.
        build: fills the folder that it is given.
        version: the command that tells the compiler's version; by default this machine's.
    """
    state = hashlib.sha256(subprocess.check_output(version or [compiler_or_skip(), "--version"]))
    for file in sorted([*CSRC.rglob("*.cpp"), *CSRC.rglob("*.h"), *own, Path(__file__)]):
        state.update(file.read_bytes())
    builds = config.cache.mkdir(f"lightm_{name}")
    folder = builds / state.hexdigest()[:16]
    fcntl = pytest.importorskip("fcntl")
    with (builds / "lock").open("w") as lock:  # tests beside this one wait, and find it built
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            for earlier in builds.iterdir():
                shutil.rmtree(earlier, ignore_errors=True)  # the lock is no folder
            with tempfile.TemporaryDirectory() as making:
                build(Path(making))
                shutil.copytree(making, folder)
    return folder


def built_library(config: pytest.Config) -> Library:
    """The library, which is built unless the cache has it."""
    return Library(build_once(config, "library", [], _build_library) / "liblightm.so")


def _build_library(folder: Path) -> None:
    """The shared library, its kernels for the instruction set that Python's use here."""
    compiler = compiler_or_skip()
    kernels = ("-O1", *INSTRUCTION_SETS.get(native.instruction_set() if native else "", ()))
    flags = ("-fPIC", "-fvisibility=hidden")
    objects = compile_objects([compiler], flags, library_sources(), folder / "objects", kernels)
    target = folder / "liblightm.so"
    subprocess.run([compiler, "-shared", "-pthread", *objects, "-o", target], check=True)
    shutil.rmtree(folder / "objects")


class CImage(ctypes.Structure):
    """lightm_image."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("values", POINTER(c_float)),
        ("dims", c_int32),
        ("shape", c_int64 * 3),
        ("affine", POINTER(c_double)),
    )


class COptions(ctypes.Structure):
    """lightm_options."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("threads", c_int32),
        ("overlap", c_double),
        ("memory_limit", c_uint64),
        ("progress", PROGRESS),
        ("user", c_void_p),
    )


class CResult(ctypes.Structure):
    """lightm_result."""

    _fields_ = (
        ("struct_size", c_size_t),
        ("labels", POINTER(c_uint8)),
        ("probabilities", POINTER(c_float)),
        ("judged", c_int32),
        ("unlike", c_int32),
        ("score", c_double),
        ("limit", c_double),
        ("most_unusual", c_char_p),
    )


SIGNATURES = {
    "lightm_abi": (c_uint32, ()),
    "lightm_version": (c_char_p, ()),
    "lightm_error": (c_char_p, ()),
    "lightm_open": (c_int, (c_char_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p))),
    "lightm_close": (None, (c_void_p,)),
    "lightm_dims": (c_int32, (c_void_p,)),
    "lightm_channels": (c_int32, (c_void_p,)),
    "lightm_label_count": (c_int32, (c_void_p,)),
    "lightm_label_name": (c_char_p, (c_void_p, c_int32)),
    "lightm_label_colour": (c_uint32, (c_void_p, c_int32)),
    "lightm_memory": (
        c_int,
        (c_void_p, POINTER(CImage), POINTER(COptions), POINTER(c_uint64)),
    ),
    "lightm_segment": (
        c_int,
        (c_void_p, POINTER(CImage), POINTER(COptions), POINTER(CResult)),
    ),
    "lightm_run_network": (
        c_int,
        (c_void_p, c_void_p, POINTER(c_int64), POINTER(COptions), c_void_p),
    ),
    "lightm_network_memory": (
        c_int,
        (c_void_p, POINTER(c_int64), POINTER(COptions), POINTER(c_uint64)),
    ),
    "lightm_release_memory": (None, (c_void_p,)),
}
"""What each function returns and takes."""


class CallFailed(Exception):
    """A function returned a code."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status, self.sentence = status, sentence


class Library:
    """The functions of csrc/capi.h, by their names without `lightm_`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loaded = ctypes.CDLL(str(path))
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self._loaded, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name.removeprefix("lightm_"), function)

    def check(self, code: int) -> None:
        """Raise `CallFailed` unless it is LIGHTM_OK."""
        if code:
            raise CallFailed(STATUSES[code], self.error().decode())

    def model(self, folder: Path) -> Model:
        """Open a model folder."""
        json, weights = (folder / name for name in ("model.json", "model.safetensors"))
        return Model(self, json.read_bytes(), weights.read_bytes())


class Model:
    """An opened model."""

    def __init__(self, library: Library, json: bytes, weights: bytes) -> None:
        self.library, self.handle = library, c_void_p()
        library.check(library.open(json, len(json), weights, len(weights), byref(self.handle)))

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_) -> None:
        self.library.close(self.handle)

    def run_network(self, image: np.ndarray, **given) -> np.ndarray:
        """Logits `(labels, *grid)` of a prepared image `(channels, *grid)`."""
        image = np.ascontiguousarray(image, np.float32)
        logits = np.empty((self.library.label_count(self.handle), *image.shape[1:]), np.float32)
        self.library.check(
            self.library.run_network(
                self.handle,
                image.ctypes.data,
                grid_of(image.shape[1:]),
                byref(options(**given)),
                logits.ctypes.data,
            )
        )
        return logits

    def network_memory(self, grid: Sequence[int], **given) -> int:
        """Bytes that `run_network` takes at its peak."""
        found = c_uint64()
        self.library.check(
            self.library.network_memory(
                self.handle, grid_of(grid), byref(options(**given)), byref(found)
            )
        )
        return found.value

    def memory(self, image: CImage, **given) -> int:
        """Bytes that `segment` takes at its peak."""
        found = c_uint64()
        self.library.check(
            self.library.memory(self.handle, byref(image), byref(options(**given)), byref(found))
        )
        return found.value

    def segment(self, image: CImage, **given) -> tuple[np.ndarray, np.ndarray, CResult]:
        """Labels, probabilities and the judgement."""
        shape = tuple(image.shape[: image.dims])
        labels = np.empty(shape, np.uint8)
        count = self.library.label_count(self.handle)
        probabilities = np.empty((count, *shape), np.float32)
        result = CResult(
            struct_size=ctypes.sizeof(CResult),
            labels=labels.ctypes.data_as(POINTER(c_uint8)),
            probabilities=probabilities.ctypes.data_as(POINTER(c_float)),
        )
        self.library.check(
            self.library.segment(self.handle, byref(image), byref(options(**given)), byref(result))
        )
        return labels, probabilities, result


def grid_of(sizes: Sequence[int]) -> ctypes.Array:
    """Sizes as C takes them."""
    return (c_int64 * len(sizes))(*sizes)


def options(
    threads: int = 1,
    overlap: float = 0.5,
    memory_limit: int = 0,
    progress: Callable[[float], bool] | None = None,
) -> COptions:
    """lightm_options; `progress` returns whether to stop."""
    call = PROGRESS(lambda _, done: int(bool(progress(done)))) if progress else PROGRESS()
    return COptions(ctypes.sizeof(COptions), threads, overlap, memory_limit, call, None)


def c_image(values: np.ndarray, dims: int, affine: np.ndarray | None = None) -> CImage:
    """lightm_image of `(channels, *shape)`, which must stay alive, and be dense float32."""
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    image = CImage(ctypes.sizeof(CImage), values.ctypes.data_as(POINTER(c_float)), dims)
    image.shape[:dims] = values.shape[1:]
    if affine is not None:
        image.kept = np.ascontiguousarray(affine, np.float64)
        image.affine = image.kept.ctypes.data_as(POINTER(c_double))
    return image
