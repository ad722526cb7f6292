import hashlib
import json
import re
from pathlib import Path

import pytest

from browser import needs_page
from lightm_unet.deploy import page as page_module
from lightm_unet.deploy.export import export
from lightm_unet.deploy.page import BUILD, SITE, write_folder
from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.models.model_folder import load_model
from lightm_unet.networks.registry import build_network
from small_models import random_network, write_model

PAGE = Path(__file__).parents[2] / "page"
MODEL_FILES = ("model.json", "model.safetensors", "README.md")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@needs_page
def test_the_built_page_is_that_of_the_sources():
    """Otherwise: make page."""
    record = json.loads((SITE / BUILD).read_text())
    settings = ("package.json", "package-lock.json", "tsconfig.json")
    roots = ("src", "build.mjs", "bundled_packages.mjs", *settings)
    paths = [path for root in roots for path in ((PAGE / root), *(PAGE / root).rglob("*"))]
    sources = {path.relative_to(PAGE).as_posix(): digest(path) for path in paths if path.is_file()}
    assert record["sources"] == sources
    built = [path for path in SITE.rglob("*") if path.is_file() and path.parent.name != "engine"]
    files = {path.relative_to(SITE).as_posix(): digest(path) for path in built}
    del files[BUILD]
    assert record["files"] == files


@needs_page
def test_the_folder_holds_the_models_own_bytes(tmp_path):
    lungs = load_model("lungs")
    written = export("lungs", "web", tmp_path / "site")
    for name in MODEL_FILES:
        assert digest(tmp_path / "site" / "model" / name) == digest(lungs.path / name)
    sizes = [path.stat().st_size for path in (tmp_path / "site").rglob("*") if path.is_file()]
    assert written.bytes == sum(sizes)
    assert written.checked.startswith("weights as they are in the model")


@needs_page
def test_the_first_load_of_a_flat_model_is_below_six_megabytes(tmp_path):
    assert export("lungs", "web", tmp_path / "site").bytes < 6_000_000


@needs_page
def test_no_mark_is_left_in_what_is_exported(tmp_path):
    export("lungs", "web", tmp_path / "site")
    export("lungs", "html", tmp_path / "lungs.html")
    for path in (tmp_path / "site" / "index.html", tmp_path / "lungs.html"):
        text = path.read_text()
        assert not re.search(r"\{\{\w+\}\}", text)
        assert "<title>the lungs in frontal chest X-rays – LightM-UNet</title>" in text
        assert "CLAIM 2024" in text


@needs_page
def test_the_service_worker_keeps_every_file_and_changes_with_each(tmp_path):
    folder = tmp_path / "site"
    export("lungs", "web", folder)
    kept = json.loads(re.match(r"const SITE = (.*);\n", (folder / "sw.js").read_text())[1])
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(kept["files"]) == there - {"sw.js"}
    other = tmp_path / "other"
    write_model(tmp_path / "model", random_network())
    export(tmp_path / "model", "web", other)
    assert (
        json.loads((other / "sw.js").read_text().split("\n")[0][13:-1])["version"]
        != (kept["version"])
    )


@needs_page
def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="found files there already"):
        export("lungs", "web", tmp_path / "site")
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["notes.txt"]


@needs_page
def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(self, content):
        if self.name == "app.js":
            raise OSError(28, "No space left on device", str(self))
        return original(self, content)

    original = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        export("lungs", "web", tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


@needs_page
@pytest.mark.parametrize("name", ["lungs.txt", "lungs"])
def test_one_file_has_an_ending_that_browsers_open(tmp_path, name):
    with pytest.raises(UsageError, match=r"expected a name ending in \.html"):
        export("lungs", "html", tmp_path / name)


def test_a_package_without_a_built_page_says_how_to_build_it(tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "SITE", tmp_path)
    for format, output in (("web", "site"), ("html", "lungs.html")):
        with pytest.raises(MissingPartError, match="make page"):
            export("lungs", format, tmp_path / output)


@needs_page
@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("lwnet", "the network is lwnet, and the browser runs LightM-UNets only"),
        ("lightm-unet:width=4:conv=spatial", "conv=spatial, and the browser runs conv=causal only"),
        ("lightm-unet:width=4:directions=2", "directions=2, and the browser runs directions=1"),
    ],
)
def test_a_model_that_the_browser_cannot_run_is_refused(tmp_path, network, reason):
    write_model(tmp_path / "model", build_network(network, 2, 1, 2))
    with pytest.raises(UsageError, match=reason):
        export(tmp_path / "model", "web", tmp_path / "site")
    assert not (tmp_path / "site").exists()


@needs_page
def test_weights_that_the_browser_cannot_read_are_refused(tmp_path):
    network = build_network("lightm-unet-nano", 2, 1, 2).double()
    write_model(tmp_path / "model", network)
    with pytest.raises(UsageError, match="the weights are F64, and the browser reads F32"):
        write_folder(load_model(tmp_path / "model"), tmp_path / "site")
