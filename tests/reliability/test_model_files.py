"""Model folders that are damaged, mixed up or impossible."""

import json
import shutil

import pytest
import torch

from faults import fault
from lightm_unet.models.model_folder import load_model, save_model
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.preprocessing.preprocessing import Preprocessing

SECTION = "Models"
REFUSED = "exit code 3, one line that names the file"


@pytest.fixture
def model(tmp_path):
    """A small model's folder."""
    return make(tmp_path / "model", 0)


def make(folder, seed):
    torch.manual_seed(seed)
    network = LightMUNet(2, 1, 2, width=4, encoder_layers=(1,), bottleneck_layers=1)
    preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(16, 16))
    save_model(folder, network, preprocessing, ("background", "lung"), ("X-ray",), {}, {})
    return folder


def refusal(run, folder, *names):
    """What `predict` says of a model."""
    (folder / "image.png").write_text("")
    code, _, error = run("predict", folder, folder / "image.png", "--output", folder / "masks")
    one_line = error.count("\n") == 1 and "Traceback" not in error
    named = one_line and all(name in error for name in names)
    return f"exit code {code}, one line that names the file" if named else f"{code}: {error}"


@fault(SECTION, "weights with one changed bit, cut short, emptied or deleted", REFUSED)
def test_damaged_weights(run, model, tmp_path):
    found = set()
    for number, change in enumerate(
        (
            lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
            lambda content: content[: len(content) // 2],
            lambda content: b"",
            None,
        )
    ):
        folder = shutil.copytree(model, tmp_path / f"copy{number}")
        file = folder / "model.safetensors"
        file.write_bytes(change(file.read_bytes())) if change else file.unlink()
        found.add(refusal(run, folder, "model.safetensors"))
    return " / ".join(sorted(found))


@fault(SECTION, "the weights of one model beside the description of another", REFUSED)
def test_mixed_models(run, model, tmp_path):
    other = make(tmp_path / "other", 1)
    shutil.copy(other / "model.safetensors", model)
    return refusal(run, model, "model.safetensors", "of another model")


@fault(
    SECTION,
    "a description with an impossible value: size 0, nan or one axis, channels -1, a number of "
    "labels or channels that does not fit, an unknown normalization, a label without a name",
    f"{REFUSED} and the field",
)
def test_impossible_descriptions(run, model, tmp_path):
    card = json.loads((model / "model.json").read_text())
    found = set()
    for number, (entry, changes, field) in enumerate(
        (
            ("preprocessing", {"size": [0, 16]}, "size"),
            ("preprocessing", {"size": [16]}, "size"),
            ("preprocessing", {"size": [16, float("nan")]}, "size"),
            ("preprocessing", {"size": "16"}, "size"),
            ("preprocessing", {"channels": -1}, "channel"),
            ("preprocessing", {"channels": 3}, "preprocessing.channels"),
            ("preprocessing", {"spatial_dims": 7}, "spatial_dims"),
            ("preprocessing", {"normalization": "minmax"}, "normalization"),
            ("preprocessing", {"normalization": "ct"}, "intensity_std"),
            ("network", {"options": None}, "network.options"),
            ("network", {"name": "unet"}, "unet"),
        )
    ):
        folder = shutil.copytree(model, tmp_path / f"copy{number}")
        changed = {**card, entry: {**card[entry], **changes}}
        (folder / "model.json").write_text(json.dumps(changed))
        found.add(refusal(run, folder, "model.json", field) + " and the field")
    for number, labels in enumerate(
        ([], card["labels"][:1], [*card["labels"], {"name": "x"}], [{}, {}], "lung", [None, None])
    ):
        folder = shutil.copytree(model, tmp_path / f"labels{number}")
        (folder / "model.json").write_text(json.dumps({**card, "labels": labels}))
        found.add(refusal(run, folder, "model.json", "labels") + " and the field")
    return " / ".join(sorted(found))


@fault(SECTION, "a description that is no JSON, is nested without end or lacks an entry", REFUSED)
def test_broken_descriptions(run, model, tmp_path):
    card = json.loads((model / "model.json").read_text())
    texts = ["", "{", "[]", "\x00", '{"a":' * 100_000, "[" * 100_000]
    texts += [json.dumps({k: v for k, v in card.items() if k != name}) for name in ("network",)]
    found = set()
    for number, text in enumerate(texts):
        folder = shutil.copytree(model, tmp_path / f"copy{number}")
        (folder / "model.json").write_text(text)
        found.add(refusal(run, folder, "model.json"))
    return " / ".join(sorted(found))


@fault(SECTION, "a model of an earlier version, without a checksum", "it loads")
def test_an_earlier_version(model):
    card = json.loads((model / "model.json").read_text())
    del card["weights"]
    (model / "model.json").write_text(json.dumps(card))
    return "it loads" if load_model(model).label_names == ("background", "lung") else "it does not"
