"""The kernels under the compiler's sanitizers: threads, addresses, undefined behaviour."""

import os
import platform
import subprocess
from functools import partial
from pathlib import Path

import pytest

from c_library import CSRC, build_once, compiler_or_skip
from lightm_unet.ops.dispatch import native

HARNESSES = Path(__file__).parent / "native"
FLAGS = ("-std=c++17", "-g1", "-ffp-contract=fast", "-Wno-psabi", "-pthread", f"-I{CSRC}")
# What kernels_portable.cpp becomes without flags.
BASE = "neon" if platform.machine().lower() in ("aarch64", "arm64") else "portable"
INSTRUCTION_SETS = {
    BASE: (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512dq", "-mfma", "-mprefer-vector-width=512"),
}


@pytest.fixture(scope="module")
def compiler():
    return compiler_or_skip()


def sources():
    """Every source but Python's bindings and the kernels, which have flags of their own."""
    files = [*(CSRC / "ops").glob("*.cpp"), *(CSRC / "runtime").glob("*.cpp")]
    return [file for file in files if not file.stem.startswith("kernels_")]


def skip_unless_it_works(compiler, sanitizer, folder):
    source, target = folder / "empty.cpp", folder / "empty"
    source.write_text("int main() {}\n")
    built = subprocess.run([compiler, sanitizer, source, "-o", target], capture_output=True)
    if built.returncode or subprocess.run([target], capture_output=True).returncode:
        pytest.skip(f"{sanitizer} does not work here")


def build(config, compiler, sanitizer, optimization, harness, sets, folder):
    """A harness with the kernels of these instruction sets, the base included."""
    skip_unless_it_works(compiler, sanitizer, folder)
    make = partial(compile_harness, compiler, sanitizer, optimization, harness, sets)
    own = [HARNESSES / f"{harness}.cpp", Path(__file__)]
    return build_once(config, f"ops_{harness}", own, make) / harness


def compile_harness(compiler, sanitizer, optimization, harness, sets, folder):
    flags = [*FLAGS, sanitizer, optimization, *(["-DLIGHTM_X86"] if len(sets) > 1 else [])]
    kernels = []
    for name in sets:
        kernels.append(folder / f"kernels_{name}.o")
        source = CSRC / "ops" / f"kernels_{'portable' if name == BASE else name}.cpp"
        command = [compiler, *flags, *INSTRUCTION_SETS[name], "-c", source]
        subprocess.run([*command, "-o", kernels[-1]], check=True)
    files = [HARNESSES / f"{harness}.cpp", *sources(), *kernels]
    subprocess.run([compiler, *flags, *files, "-o", folder / harness], check=True)


def test_threads_of_a_streamed_layer_share_nothing_without_an_order(
    pytestconfig, compiler, tmp_path
):
    sanitizer = "-fsanitize=thread"
    program = build(pytestconfig, compiler, sanitizer, "-O1", "thread_sanitizer", [BASE], tmp_path)
    done = subprocess.run(
        [program],
        env={**os.environ, "TSAN_OPTIONS": "history_size=7"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.fixture(scope="module")
def every_kernel(pytestconfig, compiler, tmp_path_factory):
    """A program that runs every kernel under AddressSanitizer and UBSan, and its sets."""
    on_x86 = native is not None and native.instruction_set() in ("avx2", "avx512")
    sets = [BASE, "avx2", "avx512"] if on_x86 else [BASE]
    folder = tmp_path_factory.mktemp("sanitizers")
    sanitizer = "-fsanitize=address,undefined,float-divide-by-zero"
    program = build(pytestconfig, compiler, sanitizer, "-O0", "every_kernel", sets, folder)
    return program, sets


@pytest.mark.parametrize("name", list(INSTRUCTION_SETS))
def test_no_kernel_leaves_its_arrays_or_does_what_is_undefined(every_kernel, name):
    program, sets = every_kernel
    environment = {**os.environ, "LIGHTM_UNET_ISA": name, "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run([program], env=environment, capture_output=True, text=True)
    if name not in sets or (done.returncode == 0 and done.stdout.strip() != name):
        pytest.skip(f"this processor has no {name}")
    assert (done.returncode, done.stderr) == (0, "")
