"""examples/segment.c: a program in C segments a picture."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from c_library import CSRC, build_once
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from pictures import chest, read_pgm, write_pgm

ROOT = CSRC.parent


@pytest.fixture(scope="module")
def program(library, tmp_path_factory):
    """The example, built against the library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    target = tmp_path_factory.mktemp("example") / "segment"
    here = library.path.parent
    strict = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{CSRC}")
    linked = (f"-L{here}", "-llightm", f"-Wl,-rpath,{here}", "-o", target)
    subprocess.run([compiler, *strict, ROOT / "examples" / "segment.c", *linked], check=True)
    return target


def run(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True)


def test_it_segments_as_python_does(program, tmp_path):
    write_pgm(tmp_path / "in.pgm", chest())
    done = run(program, SHIPPED / "lungs", tmp_path / "in.pgm", tmp_path / "out.pgm")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("unlike the training images, most in its ")
    found = read_pgm(tmp_path / "out.pgm")
    expected = load_model("lungs").predict(chest(), device="cpu")
    assert 0.1 < (expected == 1).mean() < 0.9
    assert (found == expected).mean() > 0.9995


def test_what_it_cannot_use_ends_with_a_sentence(program, tmp_path):
    (tmp_path / "text.pgm").write_text("no picture")
    write_pgm(tmp_path / "in.pgm", chest())
    for words, sentence in (
        ((), "expected: segment MODEL_FOLDER PICTURE.pgm LABELS.pgm\n"),
        ((tmp_path, "in.pgm", "out.pgm"), f"{tmp_path}/model.json: cannot be read\n"),
        (
            (SHIPPED / "lungs", tmp_path / "text.pgm", "o"),
            f"{tmp_path}/text.pgm: is no PGM of 8 bits\n",
        ),
        (
            (SHIPPED / "hippocampus", tmp_path / "in.pgm", tmp_path / "out.pgm"),
            f"{tmp_path}/in.pgm: ",
        ),
    ):
        done = run(program, *words)
        assert done.returncode == 1
        assert done.stderr.startswith(sentence)
        assert done.stderr.count("\n") == 1


def test_it_is_as_short_as_an_example_should_be():
    lines = (ROOT / "examples" / "segment.c").read_text().splitlines()
    assert len(lines) < 80


@pytest.mark.slow
def test_cmake_installs_what_a_c_programmer_expects(pytestconfig, tmp_path):
    """The library, its header and its description for pkg-config; no Python is looked for."""
    for tool in ("cmake", "pkg-config", "cc", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")

    def install(folder):
        build = folder / "build"
        configure = [f"-S{ROOT}", f"-B{build}", "-DLIGHTM_C_API=ON"]
        # A processor that it does not know has one set of kernels, which saves half a minute.
        quick = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_SYSTEM_NAME=Linux"]
        quick += ["-DCMAKE_SYSTEM_PROCESSOR=unknown"]
        to_prefix = ["--install", build, "--prefix", folder / "installed"]
        for words in ([*configure, *quick], ["--build", build, "-j2"], to_prefix):
            subprocess.run(["cmake", *words], check=True, capture_output=True)
        shutil.rmtree(build)

    own = [ROOT / "CMakeLists.txt", CSRC / "lightm.pc.in", Path(__file__)]
    prefix = build_once(pytestconfig, "installed", own, install) / "installed"
    (description,) = prefix.rglob("lightm.pc")
    found = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "lightm"],
        env={"PKG_CONFIG_PATH": str(description.parent), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    libraries = description.parents[1]
    program = tmp_path / "segment"
    subprocess.run(
        ["cc", ROOT / "examples" / "segment.c", *found, f"-Wl,-rpath,{libraries}", "-o", program],
        check=True,
    )
    write_pgm(tmp_path / "in.pgm", chest())
    done = run(program, SHIPPED / "lungs", tmp_path / "in.pgm", tmp_path / "out.pgm")
    assert (done.returncode, done.stderr) == (0, "")
    assert read_pgm(tmp_path / "out.pgm").any()
    exported = subprocess.run(
        ["nm", "-D", "--defined-only", libraries / "liblightm.so"], capture_output=True, text=True
    ).stdout
    names = {line.split()[-1] for line in exported.splitlines()}
    declared = set(re.findall(r"\b(lightm_\w+)\(", (CSRC / "capi.h").read_text()))
    assert {name for name in names if name.startswith("lightm_")} == declared
