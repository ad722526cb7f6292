"""The public surface, and the README's promises about the tree."""

import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lightm_unet
from lightm_unet.field_docs import field_docs

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", lightm_unet.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(lightm_unet, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'train_network'"):
        _ = lightm_unet.train_network


def test_importing_the_package_imports_no_heavy_library():
    code = "import sys, lightm_unet; print(sorted({'torch', 'monai', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_imports_point_down_the_list_of_layers_only():
    layers = [
        "system",
        "ops",
        "imaging",
        "reporting",
        "networks",
        "datasets",
        "preprocessing",
        "costs",
        "diagnosis",
        "models",
        "training",
        "inference",
        "evaluation",
        "benchmark",
        "comparison",
    ]
    package = ROOT / "src" / "lightm_unet"
    for level, layer in enumerate(layers):
        for file in [*(package / layer).rglob("*.py"), *package.glob(f"{layer}.py")]:
            imported = set(re.findall(r"(?:from|import) lightm_unet\.(\w+)", file.read_text()))
            above = imported & {*layers[level + 1 :], "cli"}
            assert not above, f"{file} imports {above}"


def test_no_module_imports_itself_by_way_of_others():
    source = ROOT / "src"
    files = {
        ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (source / "lightm_unet").rglob("*.py")
    }
    statement = re.compile(r"^ *from (lightm_unet[\w.]*) import ([^(\n]+|\([^)]+)", re.MULTILINE)

    def imports_of(file):
        for base, names in statement.findall(file.read_text()):
            for name in re.findall(r"\w+", names):
                yield f"{base}.{name}" if f"{base}.{name}" in files else base

    graph = {module: set(imports_of(file)) - {module} for module, file in files.items()}
    assert sum(map(len, graph.values())) > 300
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_readmes_file_map_names_what_is_there():
    text = (ROOT / "README.md").read_text()
    block = text.split("## File map")[1].split("```")[1]
    named = re.findall(r"^  (\S+)", block, re.MULTILINE)
    assert len(named) > 5
    package = ROOT / "src" / "lightm_unet"
    present = {p.name + ("/" if p.is_dir() else "") for p in package.iterdir()}
    present = {n for n in present if not n.startswith(("_", ".")) and n.endswith((".py", "/"))}
    assert set(named) == present


def test_field_docs_are_the_sentences_under_the_fields():
    class Example:
        width: int = 3
        """How wide
        it is."""
        silent: int = 4
        depth: int
        """How deep."""

    assert field_docs(Example) == {"width": "How wide it is.", "depth": "How deep."}
    assert field_docs(int) == {}
