"""The steps on images under the compiler's sanitizers."""

import subprocess
from pathlib import Path

import pytest

from c_library import compiler_or_skip

HARNESS = Path(__file__).with_name("random_steps.cpp")


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_no_step_leaves_its_arrays_or_does_what_is_undefined(build_steps, sanitizer, tmp_path):
    flags = (f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-O1", "-g1")
    probe, program = tmp_path / "probe.cpp", tmp_path / "program"
    probe.write_text("int main() {}\n")
    built = subprocess.run([compiler_or_skip(), *flags, probe, "-o", program], capture_output=True)
    if built.returncode or subprocess.run([program], capture_output=True).returncode:
        pytest.skip(f"-fsanitize={sanitizer} does not work here")
    build_steps(HARNESS, program, *flags)
    done = subprocess.run([program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
