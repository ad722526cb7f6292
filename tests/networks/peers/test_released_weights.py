"""Published weights: what the networks make of them, which files are read, and that nothing in
them is executed."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from golden_values import GOLDEN, evenly_spaced, fill, numbers, whole_network
from lightm_unet.errors import DataError, UsageError
from lightm_unet.networks.peers.released_weights import load_released_weights
from lightm_unet.networks.registry import build_network
from lightm_unet.ops import backends

SMALL = json.loads((GOLDEN / "networks.json").read_text())
AVAILABLE = [
    pytest.param(b.name, marks=pytest.mark.slow if b.name == "reference" else ())
    for b in backends()
    if b.available
]


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("lightm-unet-released", "released_net"),
        ("lightm-unet-first-upload", "first_upload_net"),
        ("u-mamba", "umamba_bot"),
    ],
)
def test_the_published_weights_give_the_published_output(name, file, dims, backend, monkeypatch):
    monkeypatch.setenv("LIGHTM_UNET_BACKEND", backend)
    options, weights, image, expected = whole_network(f"{file}_{dims}d")
    network = build_network(name, **options).eval()
    load_released_weights(network, weights)
    with torch.no_grad():
        error = network(image) - expected
    assert error.square().mean().sqrt() <= 1e-5 * expected.std()


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize("name", SMALL)
def test_networks_give_the_logits_of_the_ones_that_agreed_with_the_published(
    name, backend, monkeypatch
):
    monkeypatch.setenv("LIGHTM_UNET_BACKEND", backend)
    golden = SMALL[name]
    network = fill(build_network(golden["network"], **golden["options"]).eval())
    with torch.no_grad():
        logits = network(numbers("image", golden["image"]).float())
    assert list(logits.shape) == golden["logits"]
    error = evenly_spaced(logits, len(golden["values"])) - torch.tensor(golden["values"])
    assert error.square().mean().sqrt() <= 1e-5 * golden["std"]


def make(seed=0, name="u-mamba"):
    torch.manual_seed(seed)
    return build_network(name, 2, 1, 2, features=(2, 4))


def nnunet_checkpoint(weights):
    """As nnU-Net's trainer saves it: numbers of numpy's in the log, the plans in init_args."""
    return {
        "network_weights": weights,
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5), np.mean(np.float32([0.25, 0.75]))]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 3,
        "init_args": {"plans": {"patch_size": [64, 64]}, "device": torch.device("cuda")},
        "trainer_name": "nnUNetTrainerUMambaBot",
        "inference_allowed_mirroring_axes": (0, 1),
    }


def doubled(weights):
    """With every second name that nnU-Net's modules give the same tensors."""
    named = {}
    for name, tensor in weights.items():
        for alias in (name, name.replace(".conv.", ".all_modules.0.")):
            named[alias] = tensor
            if alias.startswith("encoder."):
                named[f"decoder.{alias}"] = tensor
    return named


def prefixed(weights):
    return {f"module._orig_mod.{name}": tensor for name, tensor in weights.items()}


SOURCES = {
    "tensors": lambda weights, path: weights,
    "tensors under several names": lambda weights, path: doubled(weights),
    "tensors of a wrapped network": lambda weights, path: prefixed(doubled(weights)),
    "safetensors": lambda weights, path: save_file(weights, path.with_suffix(".safetensors")),
    "a state dict": lambda weights, path: torch.save(weights, path),
    "a checkpoint of nnU-Net": lambda weights, path: torch.save(
        nnunet_checkpoint(doubled(weights)), path
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_weights_are_read_from(source, tmp_path):
    expected = make(seed=1).state_dict()
    given = SOURCES[source](dict(expected), tmp_path / "checkpoint_final.pth")
    network = make()
    load_released_weights(network, given or next(tmp_path.iterdir()))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


class Exploit:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("content", [Exploit(), {"network_weights": {}, "logging": Exploit()}])
def test_nothing_in_a_file_is_executed(content, tmp_path, capsys):
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path)
    with pytest.raises(DataError, match="found something that is no tensor or number"):
        load_released_weights(make(), path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["checkpoint.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_named(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: found"):
        load_released_weights(make(), path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.pth: found no file"):
        load_released_weights(make(), tmp_path / "nothing.pth")


def test_a_list_of_tensors_is_no_state_dict(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(DataError, match="found a list; expected safetensors, a state dict"):
        load_released_weights(make(), str(tmp_path / "list.pth"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: w.update({"ln.weight": torch.zeros(7)}),
            r"found \(7,\) for ln.weight, .*\(4,\)",
        ),
        (lambda w: w.pop("ln.bias"), r"found nothing for ln.bias, expected \(4,\)"),
        (lambda w: w.update({"more": torch.zeros(2)}), r"found \(2,\) for more, expected nothing"),
        (lambda w: w.update({"ln.bias": "text"}), r"found a str for ln.bias, expected \(4,\)"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named_and_nothing_is_changed(change, message):
    network, weights = make(), make(seed=1).state_dict()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    change(weights)
    with pytest.raises(UsageError, match=f"do not fit u-mamba: {message}"):
        load_released_weights(network, weights)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_file_for_other_options_is_named_with_both_shapes(tmp_path):
    torch.save(make(name="nnu-net").state_dict(), tmp_path / "model.pth")
    wider = build_network("nnu-net", 2, 1, 2, features=(2, 8))
    with pytest.raises(
        DataError,
        match=r"model\.pth: found \(4, 2, 3, 3\) for encoder\.stages\.1\.0\.convs\.0\.conv\.weight"
        r"; expected \(8, 2, 3, 3\) in nnu-net; build the network with the options",
    ):
        load_released_weights(wider, tmp_path / "model.pth")
