"""ONNX files that would compute something else, or that nobody could use."""

import pytest
import torch

from faults import fault
from lightm_unet.deploy.onnx import agreement
from lightm_unet.models.model_folder import save_model
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.preprocessing import Preprocessing

SECTION = "ONNX files"
ONE_LINE = "one line for each, nothing is written, an earlier file is kept"


@pytest.fixture
def model(tmp_path):
    """A small model's folder."""
    pytest.importorskip("onnxruntime")
    network = build_network("lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1", 2, 1, 2)
    folder = tmp_path / "model"
    preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(16, 16))
    save_model(folder, network, preprocessing, ("background", "lung"), ("X-ray",), {}, {})
    return folder


def refusals(run, file, *commands):
    """What commands that must be refused leave behind."""
    file.write_bytes(b"earlier")
    codes = set()
    for words in commands:
        code, printed, error = run("export", *words)
        if printed or error.count("\n") != 1 or "Traceback" in error:
            return f"{words}: {printed} {error}"
        codes.add(code)
    kept = file.read_bytes() == b"earlier"
    left = sorted(path.name for path in file.parent.iterdir())
    kept = kept and left == sorted({file.name, "model"})
    return (
        f"{ONE_LINE if kept else f'left {left}'}, exit code {' or '.join(map(str, sorted(codes)))}"
    )


@fault(
    SECTION,
    "`export` to an unknown format, with unknown operators, a size of nothing, of three numbers or "
    "of none, into a folder's name or below a file, or of a model that is not there",
    f"{ONE_LINE}, exit code 2",
)
def test_wrong_words(run, model, tmp_path):
    file = tmp_path / "model.onnx"
    to = ("--format", "onnx", "--output", file)
    return refusals(
        run,
        file,
        (model, "--format", "tflite", "--output", file),
        (model, *to, "--operators", "loops"),
        (model, *to, "--size", "0x16"),
        (model, *to, "--size", "8x8x8"),
        (model, *to, "--size", "large"),
        (model, "--format", "onnx", "--output", model),
        (model, "--format", "onnx", "--output", file / "below.onnx"),
        (tmp_path / "none", *to),
    )


@fault(
    SECTION,
    "a network whose ONNX form gives other probabilities, NaN, or logits of another shape",
    f"{ONE_LINE}, exit code 1",
)
def test_another_result(run, model, tmp_path, monkeypatch):
    file = tmp_path / "model.onnx"
    exact, found = agreement._definition, set()
    for change in (
        lambda logits: logits + torch.tensor([0, 0.01]).reshape(2, 1, 1).numpy(),
        lambda logits: logits * float("nan"),
        lambda logits: logits[..., 1:],
    ):
        monkeypatch.setattr(agreement, "_definition", lambda *a, f=change: f(exact(*a)))
        found.add(refusals(run, file, (model, "--format", "onnx", "--output", file)))
    return " / ".join(sorted(found))


@fault(
    SECTION,
    "a damaged model",
    f"{ONE_LINE}, exit code 3",
)
def test_a_damaged_model(run, model, tmp_path):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    file = tmp_path / "model.onnx"
    return refusals(run, file, (model, "--format", "onnx", "--output", file))


@fault(
    SECTION,
    "an image of one pixel, a line, and one that no halving divides, to a file for any size",
    "the labels of torch",
)
def test_sizes_that_must_be_padded(run, model, tmp_path):
    import onnxruntime

    from lightm_unet.models.model_folder import load_model

    file = tmp_path / "model.onnx"
    code, _, error = run("export", model, "--format", "onnx", "--output", file)
    if code:
        return error
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    network = load_model(model).network
    same = True
    for size in ((1, 1), (1, 33), (31, 17)):
        image = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = network(image).argmax(1).numpy()
        same &= bool((session.run(None, {"image": image.numpy()})[0].argmax(1) == expected).all())
    return "the labels of torch" if same else "other labels"
