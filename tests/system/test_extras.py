"""What is optional is asked for by name, and its absence says what to install."""

import re
import sys
from pathlib import Path

import pytest

from lightm_unet.errors import MissingPartError
from lightm_unet.system.extras import EXTRAS, installed_versions, is_installed, require_extra

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def without(monkeypatch):
    """Make packages look as if they were not installed."""

    def without_(*modules):
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)

    return without_


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_list_is_that_of_pyproject(extra):
    (listed,) = re.findall(
        rf"^{extra} = \[(.*?)\]", PYPROJECT.read_text(), re.MULTILINE | re.DOTALL
    )
    assert tuple(re.findall(r'"([\w-]+)', listed)) == EXTRAS[extra]


def test_what_is_there_is_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    assert is_installed("wave")
    require_extra("report", "music", "wave")
    assert "wave" not in sys.modules


def test_one_missing_package_is_named_with_the_command_that_installs_its_extra(without):
    without("pytorch_lightning")
    with pytest.raises(MissingPartError) as raised:
        require_extra("train", "training")
    assert str(raised.value) == (
        "training needs pytorch-lightning, which is not installed; pip install 'lightm-unet[train]'"
    )


def test_several_missing_packages_are_all_named(without):
    without("onnx", "onnxruntime")
    with pytest.raises(MissingPartError, match="needs onnx, onnxruntime, which are not installed"):
        require_extra("onnx", "an export", "onnx", "onnxruntime")


def test_only_the_packages_that_are_needed_are_looked_for(without):
    without("matplotlib")
    require_extra("report", "a page", "jinja2")


def test_a_missing_package_has_no_version(without):
    without("matplotlib")
    versions = installed_versions("report")
    assert versions["matplotlib"] is None
    assert versions["jinja2"][0].isdigit()
