"""The network in C++ against that in Python."""

import os
import signal

import numpy as np
import pytest
import torch

from c_library import CallFailed
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from small_models import random_network, write_model

NORMED = {"stem": "conv-norm", "head": "dwconv-norm"}
OPTIONS = {
    "the paper's": {},
    "stem with biases": {"stem": "dwconv-bias"},
    "full convolution": {"stem": "conv"},
    "norms in the decoder": {"norm": "batch"},
    "norms everywhere": {"norm": "batch", **NORMED},
    "instance norms in the decoder": {"norm": "instance"},
    "instance norms everywhere": {"norm": "instance", **NORMED},
    "a norm in the head": {"norm": "batch", "head": "dwconv-norm", "stem": "conv"},
    "widths": {"width": 16, "bottleneck_width": 37, "expand": 0.5, "d_state": 16, "d_conv": 2},
    "long layers": {"encoder_layers": (3,), "bottleneck_layers": 3, "expand": 1.5, "d_conv": 7},
    "three blocks": {"encoder_layers": (1, 1, 1), "width": 4, "norm": "batch", **NORMED},
}
SHAPES = {2: [(16, 16), (13, 22), (1, 1), (2, 35)], 3: [(8, 8, 8), (5, 9, 14), (1, 1, 1)]}


def difference(network, model, shape, **options):
    """Largest difference of the logits, as a part of the largest logit."""
    torch.manual_seed(1)
    image = torch.randn(network.in_channels, *shape)
    with torch.no_grad():
        expected = network(image[None])[0].numpy()
    found = model.run_network(image.numpy(), **options)
    return np.abs(found - expected).max() / max(1, np.abs(expected).max())


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_logits_are_those_of_python(library, tmp_path, dims, options):
    network = random_network(dims, **options)
    with library.model(write_model(tmp_path, network)) as model:
        for shape in SHAPES[dims]:
            assert difference(network, model, shape) < 1e-5, shape


@pytest.mark.parametrize(("channels", "labels"), [(1, 2), (4, 5), (3, 1)])
def test_any_number_of_channels_and_labels(library, tmp_path, channels, labels):
    network = random_network(2, channels, labels, stem="conv")
    with library.model(write_model(tmp_path, network)) as model:
        assert difference(network, model, (17, 9)) < 1e-5


@pytest.mark.parametrize(("name", "shape"), [("lungs", (96, 131)), ("hippocampus", (24, 33, 17))])
def test_shipped_models(library, name, shape):
    network = load_model(name).network
    with library.model(SHIPPED / name) as model:
        assert difference(network, model, shape) < 1e-5


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_bits_do_not_depend_on_the_number_of_threads(library, tmp_path, dims, norm):
    network = random_network(dims, norm=norm, **NORMED)
    image = np.random.default_rng(0).normal(size=(2, *(41, 70, 23)[:dims]))
    with library.model(write_model(tmp_path, network)) as model:
        one = model.run_network(image)
        for threads in (2, 3, 64):
            np.testing.assert_array_equal(model.run_network(image, threads=threads), one)


def test_nan_comes_out_where_it_came_in(library, tmp_path):
    with library.model(write_model(tmp_path, random_network())) as model:
        image = np.zeros((2, 16, 16), np.float32)
        image[0, 0, 0] = np.nan
        assert np.isnan(model.run_network(image)).any()


def test_progress_rises_to_one(library, tmp_path):
    seen = []
    with library.model(write_model(tmp_path, random_network())) as model:
        model.run_network(np.zeros((2, 9, 9)), progress=seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, pytest.approx(1))
    assert len(seen) > 10


def test_a_cancelled_run_ends_soon_and_the_next_one_is_whole(library, tmp_path):
    network = random_network()
    calls = []

    def stop(done):
        calls.append(done)
        return done > 0.5

    with library.model(write_model(tmp_path, network)) as model:
        with pytest.raises(CallFailed, match="CANCELLED: the progress function asked to stop"):
            model.run_network(np.zeros((2, 32, 32)), progress=stop)
        assert calls[-1] < 1
        assert difference(network, model, (32, 32)) < 1e-5


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_threads_of_its_own(library, tmp_path):
    image = np.random.default_rng(0).normal(size=(2, 64, 64))
    with library.model(write_model(tmp_path, random_network())) as model:
        expected = model.run_network(image, threads=2)
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # its parent's threads do not exist here: it must not wait for them
            same = (model.run_network(image, threads=2) == expected).all()
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_a_model_is_used_by_one_call_at_a_time(library, tmp_path):
    refused = []
    with library.model(write_model(tmp_path, random_network())) as model:

        def call_again(_):
            with pytest.raises(CallFailed, match=r"BAD_ARGUMENT: the model is in use") as caught:
                model.run_network(np.zeros((2, 8, 8)))
            refused.append(caught.value.status)

        model.run_network(np.zeros((2, 8, 8)), progress=call_again)
    assert set(refused) == {"BAD_ARGUMENT"}
