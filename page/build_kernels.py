"""Compile csrc to WebAssembly, for the page: the same network as on the CPU, in four files.

    python page/build_kernels.py [--output FOLDER] [--only NAME]

Needs the extra `page`, whose `ziglang` brings clang, wasm-ld and the headers. The same sources give
the same bytes on every machine, which is how the committed files are checked.

The C++ library is used as headers only, and of Zig's own runtime library what the linker asks for,
since building the libraries whole takes minutes for each file (csrc/wasm/library.cpp has the rest).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "src/lightm_unet/deploy/site/engine"
TARGET = "wasm32-wasi"  # its C headers; nothing of the system is called

# Of the kernels' own folders, what inference needs; all of csrc's other folders but the bindings.
OPS = ("decoder", "norm_stage", "rvm_layer", "stem")
RUNTIME = ("ordered_sums", "work_split")
THREADED, SINGLE = "threads", "one_thread"

COMPILE_FLAGS = (
    *("-std=c++17", "-flto", "-g0", "-DNDEBUG", "-Icsrc"),
    *("-ffp-contract=fast", "-fomit-frame-pointer", "-fno-exceptions", "-fno-rtti"),
    *("-fno-unwind-tables", "-fno-threadsafe-statics", "-fno-c++-static-destructors"),
    *("-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror"),
)
# The kernels are fast, the rest is small.
FAST = ("-O2",)
SMALL = ("-Os", "-Xclang", "-Oz", "-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops")
STACK_BYTES = 1 << 19
INITIAL_BYTES = 1 << 20  # `INITIAL_PAGES` in page/src/engine/kernels.ts
LINK_FLAGS = (
    *("--no-entry", "--strip-all", "--gc-sections", "--compress-relocations", "--lto-O2", "-O2"),
    *("--import-memory", f"--initial-memory={INITIAL_BYTES}"),
    *("--stack-first", "-z", f"stack-size={STACK_BYTES}"),
)
SHARED_MEMORY_FLAGS = (
    *("--shared-memory", "--max-memory=4294967296"),
    *(f"--export={name}" for name in ("__stack_pointer", "__wasm_init_tls", "__tls_size")),
)


@dataclass(frozen=True)
class Build:
    """One of the files: what the browser must have to run it."""

    relaxed: bool
    threads: bool

    @property
    def name(self) -> str:
        """As page/src/engine/builds.ts knows it."""
        return ("relaxed" if self.relaxed else "simd") + ("-threads" if self.threads else "")

    @property
    def features(self) -> str:
        """The instructions beyond WebAssembly 1.0, as Zig spells them."""
        names = ["simd128", "bulk_memory", "sign_ext", "nontrapping_fptoint", "mutable_globals"]
        names += ["relaxed_simd"] * self.relaxed + ["atomics"] * self.threads
        return "+".join(["generic", *names])

    def sources(self) -> list[Path]:
        """The C++ files, from the repository's root."""
        csrc = Path("csrc")
        left_out = SINGLE if self.threads else THREADED
        return [
            csrc / "capi.cpp",
            *(csrc / "ops" / f"{name}.cpp" for name in OPS),
            *(csrc / "runtime" / f"{name}.cpp" for name in RUNTIME),
            *(
                path.relative_to(ROOT)
                for folder in ("images", "model", "wasm")
                for path in sorted((ROOT / csrc / folder).glob("*.cpp"))
                if path.stem != left_out
            ),
        ]


BUILDS = tuple(Build(relaxed, threads) for relaxed in (False, True) for threads in (False, True))


def zig(*arguments: str | Path) -> None:
    """Run Zig in the repository's root, and end with its own message where it fails."""
    command = [sys.executable, "-m", "ziglang", *map(str, arguments)]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        sys.exit(f"this failed: {' '.join(command)}")


def zig_library() -> Path:
    """Zig's own sources."""
    try:
        import ziglang
    except ImportError:
        sys.exit("ziglang is missing; install it with: pip install -c constraints.txt '.[page]'")
    return Path(ziglang.__file__).parent / "lib"


def compile_all(builds: Iterable[Build], objects: Path) -> dict[Build, list[Path]]:
    """Each build's object files, compiled on all cores."""
    runtime_library = zig_library() / "compiler_rt.zig"
    made: dict[Build, list[Path]] = {}
    tasks = []
    for build in builds:
        machine = ("-target", TARGET, f"-mcpu={build.features}")
        folder = objects / build.name
        folder.mkdir()
        made[build] = []
        for source in build.sources():
            compiled = folder / "_".join(source.with_suffix(".o").parts)
            made[build].append(compiled)
            flags = (*machine, *COMPILE_FLAGS, *(FAST if source.stem == "kernels" else SMALL))
            tasks.append(("c++", *flags, "-c", source, "-o", compiled))
        compiled = folder / "compiler_rt.o"
        made[build].append(compiled)
        flags = (*machine, "-O", "ReleaseSmall", "-fstrip")
        tasks.append(("build-obj", runtime_library, *flags, f"-femit-bin={compiled}"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda task: zig(*task), tasks))
    return made


def build_kernels(output: Path, builds: Iterable[Build] = BUILDS) -> list[Path]:
    """Write the files into a folder, and return them."""
    output.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory() as scratch:
        for build, objects in compile_all(builds, Path(scratch)).items():
            written.append(output / f"{build.name}.wasm")
            shared = SHARED_MEMORY_FLAGS if build.threads else ()
            zig("wasm-ld", *LINK_FLAGS, *shared, *objects, "-o", written[-1])
            written[-1].chmod(0o644)
    return written


def main() -> None:
    """Build, and tell the sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the .wasm files")
    parser.add_argument("--only", choices=[build.name for build in BUILDS], help="one file alone")
    options = parser.parse_args()
    chosen = [build for build in BUILDS if options.only in (None, build.name)]
    for path in build_kernels(options.output, chosen):
        print(f"{path}: {path.stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main()
