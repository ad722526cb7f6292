"""Repositories of the Hugging Face Hub: names, a cache that is filled already, and uploads."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest

from lightm_unet.errors import MissingPartError, UsageError
from lightm_unet.system import extras
from lightm_unet.system.hub import fetch, hub_address, is_repository, upload

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fill_cache(cache, repository, files):
    """What a download leaves in the Hub's cache."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name, content in files.items():
        (snapshot / name).write_bytes(content)
    return snapshot


def offline(cache, code):
    """Run Python where the Hub cannot be asked: its variables are read when it is imported."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )


def test_addresses():
    assert hub_address("hf://a/b") == hub_address("hf:/a/b") == "a/b"
    assert hub_address("hf://a/b@main") == "a/b@main"
    assert hub_address("a/b") is hub_address("/hf://a/b") is None


@pytest.mark.parametrize("text", ["a/b", "some.one/lungs-2_x", "a/b@v1.0", "a/b@refs/pr/1"])
def test_names_of_repositories(text):
    assert is_repository(text)


@pytest.mark.parametrize("text", ["a", "a/b/c", "../b", "/a/b", "./b", "a/", "a/b@", "a b/c", ""])
def test_other_texts_are_none(text):
    assert not is_repository(text)
    with pytest.raises(UsageError, match="expected hf://OWNER/NAME"):
        fetch(text, ["model.json"])


def test_a_file_in_the_cache_is_used_without_a_network(tmp_path):
    pytest.importorskip("huggingface_hub")
    snapshot = fill_cache(tmp_path, "someone/lungs", {"model.json": b"{}"})
    code = "from lightm_unet.system.hub import fetch; print(fetch('someone/lungs', ['model.json']))"
    done = offline(tmp_path, code)
    assert (done.returncode, done.stdout) == (0, f"{snapshot}\n"), done.stderr


def test_a_repository_that_cannot_be_reached_is_one_line(tmp_path):
    pytest.importorskip("huggingface_hub")
    code = """
from lightm_unet.errors import UsageError
from lightm_unet.system.hub import fetch
try:
    fetch("someone/nothing", ["model.json"])
except UsageError as error:
    print(error)
"""
    done = offline(tmp_path, code)
    assert done.stdout.startswith("someone/nothing: cannot be fetched ("), done.stderr
    assert done.stdout.count("\n") == 1


class Api:
    """Takes uploads."""

    calls: ClassVar[list] = []

    def create_repo(self, repository, **options):
        self.calls.append(("create", repository, options))

    def upload_folder(self, **options):
        self.calls.append(("upload", options))
        return type("Commit", (), {"commit_url": "the commit"})


def test_an_upload_makes_the_repository_and_takes_the_named_files(monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "HfApi", Api)
    monkeypatch.setattr(Api, "calls", [])
    assert upload(tmp_path, "a/b", ["model.json"], message="m", private=True) == "the commit"
    (made, (_, options)) = Api.calls
    assert made == ("create", "a/b", {"private": True, "exist_ok": True})
    assert options["allow_patterns"] == ["model.json"]
    assert options["folder_path"] == str(tmp_path)


def test_an_upload_without_rights_is_one_line(monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub")

    class Refusing(Api):
        def create_repo(self, repository, **options):
            answer = SimpleNamespace(headers={}, request=None)
            raise hub.errors.HfHubHTTPError("401\nlog in", response=answer)

    monkeypatch.setattr(hub, "HfApi", Refusing)
    with pytest.raises(UsageError, match=r"^a/b: cannot be uploaded \(401 log in\)$"):
        upload(tmp_path, "a/b", ["model.json"], message="m", private=False)


@pytest.mark.parametrize("text", ["a", "a/b@main", ""])
def test_an_upload_needs_the_name_of_a_repository(text, tmp_path):
    with pytest.raises(UsageError, match="expected a repository as OWNER/NAME"):
        upload(tmp_path, text, ["model.json"], message="m", private=False)


def test_without_the_extra_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda package: False)
    with pytest.raises(MissingPartError, match=r"pip install 'lightm-unet\[hub\]'"):
        fetch("a/b", ["model.json"])
