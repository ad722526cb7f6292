"""The library on 64-bit ARM: compiled elsewhere, run under an emulator, the same labels."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from c_library import CSRC, build_once, c_image, compile_objects, library_sources
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from pictures import chest, read_pgm, write_pgm

EMULATOR = "qemu-aarch64"
EXAMPLE = CSRC.parent / "examples" / "segment.c"

pytestmark = pytest.mark.slow


def gnu():
    """Debian's cross compilers for C++ and C."""
    if shutil.which("aarch64-linux-gnu-g++") is None:
        pytest.skip("there is no aarch64-linux-gnu-g++ (Debian's package g++-aarch64-linux-gnu)")
    return ["aarch64-linux-gnu-g++"], ["aarch64-linux-gnu-gcc"]


def zig():
    """Those of PyPI's ziglang, with musl: the program runs on any 64-bit ARM Linux, Android too."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("there is no ziglang")
    command = [sys.executable, "-m", "ziglang"]
    target = ["-target", "aarch64-linux-musl"]
    return [*command, "c++", *target], [*command, "cc", *target]


@pytest.mark.parametrize("compilers", [gnu, zig])
def test_a_c_program_for_arm_finds_the_same_labels(library, pytestconfig, tmp_path, compilers):
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"there is no {EMULATOR} (Debian's package qemu-user)")
    cpp, c = compilers()

    def build(folder):
        objects = compile_objects(cpp, (), library_sources(), folder / "objects")
        main, program = folder / "segment.o", folder / "segment"
        subprocess.run([*c, "-std=c99", f"-I{CSRC}", "-c", EXAMPLE, "-o", main], check=True)
        subprocess.run([*cpp, "-static", "-pthread", *objects, main, "-o", program], check=True)
        shutil.rmtree(folder / "objects")

    own = [EXAMPLE, Path(__file__)]
    program = build_once(pytestconfig, f"aarch64_{compilers.__name__}", own, build) / "segment"
    picture = chest()
    write_pgm(tmp_path / "in.pgm", picture)
    with library.model(SHIPPED / "lungs") as model:
        values = np.ascontiguousarray(picture[None], np.float32)
        expected, _, _ = model.segment(c_image(values, 2))
    words = [EMULATOR, program, SHIPPED / "lungs", tmp_path / "in.pgm", tmp_path / "out.pgm"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (read_pgm(tmp_path / "out.pgm") == expected).mean() > 0.9995
