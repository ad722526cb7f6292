"""Whole predictions equal Python's: by windows and whole, of any image, in any orientation."""

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from c_library import CallFailed, c_image
from lightm_unet.errors import DataError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image, image_files, image_from_array, read_image
from lightm_unet.models.model_folder import load_model
from lightm_unet.models.predict_image import image_logits, judge_image
from lightm_unet.models.shipped_models import FOLDER as SHIPPED
from small_models import random_network, write_model
from strategies import affines

PLANS = {
    "2d whole": {"size": (24, 17)},
    "2d windows": {"roi_size": (12, 9)},
    "3d whole": {"size": (9, 12, 10)},
    "3d windows": {"roi_size": (7, 8, 6)},
    "3d windows at 1.5 mm, CT": {
        "roi_size": (8, 8, 8),
        "spacing_mm": (1.5, 1.5, 1.5),
        "normalization": "ct",
        "intensity_range": (-100.0, 200.0),
        "intensity_mean": 50.0,
        "intensity_std": 60.0,
    },
}


@pytest.fixture(scope="module")
def models(library, tmp_path_factory):
    """By its name in `PLANS` a model with two channels, in Python and in C."""
    opened = {}
    for name, plan in PLANS.items():
        folder = tmp_path_factory.mktemp("models") / name
        write_model(folder, random_network(int(name[0])), **plan)
        opened[name] = load_model(folder), library.model(folder)
    return opened


def assert_equals_python(models, image: Image, overlap=0.5, threads=1, **given):
    """Labels, probabilities and judgement; returns C's."""
    python, native = models
    logits = image_logits(python, image, overlap=overlap)
    expected = np.stack(list(logits.probabilities()))
    affine = None if image.geometry.is_picture else image.geometry.affine
    array = np.ascontiguousarray(image.array)
    request = c_image(array, len(image.geometry.shape), affine)
    labels, probabilities, result = native.segment(
        request, overlap=overlap, threads=threads, **given
    )
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-4)
    assert (labels == logits.labels).mean() >= 0.9995
    assert bool(result.judged) == (python.profile is not None)
    if python.profile is not None:
        judgement = judge_image(python.profile, logits, python.label_names)
        # Far from all usual images one voxel more that is uncertain shows in the third digit.
        assert result.score == pytest.approx(judgement.score, abs=1e-3, rel=1e-3)
        assert result.limit == judgement.limit
        assert bool(result.unlike) == judgement.unlike
        assert result.most_unusual.decode() == judgement.most_unusual
    return labels, probabilities


def random_image(shape, affine=None, seed=0, channels=2):
    """Smooth, so that labels are areas, with noise."""
    random = np.random.default_rng(seed)
    places = np.meshgrid(*(np.arange(length) for length in shape), indexing="ij")
    waves = [sum(np.sin(p * random.uniform(0.1, 0.6)) for p in places) for _ in range(channels)]
    array = 100 * np.stack(waves) + random.normal(0, 10, (channels, *shape))
    return image_from_array(
        array, Geometry(shape, np.eye(4) if affine is None else affine), "image"
    )


@pytest.mark.parametrize("name", PLANS)
@given(data=st.data())
@settings(max_examples=20)
def test_any_image_gets_pythons_labels(models, name, data):
    dims = int(name[0])
    lengths = st.sampled_from([1, 2, 3, 7, 8, 13, 20])
    shape = data.draw(st.tuples(*[lengths] * dims))
    affine = data.draw(affines(30.0, 0.2))
    affine[:3, :3] /= np.linalg.norm(affine[:3, :3], axis=0)
    affine[:3, :3] *= data.draw(st.sampled_from([0.7, 1.0, 2.3]))
    if dims == 2 and data.draw(st.booleans()):
        affine = np.eye(4)
    overlap = data.draw(st.sampled_from([0, 0.25, 0.5, 0.8]))
    image = random_image(shape, affine, data.draw(st.integers(0, 9)))
    assert_equals_python(models[name], image, overlap, data.draw(st.sampled_from([1, 3])))


@pytest.mark.parametrize("name", PLANS)
def test_the_result_does_not_depend_on_the_number_of_threads(models, name):
    shape = (37, 23) if name.startswith("2d") else (23, 14, 11)
    image = random_image(shape)
    found = [assert_equals_python(models[name], image, threads=threads) for threads in (1, 2, 5)]
    for labels, probabilities in found[1:]:
        np.testing.assert_array_equal(labels, found[0][0])
        np.testing.assert_array_equal(probabilities, found[0][1])


