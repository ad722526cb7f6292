"""Whole models: every network, both forms, in other programs, and what is refused."""

import json
import os

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime

import lightm_unet
from lightm_unet.deploy.onnx import agreement, write
from lightm_unet.deploy.onnx.trace import OPSET
from lightm_unet.errors import LightMUNetError, UsageError
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.shipped_models import shipped_names
from lightm_unet.networks.registry import build_network, network_names

FEW_LAYERS = "encoder_layers=[1,1]:bottleneck_layers=1"
AUTHORS = "init_filters=8:blocks_down=[1,1]:blocks_up=[1]"
SMALLER = {
    "lightm-unet": f"width=8:{FEW_LAYERS}",
    "lightm-unet-small": "encoder_layers=[1,1]",
    "lightm-unet-tiny": FEW_LAYERS,
    "lightm-unet-nano": "encoder_layers=[1,1]",
    "lightm-unet-released": AUTHORS,
    "lightm-unet-first-upload": AUTHORS,
    "vssm-to-conv3": AUTHORS,
    "vssm-to-self-attention": AUTHORS,
    "without-adjustment-factors": AUTHORS,
    "without-residual-connections": AUTHORS,
    "nnu-net": "features=[8,16,16]",
    "segresnet": "init_filters=8",
    "unetr": "feature_size=4:hidden_size=24:mlp_dim=24:num_heads=3",
    "swin-unetr": "feature_size=12",
    "u-mamba": "features=[8,16,16]",
    "u-mamba-encoder": "features=[8,16,16]",
    "lwnet": "features=[8,16]",
}
"""Options of networks whose defaults take long."""


def probabilities(logits):
    return torch.from_numpy(np.asarray(logits)).softmax(1).numpy()


def session_of(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_the_file_takes_batches_and_images_of_any_size(make_model, tmp_path):
    folder, file = make_model(), tmp_path / "model.onnx"
    written = lightm_unet.export(folder, "onnx", file)
    assert written.path == file
    assert written.bytes == file.stat().st_size
    assert written.checked.startswith("compared with torch on 3 inputs: probabilities differ by")
    assert written.checked.endswith("takes images of any size")
    network, session = load_model(folder).network, session_of(file)
    for batch, size in ((1, (16, 16)), (3, (1, 1)), (2, (17, 40))):
        image = torch.randn(batch, 1, *size)
        with torch.inference_mode():
            expected = probabilities(network(image))
        (logits,) = session.run(None, {"image": image.numpy()})
        np.testing.assert_allclose(probabilities(logits), expected, rtol=0, atol=1e-4)


def test_of_basic_operators_it_takes_one_size(make_model, tmp_path):
    file = tmp_path / "model.onnx"
    written = lightm_unet.export(make_model(), "onnx", file, operators="basic", size=(11, 20))
    assert written.checked.endswith("takes images of 11x20")
    (image,) = session_of(file).get_inputs()
    assert image.shape == [1, 1, 11, 20]
    operators = {node.op_type for node in onnx.load(file).graph.node}
    assert not operators & {"Scan", "Loop", "If", "CumSum"}


def test_volumes_are_exported_too(make_model, tmp_path):
    file = tmp_path / "model.onnx"
    lightm_unet.export(make_model(spatial_dims=3), "onnx", file)
    assert session_of(file).get_inputs()[0].shape == ["batch", 1, "i", "j", "k"]


def test_a_caller_finds_in_the_file_what_it_must_know(make_model, tmp_path):
    folder, file = make_model(channels=2), tmp_path / "model.onnx"
    lightm_unet.export(folder, "onnx", file)
    proto = onnx.load(file)
    known = {each.key: each.value for each in proto.metadata_props}
    card = json.loads((folder / "model.json").read_text())
    assert known["lightm_unet"] == proto.producer_version == lightm_unet.__version__
    assert known["weights"] == card["weights"]["sha256"]
    for entry in ("labels", "preprocessing", "network", "channels"):
        assert json.loads(known[entry]) == card[entry]
    assert (known["input_size"], known["sizes"]) == ("16x16", "any")
    assert "Resize to 16x16" in known["caller"]
    assert [each.version for each in proto.opset_import] == [OPSET]


def test_a_model_of_patches_says_how_its_windows_are_laid(make_model, tmp_path):
    ct = {
        "normalization": "ct",
        "intensity_range": (-100.0, 300.0),
        "intensity_mean": 50.0,
        "intensity_std": 60.0,
    }
    folder = make_model(spatial_dims=3, roi_size=(8, 8, 16), spacing_mm=(1.5, 1.5, 3.0), **ct)
    file = tmp_path / "model.onnx"
    lightm_unet.export(folder, "onnx", file, operators="basic")
    known = {each.key: each.value for each in onnx.load(file).metadata_props}
    assert (known["input_size"], known["sizes"]) == ("8x8x16", "fixed")
    for part in (
        "voxel size of 1.5 x 1.5 x 3 mm",
        "windows of 8x8x16 that overlap by half",
        "low -100 and high 300",
        "Subtract 50 and divide by 60",
        "Gaussian weights",
    ):
        assert part in known["caller"]


def agrees(spec, size, form):
    """Build a graph and compare it; whether it takes images of any size."""
    torch.manual_seed(2)
    network = build_network(spec, len(size), 1, 2, image_size=(64,) * len(size)).eval()
    proto, any_size = write.build_graph(network, size, form)
    images = write._images(network, size, form, any_size)
    found = agreement.compare(proto.SerializeToString(), network, images)
    assert found.images == (3 if any_size else 2)
    return any_size


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", network_names())
def test_every_network_has_an_onnx_form(name, dims):
    if name not in network_names(dims):
        pytest.skip(f"{name} takes 2D images only")
    spec = f"{name}:{SMALLER[name]}" if name in SMALLER else name
    if "unetr" in name:  # of one size
        assert not agrees(spec, (32, 32, 64)[3 - dims :], "scan")
    else:
        assert agrees(spec, (20, 9, 17)[3 - dims :], "scan")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["scan", "basic"])
