import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lightm_unet.errors import DataError, UsageError
from lightm_unet.models.model_folder import find_model, load_model, save_model
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.networks.registry import build_network, network_names
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.json_codec import to_json

PREPROCESSING = Preprocessing(spatial_dims=2, channels=1, size=(24, 24))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LightMUNet(2, 1, 3, width=4, encoder_layers=(1,), bottleneck_layers=1)


@pytest.fixture
def folder(network, tmp_path) -> Path:
    save_model(
        tmp_path / "model",
        network,
        PREPROCESSING,
        ("background", "liver", "tumour"),
        ("CT",),
        {"dataset": "Phantoms", "epochs": 3},
        {"val_dice": 0.5},
    )
    return tmp_path / "model"


def edit(card: Path, **changes) -> None:
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))


def test_a_model_comes_back_with_everything_that_is_needed_to_use_it(network, folder):
    model = load_model(folder)
    image = torch.randn(1, 1, 24, 24)
    with torch.no_grad():
        assert torch.equal(model.network(image), network(image))
    assert not model.network.training
    assert model.preprocessing == PREPROCESSING
    assert model.label_names == ("background", "liver", "tumour")
    assert model.label_colours == ((0, 0, 0), (230, 159, 0), (86, 180, 233))
    assert model.card["training"] == {"dataset": "Phantoms", "epochs": 3}
    assert model.card["scores"] == {"val_dice": 0.5}
    assert model.card["channels"] == ["CT"]
    assert model.path == folder


SMALL = {
    "lightm-unet": {"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1},
    "lightm-unet-small": {"encoder_layers": (1,)},
    "lightm-unet-tiny": {"encoder_layers": (1,)},
    "lightm-unet-nano": {"encoder_layers": (1,)},
    "nnu-net": {"features": (4, 8)},
    "u-mamba": {"features": (4, 8)},
    "u-mamba-encoder": {"features": (4, 8)},
    "unetr": {"image_size": (24, 24), "hidden_size": 12, "mlp_dim": 16, "feature_size": 4},
    "swin-unetr": {"feature_size": 12},
    "lwnet": {"features": (4, 8)},
    "m2unet": {},
}
OTHERS = {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)}


def test_a_small_network_from_before_it_had_norms_is_still_itself(tmp_path):
    network = build_network("lightm-unet", 2, 1, 2, stem="conv", width=16, expand=1, d_state=8)
    names, channels = ("background", "lung"), ("X-ray",)
    save_model(tmp_path, network.eval(), PREPROCESSING, names, channels, {}, {})
    card = json.loads((tmp_path / "model.json").read_text())
    card["network"]["name"] = "lightm-unet-tiny"
    (tmp_path / "model.json").write_text(json.dumps(card))
    image = torch.randn(1, 1, 24, 24)
    with torch.inference_mode():
        assert torch.equal(load_model(tmp_path).network(image), network(image))


@pytest.mark.parametrize("name", network_names())
def test_a_model_of_any_network_comes_back_by_its_name(name, tmp_path):
    torch.manual_seed(0)
    network = build_network(name, 2, 1, 2, **SMALL.get(name, OTHERS)).eval()
    save_model(tmp_path, network, PREPROCESSING, ("background", "lung"), ("X-ray",), {}, {})
    assert json.loads((tmp_path / "model.json").read_text())["network"]["name"] == name
    model, image = load_model(tmp_path), torch.randn(1, 1, 24, 24)
    assert model.network.config == network.config
    with torch.no_grad():
        assert torch.equal(model.network(image), network(image))


def test_a_card_of_the_first_version_names_lightm_unet_and_its_options_only(network, folder):
    card = json.loads((folder / "model.json").read_text())["network"]
    assert card["name"] == "lightm-unet"
    assert card["options"] == {
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 3,
        "width": 4,
        "stem": "dwconv",
        "norm": "none",
        "head": "dwconv",
        "encoder_layers": [1],
        "bottleneck_layers": 1,
        "bottleneck_width": None,
        "expand": 2,
        "d_state": 16,
        "conv": "causal",
        "d_conv": 4,
        "directions": 1,
        "checkpoint_layers": False,
    }
    assert load_model(folder).network.config == network.config


def test_a_model_folder_holds_two_files_and_no_pickle(folder):
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "model.safetensors"]
    weights = (folder / "model.safetensors").read_bytes()
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    assert header["stem.depthwise.weight"]["shape"] == [1, 1, 3, 3]


def test_a_run_s_folder_stands_for_the_model_in_it(folder):
    assert find_model(folder.parent) == folder
    assert load_model(str(folder.parent)).path == folder


def test_a_loaded_model_can_be_trained_further(folder):
    network = load_model(folder).network
    network(torch.randn(1, 1, 24, 24)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("colour", [[0, 0], [0, 0, 256], "red", None])
def test_a_label_with_a_colour_that_is_none_is_bad_data(folder, colour):
    card = json.loads((folder / "model.json").read_text())
    card["labels"][1]["colour"] = colour
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match="a colour is three whole numbers"):
        load_model(folder)