def test_a_slice_goes_to_a_3d_model_and_a_volume_of_one_slice_to_a_2d_one(models):
    affine = np.diag([-1.0, 1.0, 3.0, 1.0])
    for shape in ((20, 1, 13), (1, 20, 13), (20, 13, 1)):
        assert_equals_python(models["2d whole"], random_image(shape, affine))
        assert_equals_python(models["2d windows"], random_image(shape, affine))
        assert_equals_python(models["3d windows"], random_image(shape, affine))
    assert_equals_python(models["3d windows"], random_image((20, 13), affine))


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("thin", [(0,), (1,), (2,), (1, 2)])
def test_a_slice_as_its_file_has_it_gets_the_labels_of_predict(models, tmp_path, name, thin):
    """`predict` takes the axes of length 1 out of the file's shape, a C program need not."""
    python, native = models[name]
    random = np.random.default_rng(len(name) + sum(thin))
    shape = tuple(1 if axis in thin else length for axis, length in enumerate((26, 21, 17)))
    turned = Rotation.random(random_state=random.integers(1000)).as_matrix()
    for columns in (np.diag([-1.0, 1.0, 1.0]), turned, np.eye(3)[random.permutation(3)]):
        affine = np.eye(4)
        affine[:3, :3] = columns * random.uniform(0.5, 4, 3)
        array = random_image(shape, seed=random.integers(1000)).array
        path = tmp_path / "slice.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.moveaxis(array, 0, 3), affine), path)
        logits = image_logits(python, read_image(path, 2))
        stored = nibabel.load(path).affine  # rounded
        labels, probabilities, _ = native.segment(c_image(array, 3, stored))
        expected = np.stack(list(logits.probabilities()))
        np.testing.assert_allclose(probabilities.reshape(expected.shape), expected, atol=1e-4)
        assert (labels.reshape(logits.labels.shape) == logits.labels).mean() >= 0.9995


def refusal(native, image: Image, **given) -> CallFailed:
    affine = None if image.geometry.is_picture else image.geometry.affine
    array = np.ascontiguousarray(image.array)
    with pytest.raises(CallFailed) as error:
        native.segment(c_image(array, len(image.geometry.shape), affine), **given)
    return error.value


def test_wrong_images_are_refused_in_pythons_words(models):
    broken = random_image((8, 9, 10))
    broken.array[0, 1, 2, 3:6] = np.nan, np.inf, -np.inf
    cases = {
        "3d whole": random_image((20, 30)),  # a picture
        "2d whole": random_image((20, 30, 4), np.diag([1.0, 1, 2, 1])),
    }
    for name, image in cases.items():
        python, native = models[name]
        with pytest.raises(DataError) as error:
            image_logits(python, image)
        found = refusal(native, image)
        assert found.status == "BAD_IMAGE"
        assert str(error.value) == f"image: {found.sentence}"
    found = refusal(models["3d whole"][1], broken)
    assert found.status == "BAD_IMAGE"
    with pytest.raises(DataError) as error:
        image_from_array(broken.array, broken.geometry, "image")
    assert str(error.value) == f"image: {found.sentence}"


@pytest.mark.parametrize(
    ("affine", "found"),
    [
        (np.full((4, 4), np.nan), "an affine with NaN or infinite numbers"),
        (np.diag([1.0, 1.0, 0.0, 1.0]), "a singular affine"),
        (np.ones((4, 4)), "a singular affine"),
        (np.diag([1e13, 1.0, 1.0, 1.0]), "an affine with 10000000000000"),
    ],
)
def test_an_affine_that_places_nothing_is_refused(models, affine, found):
    failed = refusal(models["3d windows"][1], random_image((5, 6, 7), affine))
    assert failed.status == "BAD_IMAGE"
    assert failed.sentence.startswith(f"found {found}; expected ")


def test_voxels_whose_grid_fits_into_no_memory_are_refused(models):
    image = random_image((5, 6, 7), np.diag([1e6, 1e6, 1e6, 1.0]))
    failed = refusal(models["3d windows at 1.5 mm, CT"][1], image)
    assert failed.status == "TOO_LARGE"
    assert "voxels of 1000000 x 1000000 x 1000000 mm" in failed.sentence
    failed = refusal(models["3d windows"][1], random_image((20, 20, 20)), memory_limit=10_000)
    assert failed.status == "TOO_LARGE"


