"""The kernels on 64-bit ARM, by a cross compiler and an emulator."""

import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from c_library import CSRC, build_once, compiler_or_skip

NATIVE = Path(__file__).parent / "native"
HARNESSES = [NATIVE / "every_result.cpp", NATIVE / "every_kernel.cpp"]
CROSS_COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
FLAGS = ("-std=c++17", "-ffp-contract=fast", "-Wno-psabi", "-pthread", f"-I{CSRC}")

pytestmark = pytest.mark.slow


def objects(compiler, optimization, folder):
    """Every source but Python's bindings and other processors' kernels; and the harnesses."""
    sources = [
        *(file for file in (CSRC / "ops").glob("*.cpp") if not file.stem.startswith("kernels_avx")),
        *(CSRC / "runtime").glob("*.cpp"),
    ]

    def compile_one(source):
        target = folder / f"{source.stem}.o"
        # Kernels as they are released; the rest takes no time when it runs.
        level = optimization if source.stem.startswith("kernels_") else "-O0"
        subprocess.run([compiler, *FLAGS, level, "-c", source, "-o", target], check=True)
        return target

    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(compile_one, [*sources, *HARNESSES]))
    return built[: len(sources)], built[len(sources) :]


def harnesses_by(config, compiler, optimization):
    """The folder of both harnesses, built by a compiler."""

    def build(folder):
        with tempfile.TemporaryDirectory() as making:
            common, mains = objects(compiler, optimization, Path(making))
            for main in mains:
                command = [compiler, "-static", "-pthread", *common, main]
                subprocess.run([*command, "-o", folder / main.stem], check=True)

    own = [*HARNESSES, Path(__file__)]
    name = f"harnesses_by_{Path(compiler).name}"
    return build_once(config, name, own, build, [compiler, "--version"])


@pytest.fixture(scope="module")
def on_arm(pytestconfig):
    """The harnesses for 64-bit ARM as commands: every_result and every_kernel."""
    for tool, package in ((CROSS_COMPILER, "g++-aarch64-linux-gnu"), (EMULATOR, "qemu-user")):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} (Debian's package {package})")
    folder = harnesses_by(pytestconfig, CROSS_COMPILER, "-O3")
    return [[EMULATOR, folder / harness.stem] for harness in HARNESSES]


def records(command, file):
    """The instruction set that a run of every_result used, and its results by name."""
    done = subprocess.run([*command, file], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found, rest = {}, file.read_bytes()
    while rest:
        line, _, rest = rest.partition(b"\n")
        name, count = line.decode().split()
        size = 4 * int(count)
        found[name], rest = np.frombuffer(rest[:size], np.float32), rest[size:]
    return done.stdout.strip(), found


def test_every_kernel_gives_the_same_numbers_on_arm(pytestconfig, on_arm, tmp_path):
    here = harnesses_by(pytestconfig, compiler_or_skip(), "-O0") / "every_result"
    name, expected = records([here], tmp_path / "here")
    arm_name, found = records(on_arm[0], tmp_path / "there")
    assert arm_name == "neon"
    assert name in ("portable", "neon")
    assert list(found) == list(expected)
    differences = {}
    for result, values in expected.items():
        assert np.isfinite(values).all(), result
        scale = np.abs(values).max()
        differences[result] = float(np.abs(found[result] - values).max() / scale)
    assert len(differences) > 100
    too_far = {result: far for result, far in differences.items() if not far < 1e-5}
    assert not too_far


def test_no_kernel_faults_on_arm(on_arm):
    done = subprocess.run(on_arm[1], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "neon\n", "")
