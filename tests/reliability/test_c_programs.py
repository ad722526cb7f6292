"""Programs in C that hand over what no library can use."""

import ctypes
import json
from ctypes import byref

import numpy as np
import pytest

from c_library import STATUSES, CallFailed, Model, built_library, c_image, grid_of, options
from faults import fault
from small_models import random_network, write_model

SECTION = "Programs in C"
SENTENCE = "a code and a sentence; the model works as before"


@pytest.fixture(scope="module")
def library(pytestconfig):
    """The functions of csrc/capi.h."""
    return built_library(pytestconfig)


@pytest.fixture
def folder(tmp_path):
    """A small model of pictures with two channels."""
    return write_model(tmp_path / "model", random_network())


def works(model):
    logits = model.run_network(np.ones((2, 8, 8)))
    return logits.shape == (3, 8, 8) and bool(np.isfinite(logits).all())


@fault(SECTION, "no image, no grid, sizes of 0, below 0 or of 2^62, 2000 threads", SENTENCE)
def test_absurd_arguments(library, folder):
    floats = np.zeros(64, np.float32).ctypes.data
    with library.model(folder) as model:
        codes = [
            library.run_network(model.handle, None, grid_of([8, 8]), None, floats),
            library.run_network(model.handle, floats, None, None, floats),
            library.run_network(model.handle, floats, grid_of([0, 8]), None, floats),
            library.run_network(model.handle, floats, grid_of([8, -8]), None, floats),
            library.run_network(model.handle, floats, grid_of([2**62, 2**62]), None, floats),
            library.run_network(
                model.handle, floats, grid_of([8, 8]), byref(options(threads=2000)), floats
            ),
        ]
        kinds = {STATUSES[code] for code in codes}
        good = kinds == {"BAD_ARGUMENT", "TOO_LARGE"} and library.error() and works(model)
    return SENTENCE if good else str(codes)


@fault(SECTION, "a volume for a model of pictures; NaN among the voxels", SENTENCE)
def test_images_of_another_kind(library, folder):
    sentences = []
    broken = np.zeros((2, 8, 8), np.float32)
    broken[1, 3, 3] = np.nan
    with library.model(folder) as model:
        for image in (
            c_image(np.zeros((2, 4, 4, 4), np.float32), 3, np.eye(4)),
            c_image(broken, 2),
        ):
            with pytest.raises(CallFailed) as caught:
                model.segment(image)
            sentences.append(str(caught.value))
        good = all(each.startswith("BAD_IMAGE: found ") for each in sentences) and works(model)
    return SENTENCE if good else " / ".join(sentences)


@fault(
    SECTION,
    "model.json or model.safetensors cut short, mixed up or of another network",
    "a code and a sentence that names the file",
)
def test_damaged_models(library, folder):
    card, weights = ((folder / name).read_bytes() for name in ("model.json", "model.safetensors"))
    other = json.loads(card)
    other["network"]["name"] = "nnu-net"
    found = set()
    for json_bytes, weight_bytes in (
        (card[:-20], weights),
        (card, weights[:-20]),
        (weights, card),
        (b"", b""),
        (json.dumps(other).encode(), weights),
    ):
        with pytest.raises(CallFailed) as caught:
            Model(library, json_bytes, weight_bytes)
        known = caught.value.status in ("BAD_MODEL", "UNSUPPORTED_MODEL")
        named = caught.value.sentence.startswith(("model.json", "model.safetensors"))
        found.add("a code and a sentence that names the file" if known and named else str(caught))
    return " / ".join(sorted(found))


@fault(SECTION, "an image that needs more memory than the caller allows", SENTENCE)
def test_a_limit_of_memory(library, folder):
    with library.model(folder) as model:
        limit = model.network_memory((64, 64)) - 1
        with pytest.raises(CallFailed) as caught:
            model.run_network(np.zeros((2, 64, 64)), memory_limit=limit)
        good = caught.value.status == "TOO_LARGE" and works(model)
    return SENTENCE if good else str(caught.value)


@fault(SECTION, "a progress function that asks to stop", SENTENCE)
def test_a_run_that_is_stopped(library, folder):
    with library.model(folder) as model:
        with pytest.raises(CallFailed) as caught:
            model.segment(
                c_image(np.ones((2, 32, 32), np.float32), 2), progress=lambda done: done > 0.3
            )
        good = caught.value.status == "CANCELLED" and works(model)
    return SENTENCE if good else str(caught.value)


@fault(SECTION, "a program that was compiled with another size of a structure", SENTENCE)
def test_a_structure_of_another_size(library, folder):
    wrong = options()
    wrong.struct_size = ctypes.sizeof(wrong) + 8
    floats = np.zeros(256, np.float32).ctypes.data
    with library.model(folder) as model:
        code = library.run_network(model.handle, floats, grid_of([8, 8]), byref(wrong), floats)
        good = STATUSES[code] == "BAD_ARGUMENT" and works(model)
    return SENTENCE if good else STATUSES[code]
