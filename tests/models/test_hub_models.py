"""Models that come from a repository of the Hugging Face Hub, and copies of models."""

import pytest
import torch

import lightm_unet
from lightm_unet.errors import UsageError
from lightm_unet.models import model_folder
from small_models import random_network, write_model


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """One that the Hub has; what was asked of it is listed."""
    folder, asked = write_model(tmp_path / "model", random_network(2, 1, 3)), []

    def fetch(name, files):
        asked.append((name, tuple(files)))
        return folder

    monkeypatch.setattr(model_folder, "fetch", fetch)
    return folder, asked


def test_a_model_is_loaded_by_its_address(repository):
    folder, asked = repository
    model = lightm_unet.load_model("hf://someone/organs@v1")
    assert asked == [("someone/organs@v1", ("model.json", "model.safetensors", "README.md"))]
    assert model.label_names == lightm_unet.load_model(folder).label_names


def test_from_pretrained_takes_the_repository_s_name_alone(repository):
    pytest.importorskip("huggingface_hub")
    folder, asked = repository
    network = lightm_unet.LightMUNet.from_pretrained("someone/organs")
    assert [name for name, _ in asked] == ["someone/organs"]
    expected = lightm_unet.load_model(folder).network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


def test_a_folder_goes_before_a_repository_of_its_name(repository, tmp_path, monkeypatch):
    _, asked = repository
    write_model(tmp_path / "someone" / "organs", random_network(2, 1, 2))
    monkeypatch.chdir(tmp_path)
    assert lightm_unet.LightMUNet.from_pretrained("someone/organs").out_channels == 2
    assert not asked


def test_load_model_asks_the_hub_for_nothing_unless_told(repository, tmp_path):
    _, asked = repository
    with pytest.raises(UsageError, match=r"no model\.json here"):
        lightm_unet.load_model("someone/organs")
    assert not asked


def test_a_saved_model_is_the_same_model(tmp_path):
    saved = lightm_unet.load_model("lungs").save_pretrained(tmp_path / "copy")
    shipped = lightm_unet.load_model("lungs").path
    for name in ("model.json", "model.safetensors", "README.md"):
        assert (saved / name).read_bytes() == (shipped / name).read_bytes()
    with pytest.raises(UsageError, match="found files there already"):
        lightm_unet.load_model("lungs").save_pretrained(tmp_path / "copy")


def test_an_upload_is_of_the_model_s_own_files(repository, monkeypatch):
    folder, _ = repository
    uploads = []
    monkeypatch.setattr(
        model_folder, "upload", lambda *words, **named: uploads.append((words, named)) or "address"
    )
    assert lightm_unet.load_model(folder).push_to_hub("me/organs", private=True) == "address"
    ((words, named),) = uploads
    assert words == (folder, "me/organs", ("model.json", "model.safetensors", "README.md"))
    assert named == {"message": "Upload a model", "private": True}
