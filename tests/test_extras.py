"""Without any extra the package predicts, scores and counts; a verb that needs one says so first.

Each verb runs in a process where the extras' packages cannot be imported, as where they are not
installed.
"""

import json
import subprocess
import sys

import pytest

from lightm_unet.system.extras import EXTRAS

OPTIONAL = sorted({name.replace("-", "_") for names in EXTRAS.values() for name in names})
# Also refuses them to libraries that would use them if they could, such as MONAI.
WITHOUT_EXTRAS = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
for name in {OPTIONAL}:
    sys.modules[name] = None
"""
ONE_COMMAND = (
    WITHOUT_EXTRAS
    + """
from lightm_unet.cli import main
main()
"""
)
COMMANDS_IN_TURN = (
    WITHOUT_EXTRAS
    + """
import contextlib, io, json
from lightm_unet.cli import main

answers = []
for words in json.loads(sys.argv[1]):
    sys.argv[1:], out, code = words, io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(out):
            main()
    except SystemExit as end:
        code = end.code or 0
    answers.append((code, out.getvalue()))
print(json.dumps(answers))
"""
)
TINY = "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1"


@pytest.fixture
def run_without_extras():
    """Run the command without extras; returns exit code, standard output and error."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-c", ONE_COMMAND, *map(str, words)],
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def model_and_data(tmp_path_factory):
    """A model folder, trained by a process that has the extras, and its data set."""
    import lightm_unet

    folder = tmp_path_factory.mktemp("trained")
    lightm_unet.write_phantom_dataset(folder / "data", "xray", cases=5, size=32)
    run = lightm_unet.train(
        folder / "data",
        folder / "run",
        size=(32, 32),
        epochs=1,
        device="cpu",
        architecture="unetr",  # MONAI builds it with einops
        network={"feature_size": 8, "hidden_size": 16, "mlp_dim": 16, "num_heads": 2},
        batch_size=1,
    )
    return run.model, folder / "data"


def test_the_verbs_that_need_no_extra_work(model_and_data, tmp_path):
    """In one process: torch is loaded once."""
    model, data = model_and_data
    bench = ("bench", TINY, "--size", "8x8", "--rounds", 1, "--threads", 1)
    expected = {
        ("doctor",): "pip install 'lightm-unet[train]' (no pytorch-lightning, ",
        ("phantom", "ct", tmp_path / "ct", "--cases", 2, "--size", 32): "2 cases",
        ("check-dataset", data): "5 cases, 0 problems",
        ("count", "--size", "64x64"): "swin-unetr",
        ("predict", model, data / "imagesTr", "--output", tmp_path / "masks"): "5 masks written",
        ("evaluate", tmp_path / "masks", data): "DSC",
        bench: "lightm-unet",
        (*bench, "--what", "train"): "lightm-unet",
    }
    commands = json.dumps([list(map(str, words)) for words in expected])
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS_IN_TURN, commands], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for (words, printed), (code, out) in zip(
        expected.items(), json.loads(done.stdout), strict=True
    ):
        assert code == 0, (words, out, done.stderr)
        assert printed in out


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (
            ("train", "nowhere", "--output", "OUT"),
            "training needs pytorch-lightning, torchmetrics, tensorboard, which are not installed; "
            "pip install 'lightm-unet[train]'",
        ),
        (
            ("compare", "nowhere", "--output", "OUT"),
            "training networks needs pytorch-lightning, torchmetrics, tensorboard, which are not "
            "installed; pip install 'lightm-unet[train]'",
        ),
        (
            ("compare", "nowhere", "--output", "OUT", "--report-only"),
            "a comparison's report needs jinja2, matplotlib, which are not installed; "
            "pip install 'lightm-unet[report]'",
        ),
        (
            ("evaluate", "nowhere", "nowhere", "--output", "OUT"),
            "a report needs jinja2, which is not installed; pip install 'lightm-unet[report]'",
        ),
        (
            ("bench", "--output", "OUT"),
            "drawing the latencies needs matplotlib, which is not installed; "
            "pip install 'lightm-unet[report]'",
        ),
        (
            ("serve", "nowhere"),
            "a server needs fastapi, uvicorn, python-multipart, prometheus-client, which are not "
            "installed; pip install 'lightm-unet[serve]'",
        ),
        (
            ("bench", "--engine", "onnxruntime"),
            "measuring under ONNX Runtime needs onnx, onnxruntime, which are not installed; "
            "pip install 'lightm-unet[onnx]'",
        ),
        (
            ("export", "nowhere", "--format", "onnx", "--output", "OUT"),
            "an ONNX file needs onnx, onnxruntime, which are not installed; "
            "pip install 'lightm-unet[onnx]'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_verb_that_needs_an_extra_names_it_in_one_line_before_any_work(
    run_without_extras, tmp_path, verb, message
):
    words = [tmp_path / word if word in ("nowhere", "OUT") else word for word in verb]
    assert run_without_extras(*words) == (4, "", f"lightm-unet: {message}\n")
    assert list(tmp_path.iterdir()) == []
