"""The page in one file, opened from a disk."""

import numpy as np
import pytest
from PIL import Image as Picture

import lightm_unet
from browser import needs_chromium, needs_page
from lightm_unet.deploy.export import export
from lightm_unet.errors import UsageError

pytestmark = [needs_page]


@pytest.fixture(scope="module")
def one_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "lungs.html"
    export("lungs", "html", path)
    return path


@needs_chromium
def test_it_opens_from_a_disk_and_gives_the_labels_of_predict(
    visit, one_file, lungs, xray, tmp_path
):
    made = visit(one_file.as_uri())
    made.open([xray])
    (result,) = lightm_unet.predict(lungs.path, [xray], tmp_path)
    expected = np.asarray(Picture.open(result.output))
    assert (made.labels() == expected).mean() >= 0.9995
    assert made.errors == []
    asked = {request.split(":")[0] for request in made.requests}
    assert asked <= {"file", "blob", "data"}
    assert sum(request.startswith("file:") for request in made.requests) == 1


def test_it_is_below_two_megabytes(one_file):
    assert one_file.stat().st_size < 2_000_000


def test_a_model_of_volumes_does_not_fit_into_one_file(tmp_path):
    with pytest.raises(UsageError, match=r"segments volumes.*use --format web"):
        export("hippocampus", "html", tmp_path / "hippocampus.html")