@pytest.mark.parametrize("make_it", [True, False])
def test_a_folder_without_a_model_is_a_usage_error(tmp_path, make_it):
    empty = tmp_path / "empty"
    if make_it:
        empty.mkdir()
    with pytest.raises(UsageError, match=r"empty: no model\.json here or in .*empty/model"):
        load_model(empty)


def test_a_pickle_in_place_of_the_weights_is_refused_and_not_run(folder, tmp_path):
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"unreadable weights .* expected safetensors"):
        load_model(folder)
    assert not trap.exists()


def test_weights_that_torch_saved_are_refused_too(folder, network):
    torch.save(network.state_dict(), folder / "model.safetensors")
    with pytest.raises(DataError, match="unreadable weights"):
        load_model(folder)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_truncated_weights_are_refused(folder, share):
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"model\.safetensors: found unreadable weights"):
        load_model(folder)


def test_missing_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"model\.safetensors: found unreadable weights"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: w.update({"head.pointwise.bias": torch.zeros(2)}),
            r"\(2,\) for .*expected \(3,\)",
        ),
        (lambda w: w.pop("head.pointwise.bias"), "found nothing for head.pointwise.bias"),
        (lambda w: w.update(more=torch.zeros(2)), r"found \(2,\) for more; expected nothing"),
    ],
)
def test_weights_of_another_network_are_named(folder, change, message):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(DataError, match=message):
        load_model(folder)


def network_with(**changes):
    options = LightMUNet(2, 1, 3, width=4).config | changes
    return {"name": options.pop("name"), "options": options}


def with_fields(**changes):
    return to_json(PREPROCESSING) | changes


def label(name, value):
    return {"name": name, "value": value, "colour": [0, 0, 0]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "found format 2; expected format 1; upgrade"),
        ({"format": None}, "found format None"),
        (
            {"network": network_with() | {"name": "unet"}},
            "found a network called 'unet'; .*register_network",
        ),
        ({"network": []}, "a description that cannot be used"),
        ({"network": network_with(width=-1)}, "width needs a positive whole number, got -1"),
        ({"network": network_with(depth=3)}, "no option depth"),
        ({"network": network_with(expand=float("inf"))}, "a description that cannot be used"),
        ({"network": network_with(width=2**20)}, "model.safetensors: found .* for stem"),
        ({"network": network_with(in_channels=2)}, "do not fit together"),
        ({"network": network_with(spatial_dims=3)}, "do not fit together"),
        ({"labels": [{"name": "background", "colour": [0, 0, 0]}]}, "do not fit together"),
        ({"labels": "liver"}, "a description that cannot be used"),
        ({"preprocessing": {"spatial_dims": 2, "channels": 1}}, "either size .* or roi_size"),
        ({"preprocessing": None}, "a description that cannot be used"),
        ({"preprocessing": with_fields(size=[0, 24])}, r"size needs 2 positive values"),
        ({"preprocessing": with_fields(size=[24, float("nan")])}, r"size.* is nan"),
        ({"preprocessing": with_fields(size=[10**400, 24])}, "size needs at most 100000 voxels"),
        ({"preprocessing": with_fields(channels=-1)}, "at least 1 channel, got 2 and -1"),
        ({"preprocessing": with_fields(channels=2)}, "preprocessing.channels is 2, but .* has 1"),
        ({"preprocessing": with_fields(channels=True)}, "channels is True"),
        ({"preprocessing": with_fields(normalization="minmax")}, "normalization must be one of"),
        (
            {
                "preprocessing": with_fields(
                    normalization="ct",
                    intensity_range=[-100, 100],
                    intensity_mean=float("nan"),
                    intensity_std=1.0,
                )
            },
            "intensity_mean",
        ),
        ({"network": network_with(out_channels=-1)}, "network.options.out_channels is -1"),
        ({"network": network_with(in_channels=0)}, "network.options.in_channels is 0"),
        ({"network": network_with(in_channels=1.0)}, r"network.options.in_channels is 1\.0"),
        ({"network": network_with(encoder_layers=[[[1]]])}, "a description that cannot be used"),
        ({"network": {"name": "lightm-unet"}}, "network.options is None"),
        ({"network": {"name": ["a"], "options": {}}}, r"a network called \['a'\]"),
        ({"labels": []}, "labels has 0 entries, expected 1 to 256"),
        ({"labels": [{"name": 7}]}, r"labels\[0\] is {'name': 7}, expected an object with a name"),
        ({"labels": [label("a", 1)]}, r"labels\[0\]\.value is 1, expected 0"),
        ({"labels": [label("a", 0), label("a", 1)]}, "labels has 'a' twice"),
        ({"weights": {"sha256": 7}}, r"weights\.sha256 is 7, expected 64"),
        ({"weights": "x"}, "weights is 'x', expected an object"),
        ({"weights": {"sha256": "0" * 64}}, r"model\.safetensors: found weights with SHA-256 "),
    ],
)
def test_a_card_that_cannot_be_used_is_named_with_the_reason(folder, changes, message):
    edit(folder / "model.json", **changes)
    with pytest.raises(DataError, match=message):
        load_model(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00\xff", '{"a":' * 100_000])
def test_a_card_that_is_no_json_object_is_refused(folder, content):
    (folder / "model.json").write_text(content)
    with pytest.raises(DataError, match=r"model\.json"):
        load_model(folder)


def test_saving_again_replaces_the_model_and_leaves_nothing_else(folder, network, tmp_path):
    with torch.no_grad():
        network.head.pointwise.bias.fill_(7)
    names = ("background", "liver", "tumour")
    save_model(folder, network, PREPROCESSING, names, ("CT",), {}, {"val_dice": 0.75})
    model = load_model(folder)
    assert model.card["scores"] == {"val_dice": 0.75}
    assert model.network.head.pointwise.bias.tolist() == [7, 7, 7]
    assert len(list(folder.iterdir())) == 2


def test_a_copied_folder_is_the_same_model(folder, tmp_path):
    moved = shutil.move(folder, tmp_path / "elsewhere")
    assert load_model(moved).label_names == ("background", "liver", "tumour")


NAN, INFINITE = float("nan"), float("inf")


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"preprocessing": {"size": [NAN, 8]}}, r"size\[0\]"),
        ({"preprocessing": {"size": [-8, 8]}}, "size needs"),
        ({"preprocessing": {"size": [10**9, 8]}}, "size needs"),
        ({"preprocessing": {"size": [10**400, 8]}}, "size needs"),
        ({"preprocessing": {"size": None, "roi_size": [8, 10**12]}}, "roi_size needs"),
        ({"preprocessing": {"size": None, "roi_size": [8, 8], "spacing_mm": [1, NAN]}}, "spacing"),
        ({"preprocessing": {"size": None, "roi_size": [8, 8], "spacing_mm": [1, 1e9]}}, "spacing"),
        ({"preprocessing": {"intensity_mean": NAN}}, "intensity_mean"),
        ({"preprocessing": {"intensity_std": -1.0}}, "intensity_std"),
        ({"preprocessing": {"intensity_range": [INFINITE, 1]}}, "intensity_range"),
        ({"preprocessing": {"intensity_range": [10**400, 1]}}, "intensity_range"),
        ({"options": {"width": NAN}}, "options.width"),
        ({"options": {"width": 2**40}}, "options.width"),
        ({"options": {"bottleneck_layers": 10**6}}, "options.bottleneck_layers"),
        ({"options": {"encoder_layers": [10**6]}}, r"options\.encoder_layers\[0\]"),
        ({"options": {"expand": -INFINITE}}, "options.expand"),
        ({"options": {"encoder_layers": nested(300)}}, "more than 50 deep"),
        ({"labels": {1: {"value": 5}}}, r"labels\[1\]\.value is 5, expected 1"),
        ({"labels": {1: {"value": NAN}}}, r"labels\[1\]\.value is nan, expected 1"),
    ],
    ids=str,
)
def test_an_impossible_number_in_a_card_is_refused_by_its_field(folder, change, named):
    card = json.loads((folder / "model.json").read_text())
    places = {
        "preprocessing": card["preprocessing"],
        "options": card["network"]["options"],
        "labels": card["labels"],
    }
    for name, changes in change.items():
        for key, value in changes.items():
            if name == "labels":
                places[name][key] |= value
            else:
                places[name][key] = value
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=named):
        load_model(folder)


