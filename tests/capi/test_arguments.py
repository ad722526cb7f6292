"""Calls that no model could do: each gives a code and a sentence."""

import ctypes
import subprocess
import sys
from ctypes import POINTER, byref, c_float, c_uint64, c_void_p

import numpy as np
import pytest

from c_library import (
    PROGRESS,
    STATUSES,
    CallFailed,
    CImage,
    COptions,
    CResult,
    c_image,
    grid_of,
)
from small_models import random_network, write_model


@pytest.fixture(scope="module")
def model(library, tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("model"), random_network())
    with library.model(folder) as opened:
        yield opened


def refusal(library, code):
    """A status and the beginning of its sentence."""
    assert code, "the call succeeded"
    return f"{STATUSES[code]}: {library.error().decode()}"


def test_the_library_knows_its_version(library):
    assert library.abi() == 1
    assert library.version()


def test_a_model_tells_what_it_is(library, model):
    handle = model.handle
    assert (library.dims(handle), library.channels(handle), library.label_count(handle)) == (
        2,
        2,
        3,
    )
    assert library.label_name(handle, 2) == b"label 2"
    assert library.label_colour(handle, 0) == 0
    assert library.label_colour(handle, 1) == 230 << 16 | 159 << 8
    for label in (-1, 3, 2**31 - 1):
        assert library.label_name(handle, label) is None
        assert library.label_colour(handle, label) == 0


def test_null_is_refused_everywhere(library, model):
    out, floats, image = c_void_p(1), np.zeros(64, np.float32).ctypes.data, CImage()
    image.struct_size = ctypes.sizeof(CImage)
    calls = {
        "no model": library.run_network(None, floats, grid_of([8, 8]), None, floats),
        "no input": library.run_network(model.handle, None, grid_of([8, 8]), None, floats),
        "no logits": library.run_network(model.handle, floats, grid_of([8, 8]), None, None),
        "no grid": library.run_network(model.handle, floats, None, None, floats),
        "no place for bytes": library.network_memory(model.handle, grid_of([8, 8]), None, None),
        "memory of no model": library.network_memory(
            None, grid_of([8, 8]), None, byref(c_uint64())
        ),
        "no image": library.segment(model.handle, None, None, byref(CResult())),
        "no result": library.segment(model.handle, byref(image), None, None),
        "segment with no model": library.segment(None, byref(image), None, byref(CResult())),
        "memory of no image": library.memory(model.handle, None, None, byref(c_uint64())),
        "no text": library.open(None, 3, b"123", 3, byref(out)),
        "no weights": library.open(b"{}", 2, None, 3, byref(out)),
        "no place for a model": library.open(b"{}", 2, b"123", 3, None),
    }
    assert {name: STATUSES[code] for name, code in calls.items()} == dict.fromkeys(
        calls, "BAD_ARGUMENT"
    )
    assert out.value is None
    library.close(None)
    library.release_memory(None)
    assert (library.dims(None), library.label_count(None), library.label_name(None, 0)) == (
        0,
        0,
        None,
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"threads": -1}, "options->threads is -1, expected 0 to 1024"),
        ({"threads": 1025}, "options->threads is 1025, expected 0 to 1024"),
        ({"overlap": -0.1}, "options->overlap needs a number from 0 to below 1"),
        ({"overlap": 1.0}, "options->overlap needs a number from 0 to below 1"),
        ({"overlap": float("nan")}, "options->overlap needs a number from 0 to below 1"),
    ],
)
def test_options_that_mean_nothing(model, given, sentence):
    with pytest.raises(CallFailed) as caught:
        model.run_network(np.zeros((2, 8, 8)), **given)
    assert str(caught.value) == f"BAD_ARGUMENT: {sentence}"


def test_zero_threads_are_one(model):
    image = np.ones((2, 8, 8))
    np.testing.assert_array_equal(model.run_network(image, threads=0), model.run_network(image))


