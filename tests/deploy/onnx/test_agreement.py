"""When two forms of a network count as the same."""

import numpy as np
import pytest

pytest.importorskip("onnx")

from lightm_unet.deploy.onnx.agreement import check_agreement
from lightm_unet.errors import LightMUNetError


def logits(*first):
    """Two classes, of which the second has 0 everywhere."""
    return np.array([[first, np.zeros(len(first))]], np.float32)


def test_small_differences_are_counted():
    found = check_agreement(logits(3.0, -1.0), logits(3.0001, -1.0))
    assert (found.images, found.voxels, found.other_labels) == (1, 2, 0)
    # sigmoid'(3) = 0.0452
    assert found.difference == pytest.approx(0.0452 * 0.0001, rel=0.05)
    assert str(found).endswith("all labels are the same")


def test_a_label_may_differ_where_both_are_as_likely():
    found = check_agreement(logits(1e-5, 3.0), logits(-1e-5, 3.0))
    assert found.other_labels == 1
    assert str(found).endswith("1 of 2 labels differ")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (logits(3.0), r"ONNX gives logits of \(1, 2, 1\), torch of \(1, 2, 2\)"),
        (logits(3.0, -1.001), "differ by 0.0002; expected 0.0001 at most"),
        (logits(3.0, np.nan), "differ by nan"),
        (logits(3.0, np.inf), "differ by nan"),
    ],
)
def test_other_logits_are_refused(found, message):
    with pytest.raises(LightMUNetError, match=message):
        check_agreement(found, logits(3.0, -1.0))


def test_labels_that_differ_are_refused_even_where_probabilities_are_close():
    with pytest.raises(LightMUNetError, match="different labels"):
        check_agreement(logits(-1.9e-4, 3.0), logits(2.05e-4, 3.0))
