"""The library under AddressSanitizer and UndefinedBehaviorSanitizer."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from c_library import build_once, compile_objects, compiler_or_skip, library_sources
from lightm_unet.models.likeness import fit_profile, measure
from lightm_unet.models.model_folder import add_profile, load_model
from small_models import random_network, write_model

HARNESSES = Path(__file__).parent / "native"
FLAGS = (
    *("-fsanitize=address,undefined,float-divide-by-zero", "-fno-sanitize-recover=all"),
    *("-g1", "-Wall", "-Wextra", "-Werror"),
)
TINY = {"width": 3, "encoder_layers": (1,), "bottleneck_layers": 1}
NORMED = {"stem": "conv-norm", "head": "dwconv-norm"}
ROUNDS = 600

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def programs(pytestconfig, tmp_path_factory):
    """The folder of the programs of native/."""
    compiler, folder = compiler_or_skip(), tmp_path_factory.mktemp("probe")
    probe = folder / "probe.cpp"
    probe.write_text("int main() {}\n")
    built = subprocess.run([compiler, *FLAGS, probe, "-o", folder / "probe"], capture_output=True)
    if built.returncode or subprocess.run([folder / "probe"], capture_output=True).returncode:
        pytest.skip("the sanitizers do not work here")
    own = [*HARNESSES.iterdir(), Path(__file__)]
    return build_once(pytestconfig, "sanitizers", own, build_programs)


def build_programs(folder):
    compiler, sources = compiler_or_skip(), library_sources()
    harnesses = sorted(HARNESSES.glob("*.cpp"))
    objects = folder / "objects"
    parts = compile_objects([compiler], FLAGS, [*sources, *harnesses], objects, ("-O0",))
    for harness, own in zip(harnesses, parts[len(sources) :], strict=True):
        wrapped = ["-Wl,--wrap=aligned_alloc"] if harness.stem == "memory" else []
        command = [compiler, *FLAGS, "-pthread", *parts[: len(sources)], own, *wrapped]
        subprocess.run([*command, "-o", folder / harness.stem], check=True)
    shutil.rmtree(objects)


def with_profile(folder, network, **preprocessing):
    """A model's two files; the profile is that of noise, and there is no digest of the weights.

    The digest would refuse every change of the weights.
    """
    model = load_model(write_model(folder, network, **preprocessing))
    size = (16,) * network.spatial_dims
    cases = []
    for _ in range(20):
        image = torch.randn(network.in_channels, *size)
        with torch.no_grad():
            probabilities = network(image[None])[0].softmax(dim=0)
        cases.append(measure(image, probabilities, model.label_names))
    extents = [(1000, 1000, 1000)] * 20 if len(size) == 3 else []
    add_profile(folder, fit_profile(cases, [], extents))
    card = json.loads((folder / "model.json").read_text())
    del card["weights"]
    (folder / "model.json").write_text(json.dumps(card))
    return [folder / "model.json", folder / "model.safetensors"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files of whole-image and window models in 2D and 3D."""
    folder = tmp_path_factory.mktemp("models")
    batch = {**TINY, **NORMED, "norm": "batch"}
    windows = {"roi_size": (16, 8, 8), "spacing_mm": (1.0, 1.5, 2.0), "normalization": "ct"}
    windows |= {"intensity_range": (0.0, 900.0), "intensity_mean": 100.0, "intensity_std": 200.0}
    return {
        "picture": with_profile(folder / "a", random_network(2, **batch)),
        "volume": with_profile(folder / "b", random_network(3, 1, 2, **batch)),
        "windows": with_profile(
            folder / "c", random_network(3, 1, 2, **TINY, norm="instance"), **windows
        ),
        "paper": with_profile(
            folder / "d", random_network(2, **TINY, stem="dwconv-bias"), roi_size=(16, 16)
        ),
    }


def run(program, *words):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return [int(number) for number in done.stdout.split()]


@pytest.mark.parametrize("name", ["picture", "volume", "windows", "paper"])
def test_no_damage_and_no_absurd_size_is_more_than_an_error(programs, models, name):
    (opened,) = run(programs / "fuzz", ROUNDS, *models[name])
    # Some damage is none; most of it is refused.
    assert ROUNDS / 8 < opened < ROUNDS


@pytest.mark.parametrize("name", ["picture", "volume", "windows", "paper"])
def test_memory_is_as_told_and_its_lack_is_an_error_anywhere(programs, models, name):
    to_open, to_run = run(programs / "memory", *models[name])
    assert to_open > 100
    assert to_run > 20