def test_more_labels_than_a_mask_can_hold_are_refused(folder):
    card = json.loads((folder / "model.json").read_text())
    edit(folder / "model.json", labels=card["labels"][:1] * 257)
    with pytest.raises(DataError, match="labels has 257 entries, expected 1 to 256"):
        load_model(folder)


@pytest.mark.parametrize("path", [None, 3, b"model", ["model"]])
def test_what_is_no_path_is_no_model(path):
    with pytest.raises(UsageError, match="a model is the path of its folder, got"):
        load_model(path)


@pytest.mark.parametrize("lacks", ["network", "preprocessing", "labels"])
def test_a_card_without_an_entry_is_named_with_it(lacks, folder):
    card = json.loads((folder / "model.json").read_text())
    del card[lacks]
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=rf"model\.json: found .*it lacks {lacks}"):
        load_model(folder)


def test_a_single_changed_bit_of_the_weights_is_seen(folder):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"found weights with SHA-256 .* damaged or of another"):
        load_model(folder)


def test_a_card_of_an_earlier_version_without_a_checksum_is_read(folder):
    card = json.loads((folder / "model.json").read_text())
    assert len(card.pop("weights")["sha256"]) == 64
    (folder / "model.json").write_text(json.dumps(card))
    assert load_model(folder).label_names == ("background", "liver", "tumour")


def test_a_reader_between_the_two_files_of_a_run_waits_for_the_second(folder, monkeypatch):
    whole = (folder / "model.json").read_bytes()
    edit(folder / "model.json", weights={"sha256": "0" * 64})
    monkeypatch.setattr(
        "lightm_unet.models.model_folder.time.sleep",
        lambda _: (folder / "model.json").write_bytes(whole),
    )
    assert load_model(folder).path == folder
