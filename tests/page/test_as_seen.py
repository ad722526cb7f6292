"""A slice is shown as Python's pictures of it are."""

import itertools
import json

import numpy as np

import browser_page
from lightm_unet.imaging.geometry import Geometry, canonical_axes

pytestmark = browser_page.needs_node


def test_rows_and_columns_are_those_of_canonical_axes(tmp_path):
    cases, expected = [], []
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = 2 * (np.eye(3) * signs)[:, order]
            axes, flips = canonical_axes(Geometry((3, 4), affine))
            seen = values.transpose(axes)
            for axis, flipped in enumerate(flips):
                seen = np.flip(seen, axis) if flipped else seen
            cases.append({"shape": [3, 4], "affine": affine.ravel().tolist()})
            expected.append(seen.tolist())
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    found = json.loads(browser_page.node("as_seen.mjs", tmp_path / "cases.json"))
    assert found == expected