def test_a_progress_function_hears_of_all_the_work_and_can_stop_it(models):
    image = random_image((23, 14, 11))
    for name in ("3d whole", "3d windows"):
        heard = []
        assert_equals_python(models[name], image, progress=heard.append)
        assert heard == sorted(heard)
        assert (heard[0], heard[-1]) == (0, 1)
        assert len(heard) > 5
        for stop_after in (1, 2, len(heard) // 2, len(heard)):
            calls = []

            def stop(done, calls=calls, last=stop_after):
                calls.append(done)
                return len(calls) >= last

            assert refusal(models[name][1], image, progress=stop).status == "CANCELLED"
            assert len(calls) == stop_after
        assert_equals_python(models[name], image)  # the model is as before


def test_the_memory_is_known_before_and_enough(models):
    for name, shape in {"2d whole": (50, 60), "3d windows": (40, 14, 11)}.items():
        _, native = models[name]
        image = random_image(shape)
        array = np.ascontiguousarray(image.array)
        request = c_image(array, len(shape))
        needed = native.memory(request)
        native.segment(request, memory_limit=needed)
        assert refusal(native, image, memory_limit=needed // 2).status == "TOO_LARGE"


def test_planes_of_logits_are_held_only_as_deep_as_a_window(models):
    """Ten times as many slices take ten times the input, but not ten times the sums."""
    _, native = models["3d windows"]
    short, long = (
        native.memory(c_image(np.zeros((2, depth, 50, 50), np.float32), 3, np.eye(4)))
        for depth in (20, 200)
    )
    input_bytes = 2 * 180 * 50 * 50 * 4
    assert long - short == pytest.approx(input_bytes, rel=0.02)


@pytest.mark.parametrize("name", ["lungs", "hippocampus"])
def test_shipped_models_give_real_images_pythons_labels(library, shared_data, name):
    folder = {
        "lungs": shared_data / "montgomery_shenzhen" / "CXR_png",
        "hippocampus": shared_data / "Task04_Hippocampus" / "imagesTr",
    }[name]
    both = load_model(SHIPPED / name), library.model(SHIPPED / name)
    for file in image_files(folder)[::100]:
        assert_equals_python(both, read_image(file, 1))


def test_a_volume_far_longer_than_any_in_training_is_refused_in_pythons_words(library):
    python, native = load_model(SHIPPED / "hippocampus"), library.model(SHIPPED / "hippocampus")
    image = random_image((200, 50, 40), np.diag([1.0, 1.0, 1.0, 1.0]), channels=1)
    with pytest.raises(DataError) as error:
        image_logits(python, image)
    failed = refusal(native, image)
    assert (failed.status, f"image: {failed.sentence}") == ("BAD_IMAGE", str(error.value))


def test_an_unlike_image_is_judged_as_python_judges_it(library):
    both = load_model(SHIPPED / "lungs"), library.model(SHIPPED / "lungs")
    noise = np.random.default_rng(0).normal(0, 1, (1, 100, 90))
    image = image_from_array(noise, Geometry((100, 90), np.eye(4)), "image")
    assert_equals_python(both, image)
    array = np.ascontiguousarray(image.array)
    assert both[1].segment(c_image(array, 2))[2].unlike


@pytest.mark.parametrize("values", [0.0, 7.5, 1e30, 1e-40])
@pytest.mark.parametrize("name", PLANS)
def test_constant_images_of_any_brightness_get_pythons_labels(models, name, values):
    shape = (20, 30) if name.startswith("2d") else (8, 9, 10)
    array = np.full((2, *shape), values)
    array[1].flat[3] += 1
    image = image_from_array(array, Geometry(shape, np.eye(4)), "image")
    assert_equals_python(models[name], image)


def test_logits_that_are_not_finite_are_refused_in_pythons_words(library, tmp_path):
    network = random_network(2)
    list(network.parameters())[-1].data.fill_(np.nan)
    folder = write_model(tmp_path / "broken", network, size=(8, 8))
    python, native = load_model(folder), library.model(folder)
    image = random_image((8, 9))
    with pytest.raises(DataError) as error:
        image_logits(python, image)
    failed = refusal(native, image)
    assert (failed.status, f"image: {failed.sentence}") == ("BAD_IMAGE", str(error.value))
