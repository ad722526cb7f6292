"""A training on native layers is the training that the composed network would do."""

import pytest

from composed import composed_form
from lightm_unet.ops import backends
from run_checks import assert_same_training, log_of

pytestmark = pytest.mark.skipif(
    not backends()[0].available, reason="the native kernels were not built"
)
NETWORK = {
    "width": 8,
    "encoder_layers": (1, 1),
    "bottleneck_layers": 1,
    "norm": "batch",
    "stem": "conv-norm",
    "head": "dwconv-norm",
}


@pytest.mark.parametrize("kind", ["xray", "ct"])
def test_three_epochs_have_the_losses_of_the_composed_network(kind, request, tmp_path, train_tiny):
    """Not its scores: a voxel between two classes changes sides with the last bit."""
    settings = {"network": NETWORK, "recipe": "adamw", "epochs": 3}
    dataset = request.getfixturevalue(kind)
    native = train_tiny(dataset, tmp_path / "native", **settings)
    with composed_form():
        composed = train_tiny(dataset, tmp_path / "composed", **settings)
    for found, expected in zip(log_of(native.folder), log_of(composed.folder), strict=True):
        assert float(found["train_loss"]) == pytest.approx(float(expected["train_loss"]), abs=1e-3)


def test_the_same_seed_learns_the_same_to_the_last_bit_on_several_threads(
    xray, tmp_path, train_tiny, threads
):
    settings = {"network": NETWORK, "recipe": "adamw", "epochs": 2}
    threads(3)
    one = train_tiny(xray, tmp_path / "one", **settings)
    again = train_tiny(xray, tmp_path / "again", **settings)
    assert_same_training(one.folder, again.folder)
