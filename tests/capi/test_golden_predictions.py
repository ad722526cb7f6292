"""tests/golden/predictions.json holds for Python and the C API, as for the browser page."""

import numpy as np
import pytest

from c_library import CallFailed, c_image
from golden_predictions import FOLDER, NAME, decoded, image_of, predicted, read_predictions
from lightm_unet.errors import DataError

PREDICTIONS = read_predictions()


def by_name(entries):
    return [pytest.param(entry, id=entry["name"]) for entry in entries]


def segment(library, entry):
    """The C API's labels and judgement of an entry's image, which may be anything."""
    held = decoded(entry["values"], (1, *entry["shape"]))
    with np.errstate(over="ignore"):
        array = (entry["offset"] + entry["scale"] * held.astype(np.float64)).astype(np.float32)
    affine = None if entry["affine"] is None else np.reshape(entry["affine"], (4, 4))
    with library.model(FOLDER / entry["model"]) as model:
        labels, _, result = model.segment(c_image(array, len(entry["shape"]), affine))
        return labels, result.score, result.limit, bool(result.unlike), result.most_unusual.decode()


@pytest.mark.parametrize("entry", by_name(PREDICTIONS["cases"]))
def test_the_predictions_are_pythons(entry):
    found = predicted(entry)
    labels, expected = (decoded(each["labels"], entry["shape"]) for each in (found, entry))
    assert (labels == expected).mean() >= 0.9995
    assert found["score"] == pytest.approx(entry["score"], abs=1e-3)
    for key in ("limit", "unlike", "most_unusual"):
        assert found[key] == entry[key]


@pytest.mark.parametrize("entry", by_name(PREDICTIONS["cases"]))
def test_the_c_api_gives_the_same(library, entry):
    labels, score, *judgement = segment(library, entry)
    assert (labels == decoded(entry["labels"], entry["shape"])).mean() >= 0.9995
    assert score == pytest.approx(entry["score"], abs=1e-3)
    assert judgement == [entry[key] for key in ("limit", "unlike", "most_unusual")]


@pytest.mark.parametrize("entry", by_name(PREDICTIONS["refused"]))
def test_what_is_refused_is_refused_in_the_same_words(library, entry):
    with pytest.raises(DataError) as error:
        predicted(entry)
    assert str(error.value) == f"{NAME}: {entry['sentence']}"
    with pytest.raises(CallFailed) as failed:
        segment(library, entry)
    assert failed.value.sentence == entry["sentence"]
    assert failed.value.status == "BAD_IMAGE"


def test_the_images_are_as_the_file_describes_them():
    entry = PREDICTIONS["cases"][0]
    assert image_of(entry).array.shape == (1, *entry["shape"])
