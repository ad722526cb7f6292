"""The public surface, and the README's promises about the tree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import lightm_unet

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", lightm_unet.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(lightm_unet, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No lightm_unet attribute train_network"):
        _ = lightm_unet.train_network


def test_importing_the_package_imports_no_heavy_library():
    code = "import sys, lightm_unet; print(sorted({'torch', 'monai', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_readmes_file_map_names_what_is_there():
    text = (ROOT / "README.md").read_text()
    block = text.split("## File map")[1].split("```")[1]
    named = re.findall(r"^  (\S+)", block, re.MULTILINE)
    assert len(named) > 5
    package = ROOT / "src" / "lightm_unet"
    present = {p.name + ("/" if p.is_dir() else "") for p in package.iterdir()}
    present = {n for n in present if not n.startswith(("_", ".")) and n.endswith((".py", "/"))}
    assert set(named) == present