@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (f"lightm-unet:width=4:directions=4:conv=spatial:{FEW_LAYERS}", (17, 12)),
        (f"lightm-unet:width=4:directions=2:norm=instance:{FEW_LAYERS}", (5, 6, 9)),
        ("lightm-unet-nano:encoder_layers=[1,1]", (3, 2)),
        ("u-mamba-encoder:features=[8,16,16]", (12, 21)),
        ("segresnet:init_filters=8", (20, 9)),
    ],
)
def test_every_option_has_both_forms(spec, size, form):
    assert agrees(spec, size, form) == (form == "scan")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["scan", "basic"])
@pytest.mark.parametrize("name", shipped_names())
def test_shipped_models_give_the_same_labels_elsewhere(name, form, tmp_path):
    """On the model's own size, on a picture that is smooth as real ones are."""
    model, file = load_model(name), tmp_path / "model.onnx"
    lightm_unet.export(name, "onnx", file, operators=form)
    rng = torch.Generator().manual_seed(3)
    coarse = torch.randn(1, 1, *(5,) * model.preprocessing.spatial_dims, generator=rng)
    mode = {2: "bilinear", 3: "trilinear"}[model.preprocessing.spatial_dims]
    image = torch.nn.functional.interpolate(coarse, model.preprocessing.size, mode=mode)
    with torch.inference_mode():
        expected = probabilities(model.network(image))
    (logits,) = session_of(file).run(None, {"image": image.numpy()})
    np.testing.assert_allclose(probabilities(logits), expected, rtol=0, atol=2e-4)
    assert (logits.argmax(1) == expected.argmax(1)).mean() >= 0.9995


@pytest.mark.parametrize("form", ["scan", "basic"])
def test_openvino_runs_it(form, make_model, tmp_path):
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    folder, file = make_model(), tmp_path / "model.onnx"
    lightm_unet.export(folder, "onnx", file, operators=form)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(file), "CPU", exact)
    network = load_model(folder).network
    for batch, size in ((1, (16, 16)), (2, (9, 21)))[: 2 if form == "scan" else 1]:
        image = torch.randn(batch, 1, *size)
        with torch.inference_mode():
            expected = probabilities(network(image))
        logits = compiled({"image": image.numpy()})["logits"]
        np.testing.assert_allclose(probabilities(logits), expected, rtol=0, atol=1e-4)


def test_a_form_that_computes_something_else_is_not_written(make_model, tmp_path, monkeypatch):
    build = write.build_graph

    def spoilt(*args):
        proto, any_size = build(*args)
        (bias,) = (w for w in proto.graph.initializer if w.name.endswith("head.pointwise.bias"))
        values = onnx.numpy_helper.to_array(bias) + np.array([0, 0.01], np.float32)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return proto, any_size

    monkeypatch.setattr(write, "build_graph", spoilt)
    file = tmp_path / "out" / "model.onnx"
    with pytest.raises(LightMUNetError, match=r"under ONNX and torch differ by .* nothing was"):
        lightm_unet.export(make_model(), "onnx", file)
    assert not os.path.lexists(file)


def test_a_network_beyond_one_file_is_refused(make_model, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "LARGEST", 1000)
    with pytest.raises(UsageError, match="an ONNX file holds 2 GB at most"):
        lightm_unet.export(make_model(), "onnx", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
