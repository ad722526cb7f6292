import os
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
SOURCES = (
    "ops/rvm_layer",
    "ops/sharing",
    "ops/kernels_portable",
    "runtime/thread_pool",
    "runtime/workspace",
)
FLAGS = ("-std=c++17", "-O1", "-fsanitize=thread", "-ffp-contract=fast", "-Wno-psabi", "-pthread")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The harness beside this file, built with ThreadSanitizer."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    folder = tmp_path_factory.mktemp("native")
    (folder / "empty.cpp").write_text("int main() {}\n")
    if not _builds_and_runs(compiler, folder / "empty.cpp"):
        pytest.skip("ThreadSanitizer does not work here")
    harness = Path(__file__).parent / "native" / "thread_sanitizer.cpp"
    target = folder / "layers"
    sources = [harness, *(CSRC / f"{name}.cpp" for name in SOURCES)]
    subprocess.run([compiler, *FLAGS, f"-I{CSRC}", *sources, "-o", target], check=True)
    return target


def _builds_and_runs(compiler, source):
    target = source.with_suffix("")
    built = subprocess.run([compiler, *FLAGS, source, "-o", target], capture_output=True)
    return built.returncode == 0 and subprocess.run([target], capture_output=True).returncode == 0


def test_threads_of_a_streamed_layer_share_nothing_without_an_order(program):
    done = subprocess.run(
        [program],
        env={**os.environ, "LIGHTM_UNET_ISA": "portable", "TSAN_OPTIONS": "history_size=7"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