@pytest.mark.parametrize(
    ("grid", "refused"),
    [
        ((0, 8), "BAD_ARGUMENT: the sizes are 0 x 8, expected 1 and more"),
        ((8, -1), "BAD_ARGUMENT: the sizes are 8 x -1, expected 1 and more"),
        (
            (-(2**63), 8),
            "BAD_ARGUMENT: the sizes are -9223372036854775808 x 8, expected 1 and more",
        ),
        ((8, 100_001), "TOO_LARGE: the sizes are 8 x 100001, expected at most 100000"),
        ((2**62, 2**62), "TOO_LARGE: the sizes are 4611686018427387904 x 4611686018427387904, "),
    ],
)
def test_sizes_that_no_image_has(library, model, grid, refused):
    bytes_needed = c_uint64(5)
    code = library.network_memory(model.handle, grid_of(grid), None, byref(bytes_needed))
    assert refusal(library, code).startswith(refused)
    floats = np.zeros(64, np.float32).ctypes.data
    code = library.run_network(model.handle, floats, grid_of(grid), None, floats)
    assert refusal(library, code).startswith(refused)
    assert bytes_needed.value == 5


@pytest.mark.parametrize("size", [0, 8, 47, 49, 56, 2**64 - 1])
def test_a_structure_of_another_size(library, model, size):
    wrong = COptions(size, 1, 0.5, 0, PROGRESS(), None)
    floats = np.zeros(64, np.float32).ctypes.data
    code = library.run_network(model.handle, floats, grid_of([4, 4]), byref(wrong), floats)
    assert refusal(library, code).startswith(
        f"BAD_ARGUMENT: options->struct_size is {size}, expected sizeof, "
    )


def test_images_that_fit_no_model(library, model):
    values = np.zeros((2, 8, 8), np.float32)
    labels = np.zeros((8, 8), np.uint8)
    result = CResult(ctypes.sizeof(CResult), labels.ctypes.data_as(POINTER(ctypes.c_uint8)))

    def segment(change):
        image = c_image(values, 2)
        change(image)
        code = library.segment(model.handle, byref(image), None, byref(result))
        return refusal(library, code)

    def set_shape(image, *sizes):
        image.shape[: len(sizes)] = sizes

    assert segment(lambda i: setattr(i, "dims", 4)).startswith("BAD_ARGUMENT: image->dims is 4")
    assert segment(lambda i: set_shape(i, 0, 8)).startswith("BAD_ARGUMENT: image->shape is 0 x 8")
    assert segment(lambda i: set_shape(i, 2**62, 2**62)).startswith("TOO_LARGE")
    assert segment(lambda i: setattr(i, "values", POINTER(c_float)())).startswith(
        "BAD_ARGUMENT: image->values"
    )
    assert segment(lambda i: setattr(i, "struct_size", 3)).startswith(
        "BAD_ARGUMENT: image->struct_size is 3"
    )
    result.labels = None
    assert segment(lambda i: None).startswith("BAD_ARGUMENT: image->values or result->labels")


def test_errors_belong_to_their_thread(library, model):
    """The last sentence of one thread is not that of another."""
    from concurrent.futures import ThreadPoolExecutor

    code = library.run_network(None, None, None, None, None)
    assert STATUSES[code] == "BAD_ARGUMENT"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(library.error).result() == b""
    assert library.error().startswith(b"model, input or logits")


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not bound memory so")
def test_memory_that_the_system_does_not_give(library, tmp_path):
    write_model(tmp_path, random_network())
    script = f"""
import resource, sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
import c_library, numpy as np
library = c_library.Library(Path({str(library.path)!r}))
with library.model(Path({str(tmp_path)!r})) as model:
    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    floats = np.zeros(64, np.float32).ctypes.data
    grid = c_library.grid_of([20000, 20000])
    print(c_library.STATUSES[library.run_network(model.handle, floats, grid, None, floats)])
    print(library.error().decode())
    print(model.run_network(np.zeros((2, 8, 8))).shape)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    status, sentence, shape = done.stdout.splitlines()
    assert (done.returncode, done.stderr, status, shape) == (0, "", "NO_MEMORY", "(3, 8, 8)")
    assert sentence.startswith("the system did not give ")
