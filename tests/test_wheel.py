"""What is built from this tree holds the whole package: a pattern once dropped a folder of it."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lightm_unet"
ENDINGS = (".py", ".pyi", ".css", ".jinja", ".typed", ".json", ".safetensors", ".md", ".js")

pytest.importorskip("scikit_build_core", reason="builds the package without isolation")
pytestmark = pytest.mark.slow


def expected() -> set[str]:
    """The package's own files, without what a build or an import leaves there."""
    return {
        file.relative_to(PACKAGE.parent).as_posix()
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix in ENDINGS
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The tree's tracked and new files, built as a wheel without the kernels and as an sdist."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "demo", "__pycache__", "*.so")
    shutil.copytree(ROOT, tree, ignore=ignored)
    code = (
        "import sys; from scikit_build_core import build\n"
        "settings = {'wheel.cmake': 'false'}\n"
        "build.build_wheel(sys.argv[1], settings)\n"
        "build.build_sdist(sys.argv[1])"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_tree_has_shipped_models_to_build():
    assert any(name.endswith("shipped/lungs/model.safetensors") for name in expected())
    assert "lightm_unet/models/model_folder.py" in expected()


def test_the_wheel_holds_every_module_and_every_shipped_model(built):
    (wheel,) = built.glob("*.whl")
    assert expected() - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_sdist_holds_them_and_what_compiles_the_kernels(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in expected()} - names == set()
    assert {"CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE"} <= names
    assert any(name.startswith("csrc/") and name.endswith(".cpp") for name in names)
