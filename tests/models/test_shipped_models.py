"""The models of the package: whole, described, small, and called by their names."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from composed import composed_form
from lightm_unet.errors import DataError, UsageError
from lightm_unet.models.model_folder import find_model, load_model
from lightm_unet.models.shipped_models import FOLDER, shipped_models, shipped_names
from lightm_unet.networks.lightm_unet import LightMUNet

MODELS = shipped_models()


@pytest.mark.parametrize("shipped", MODELS, ids=lambda model: model.name)
def test_a_model_is_what_its_card_says(shipped):
    model = load_model(shipped.name)
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    assert parameters == shipped.parameters
    card = shipped.card.read_text()
    digest = hashlib.sha256((shipped.folder / "model.safetensors").read_bytes()).hexdigest()
    for fact in (digest, f"{parameters:,} parameters", f"{shipped.dice:.3f}", "no medical device"):
        assert fact in card
    assert model.profile is not None
    assert model.profile.false_alarms <= 0.05
    assert model.label_names[1:] == shipped.labels
    assert card.count("| ") > 44  # every item of CLAIM has its row


@pytest.mark.parametrize("shipped", MODELS, ids=lambda model: model.name)
def test_native_and_composed_inference_agree(shipped):
    """To 1e-5 of the largest logit, on noise and on a ramp."""
    model = load_model(shipped.name)
    size = model.preprocessing.size
    torch.manual_seed(0)
    for image in (torch.randn(1, 1, *size), torch.linspace(-2, 2, size[-1]).expand(1, 1, *size)):
        with torch.inference_mode():
            native = model.network(image.contiguous())
        with torch.inference_mode(), composed_form():
            composed = model.network(image.contiguous())
        assert (native - composed).abs().max() <= 1e-5 * composed.abs().max()


def test_the_models_are_small():
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 12e6
    assert {file.name for file in files} == {"README.md", "model.json", "model.safetensors"}


def test_a_name_is_a_model(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    assert find_model("lungs") == FOLDER / "lungs"
    assert isinstance(LightMUNet.from_pretrained("lungs"), LightMUNet)
    assert load_model("lungs").predict(np.zeros((40, 50)), device="cpu").shape == (40, 50)
    code, out, _ = run("models")
    assert code == 0
    assert all(model.name in out and model.purpose in out for model in MODELS)


def test_a_folder_of_the_same_name_is_used_with_a_line_that_says_so(tmp_path, monkeypatch, listen):
    monkeypatch.chdir(tmp_path)
    Path("lungs").mkdir()
    assert find_model("lungs") == FOLDER / "lungs"  # a data set, perhaps
    Path("lungs", "model.json").write_text("{}")
    said = []
    with listen(said.append):
        assert find_model("lungs") == Path("lungs")
    assert said == ["lungs: the folder is used, not the package's model of this name"]


def test_an_unknown_name_lists_the_models():
    with pytest.raises(UsageError, match=rf"a model of the package: {', '.join(shipped_names())}"):
        load_model("lungz")


def test_a_changed_file_of_a_model_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "lungs"
    folder.mkdir()
    for name in ("model.json", "model.safetensors"):
        (folder / name).write_bytes((FOLDER / "lungs" / name).read_bytes())
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"found weights with SHA-256"):
        load_model(folder)
