"""The files to copy for archives use options that there are."""

import re
import subprocess
from pathlib import Path

import pytest

from lightm_unet.cli import app

FOLDER = Path(__file__).parents[2] / "examples" / "archives"
FILES = sorted(FOLDER.iterdir())


def options_of(verb):
    words = set()
    for argument in app[verb].assemble_argument_collection():
        words |= {name for name in argument.names if name.startswith("--")}
    return words


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_option_is_one_of_its_verb(file):
    text = re.sub(r"\s*\\?\n\s+(?=--)", " ", file.read_text())
    commands = re.findall(r"lightm-unet (predict|merge) ([^\n]*)", text)
    assert {verb for verb, _ in commands} == {"predict", "merge"}
    for verb, words in commands:
        assert set(re.findall(r"--[a-z-]+", words)) <= options_of(verb)


@pytest.mark.parametrize("file", [file for file in FILES if file.suffix == ".sh"])
def test_the_scripts_have_no_mistake_that_a_shell_sees(file):
    assert subprocess.run(["bash", "-n", file], check=False).returncode == 0
