"""The kernels as WebAssembly, run by node as the page does: Python's results in every build."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from browser_page import PAGE, needs_node
from c_library import build_once
from lightm_unet.datasets.phantom.chest import draw_chest
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image, image_from_array
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.predict_image import image_logits, judge_image
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from small_models import random_network, write_model

SHIPPED_KERNELS = PAGE.parent / "src" / "lightm_unet" / "deploy" / "site" / "engine"
KERNELS = Path(os.environ.get("LIGHTM_UNET_KERNELS", SHIPPED_KERNELS))
THREADED = [f"{name}-threads-{count}" for name in ("simd", "relaxed") for count in (1, 2, 3)]
BUILDS = ["simd-1", "relaxed-1", *THREADED]
OBLIQUE = np.array([[0.1, -1.2, 0.2, 5], [0.9, 0.1, 0.0, -9], [0.0, 0.3, -1.1, 2], [0, 0, 0, 1]])


def node(*words):
    """Run node, where relaxed SIMD may still need to be asked for."""
    flag = "--experimental-wasm-relaxed-simd"
    knows = subprocess.run(["node", flag, "-e", ""], capture_output=True).returncode == 0
    done = subprocess.run(
        ["node", *([flag] if knows else []), *map(str, words)],
        env={**os.environ, "LIGHTM_UNET_KERNELS": str(KERNELS)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Case:
    """A model, an image, and what Python makes of it."""

    model: Path
    image: Image

    def __post_init__(self):
        model = load_model(self.model)
        self.expected = image_logits(model, self.image)
        with torch.inference_mode():
            self.network_logits = model.network(self.expected.image[None])[0].numpy()
        profile = model.profile
        self.judgement = profile and judge_image(profile, self.expected, model.label_names)

    def write(self, folder: Path, number: int) -> dict:
        """For segment.mjs."""
        paths = folder / f"{number}.values", folder / f"{number}.input"
        np.ascontiguousarray(self.image.array, "f4").tofile(paths[0])
        self.expected.image.numpy().astype("f4").tofile(paths[1])
        geometry = self.image.geometry
        return {
            "model": str(self.model),
            "shape": geometry.shape,
            "values": str(paths[0]),
            "affine": None if geometry.is_picture else geometry.affine.ravel().tolist(),
            "grid": list(self.expected.image.shape[1:]),
            "input": str(paths[1]),
        }


def balanced(network, image: Image):
    """The network, with a last bias by which an image gets all labels."""
    with torch.inference_mode():
        logits = network(torch.from_numpy(image.array[None]).float())[0]
        [*_, bias] = network.parameters()
        bias -= logits.flatten(1).mean(dim=1)
    return network


def waves(shape, affine) -> Image:
    """Smooth with some noise."""
    random = np.random.default_rng(1)
    places = np.meshgrid(*(np.arange(length) for length in shape), indexing="ij")
    array = sum(np.sin(p * random.uniform(0.1, 0.4)) for p in places) * 100
    return image_from_array(
        (array + random.normal(0, 10, shape))[None], Geometry(shape, affine), "image"
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The cases, and the folder with what the engine makes of them."""
    folder = tmp_path_factory.mktemp("engine")
    xray = draw_chest(330, 4)[0].astype("f4")
    xray = image_from_array(xray[None], Geometry(xray.shape, np.eye(4)), "X-ray")
    picture = waves((72, 48), np.eye(4))
    windows = balanced(random_network(2, 1, 3), picture)
    cases = [
        Case(SHIPPED / "lungs", xray),
        Case(SHIPPED / "hippocampus", waves((35, 51, 37), OBLIQUE)),
        Case(write_model(folder / "windows", windows, roi_size=(40, 24)), picture),
    ]
    described = [case.write(folder, number) for number, case in enumerate(cases)]
    (folder / "cases.json").write_text(json.dumps(described))
    node(PAGE / "tests" / "support" / "segment.mjs", folder / "cases.json", folder)
    return cases, folder


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS)
def test_labels_and_judgement_are_pythons(found, build):
    cases, folder = found
    for number, case in enumerate(cases):
        labels = np.fromfile(folder / f"{number}_{build}.u8", "u1")
        assert (labels == case.expected.labels.ravel()).mean() >= 0.9995
        assert len(np.unique(labels)) > 1
        unlike = json.loads((folder / f"{number}_{build}.json").read_text())["unlike"]
        if case.judgement is None or not case.judgement.unlike:
            assert unlike is None
        else:
            assert unlike["score"] == pytest.approx(case.judgement.score, abs=1e-3)
            assert unlike["limit"] == case.judgement.limit
            assert unlike["mostUnusual"] == case.judgement.most_unusual


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("build", ["simd", "relaxed"])
def test_logits_are_pythons(found, build):
    cases, folder = found
    for number, case in enumerate(cases):
        logits = np.fromfile(folder / f"{number}_{build}-1.f32", "f4")
        expected = case.network_logits.ravel()
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@needs_node
@pytest.mark.slow
def test_the_workers():
    node("--test", PAGE / "tests" / "engine.test.mjs")


@pytest.mark.skipif(find_spec("ziglang") is None, reason="needs the extra page, for its compiler")
@pytest.mark.slow
def test_the_shipped_kernels_are_those_of_the_sources(pytestconfig):
    script = PAGE / "build_kernels.py"

    def build(folder):
        subprocess.run([sys.executable, script, "--output", folder], check=True)

    version = [sys.executable, "-m", "ziglang", "version"]
    folder = build_once(pytestconfig, "webassembly", [script], build, version)
    built = {path.name: path.read_bytes() for path in folder.iterdir()}
    shipped = {path.name: path.read_bytes() for path in SHIPPED_KERNELS.iterdir()}
    stale = sorted(name for name in built if built[name] != shipped.get(name))
    assert not stale, "not those of csrc; run page/build_kernels.py and commit what it writes"
    assert sorted(built) == sorted(shipped)
