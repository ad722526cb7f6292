import json

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image as Picture

from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image, write_labels
from lightm_unet.inference.predict import predict
from lightm_unet.inference.record import RECORD_NAME, RecordedLabels, recorded_labels
from lightm_unet.models.predict_image import predict_image
from lightm_unet.system.progress import ProgressEvent

SHAPE = (9, 12, 7)
"""Of the volumes in their files' own axes: three different lengths, odd ones too."""

AFFINES = {
    "RAS": np.diag([0.8, 1.5, 3.0, 1.0]),
    "LPS": np.diag([-0.8, -1.5, 3.0, 1.0]),
    "permuted, PIR": np.array(
        [[0, 0, 2.5, -7], [-0.7, 0, 0, 30], [0, -1.1, 0, 4], [0, 0, 0, 1]], dtype=float
    ),
    "oblique": np.array(
        [[0.9, -0.3, 0.1, 5], [0.4, 1.4, -0.2, -9], [-0.1, 0.2, 2.9, 2], [0, 0, 0, 1]]
    ),
}
CANONICAL_SHAPES = {"permuted, PIR": (7, 9, 12)}
"""Where the canonical axes, to the right, front and top, are not the file's own order."""


@pytest.fixture(params=AFFINES)
def orientation(request):
    return request.param


def noise(seed=0):
    """Two far-apart brightnesses in a pattern without symmetry, and the mask of the brighter."""
    bright = np.random.default_rng(seed).random(SHAPE) > 0.6
    return np.where(bright, 300.0, -100.0).astype(np.float32), bright.astype(np.uint8)


def step(axis, place):
    """Bright from `place` on along one axis. Resizing keeps the middle of a step where it is."""
    bright = np.zeros(SHAPE, dtype=np.uint8)
    np.moveaxis(bright, axis, 0)[place:] = 1
    return np.where(bright, 300.0, -100.0).astype(np.float32), bright


def in_memory(array, affine):
    return Image(array[None], Geometry(array.shape, affine), path="volume.nii.gz")


def save_volume(array, affine, path):
    path.parent.mkdir(exist_ok=True)
    nibabel.Nifti1Image(array, affine).to_filename(path)
    return path


def test_whole_image_at_its_own_size_gives_exactly_the_expected_mask(make_model, orientation):
    array, expected = noise()
    size = CANONICAL_SHAPES.get(orientation, SHAPE)
    model = make_model(spatial_dims=3, size=size)
    mask = predict_image(model, in_memory(array, AFFINES[orientation]))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)
    assert model.network.grids == [size]


@pytest.mark.parametrize("roi_size", [(4, 4, 4), (6, 16, 5), (16, 16, 16)])
def test_sliding_windows_give_exactly_the_expected_mask(make_model, orientation, roi_size):
    array, expected = noise()
    model = make_model(make_model.above_zero(), spatial_dims=3, roi_size=roi_size)
    mask = predict_image(model, in_memory(array, AFFINES[orientation]))
    np.testing.assert_array_equal(mask, expected)
    assert set(model.network.grids) == {roi_size}


@pytest.mark.parametrize(("axis", "place"), [(0, 2), (1, 9), (2, 4)])
@pytest.mark.parametrize("size", [(18, 24, 14), (20, 16, 24)])
def test_a_resized_step_comes_back_to_its_own_voxels(make_model, orientation, axis, place, size):
    array, expected = step(axis, place)
    model = make_model(spatial_dims=3, size=size)
    mask = predict_image(model, in_memory(array, AFFINES[orientation]))
    np.testing.assert_array_equal(mask, expected)
    assert model.network.grids == [size]


@pytest.mark.parametrize(("axis", "place"), [(0, 2), (1, 9), (2, 4)])
def test_a_resampled_step_comes_back_to_its_own_voxels(make_model, orientation, axis, place):
    array, expected = step(axis, place)
    # The window holds the whole resampled image, so that one midpoint serves all of it.
    model = make_model(spatial_dims=3, roi_size=(64, 64, 64), spacing_mm=(0.5, 0.6, 0.7))
    model.network.midpoint = lambda brightness: (
        brightness[brightness != 0].quantile(torch.tensor([0.0, 1.0])).mean()
    )
    mask = predict_image(model, in_memory(array, AFFINES[orientation]))
    np.testing.assert_array_equal(mask, expected)


def test_the_written_mask_lies_on_the_inputs_grid(make_model, orientation, tmp_path):
    array, expected = noise()
    path = save_volume(array, AFFINES[orientation], tmp_path / "in" / "case.nii.gz")
    model = make_model(make_model.above_zero(), spatial_dims=3, roi_size=(8, 8, 8))

    (result,) = predict(model, [path], tmp_path / "out", device="cpu")

    assert result.output == tmp_path / "out" / "case.nii.gz"
    assert (result.name, result.input, result.error) == ("case", path, None)
    mask, image = nibabel.load(result.output), nibabel.load(path)
    assert mask.get_data_dtype() == np.uint8
    assert mask.shape == image.shape
    np.testing.assert_array_equal(mask.affine, image.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), expected)


@pytest.mark.parametrize(("ending", "mode"), [(".png", "L"), (".png", "I;16"), (".bmp", "L")])
@pytest.mark.parametrize("grid", [{"size": (13, 21)}, {"roi_size": (8, 8)}])
def test_a_pictures_mask_is_a_png_of_its_size(make_model, tmp_path, ending, mode, grid):
    bright = np.random.default_rng(1).random((13, 21)) > 0.5
    values = np.where(bright, 200, 10).astype(np.uint8 if mode == "L" else np.uint16)
    path = tmp_path / ("chest" + ending)
    Picture.fromarray(values).save(path)
    model = make_model(make_model.above_zero(), spatial_dims=2, **grid)

    predict(model, [path], tmp_path / "out", device="cpu")

    with Picture.open(tmp_path / "out" / "chest.png") as mask:
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask), bright)


def test_a_flat_nifti_keeps_its_third_axis(make_model, tmp_path):
    array, expected = noise()
    path = save_volume(array[:, :, :1], AFFINES["LPS"], tmp_path / "flat.nii")
    model = make_model(spatial_dims=2, size=SHAPE[1::-1])  # an axial slice's rows run along j
    predict(model, [path], tmp_path / "out", device="cpu")
    mask = nibabel.load(tmp_path / "out" / "flat.nii")
    assert mask.shape == (*SHAPE[:2], 1)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), expected[:, :, :1])


def test_channels_reach_the_network_in_order(make_model, tmp_path):
    array, expected = noise()
    save_volume(array, AFFINES["RAS"], tmp_path / "in" / "case_0000.nii.gz")
    save_volume(-array, AFFINES["RAS"], tmp_path / "in" / "case_0001.nii.gz")
    model = make_model(spatial_dims=3, size=SHAPE, channels=2)
    predict(model, [tmp_path / "in"], tmp_path / "out", device="cpu")
    mask = nibabel.load(tmp_path / "out" / "case.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), expected)


def test_one_bad_case_does_not_stop_the_others(make_model, tmp_path):
    array, _ = noise()
    for name in ("a", "b", "c"):
        save_volume(array, AFFINES["RAS"], tmp_path / "in" / f"{name}.nii.gz")
    bad = tmp_path / "in" / "b.nii.gz"
    bad.write_bytes(bad.read_bytes()[:200])

    results = predict(
        make_model(spatial_dims=3, size=SHAPE), [tmp_path / "in"], tmp_path / "out", device="cpu"
    )

    assert [result.name for result in results if result.error] == ["b"]
    assert results[1].output is None
    assert results[1].error.startswith(str(bad))
    assert "\n" not in results[1].error
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert written == ["a.nii.gz", "c.nii.gz", RECORD_NAME]


def test_progress_names_each_case_in_turn_the_bad_ones_too(make_model, tmp_path):
    save_volume(noise()[0], AFFINES["RAS"], tmp_path / "in" / "a.nii.gz")
    (tmp_path / "in" / "b.nii.gz").write_bytes(b"no image")
    model, events = make_model(spatial_dims=3, size=SHAPE), []
    predict(model, [tmp_path / "in"], tmp_path / "out", device="cpu", progress=events.append)
    assert events == [
        ProgressEvent("predict", 0, 2, "a"),
        ProgressEvent("predict", 1, 2, "b"),
        ProgressEvent("predict", 2, 2),
    ]


def test_a_single_bad_file_raises_and_writes_nothing(make_model, tmp_path):
    path = tmp_path / "empty.nii.gz"
    path.touch()
    with pytest.raises(DataError, match="empty file"):
        predict(make_model(spatial_dims=3, size=SHAPE), [path], tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_bad_cases_names_each_and_writes_nothing(make_model, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.nii").touch()
    results = predict(
        make_model(spatial_dims=3, size=SHAPE), [tmp_path / "in"], tmp_path / "out", device="cpu"
    )
    assert all("empty file" in result.error for result in results)
    assert not (tmp_path / "out").exists()


def test_an_image_of_other_dimensions_is_bad_data(make_model, tmp_path):
    Picture.fromarray(np.zeros((5, 5), dtype=np.uint8)).save(tmp_path / "flat.png")
    with pytest.raises(DataError, match="found a 2D image with 1 channel"):
        predict(make_model(spatial_dims=3, size=SHAPE), [tmp_path / "flat.png"], tmp_path / "out")


def test_existing_masks_are_replaced(make_model, tmp_path):
    array, expected = noise()
    path = save_volume(array, AFFINES["RAS"], tmp_path / "in" / "case.nii.gz")
    geometry = Geometry(SHAPE, AFFINES["RAS"])
    write_labels(np.full(SHAPE, 9, dtype=np.uint8), geometry, tmp_path / "out" / "case.nii.gz")
    predict(make_model(spatial_dims=3, size=SHAPE), [path], tmp_path / "out", device="cpu")
    mask = nibabel.load(tmp_path / "out" / "case.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), expected)


def test_two_inputs_for_one_mask_write_nothing(make_model, tmp_path):
    array, _ = noise()
    save_volume(array, AFFINES["RAS"], tmp_path / "in" / "case.nii.gz")
    save_volume(array, AFFINES["RAS"], tmp_path / "in" / "case_0000.nii.gz")
    with pytest.raises(UsageError, match="would both write"):
        predict(make_model(spatial_dims=3, size=SHAPE), [tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(make_model, tmp_path):
    path = save_volume(noise()[0], AFFINES["RAS"], tmp_path / "case.nii")
    with pytest.raises(UsageError, match="expected a folder"):
        predict(make_model(spatial_dims=3, size=SHAPE), [path], path)


@pytest.mark.parametrize("overlap", [-0.1, 1.0, float("nan")])
def test_an_overlap_outside_its_range_is_refused(make_model, tmp_path, overlap):
    with pytest.raises(UsageError, match="overlap"):
        predict(make_model(spatial_dims=3, size=SHAPE), [], tmp_path, overlap=overlap)


def test_the_record_says_what_made_the_masks(make_model, tmp_path):
    array, _ = noise()
    path = save_volume(array, AFFINES["RAS"], tmp_path / "in" / "a.nii.gz")
    (tmp_path / "in" / "b.nii.gz").touch()
    model = make_model(spatial_dims=3, size=SHAPE)
    predict(model, [tmp_path / "in"], tmp_path / "out", device="cpu")

    record = json.loads((tmp_path / "out" / RECORD_NAME).read_text())
    assert record["model"] == str(model.path)
    assert record["device"] == "cpu"
    assert [case["input"] for case in record["cases"]] == [
        str(path),
        str(tmp_path / "in" / "b.nii.gz"),
    ]
    assert [case["output"] for case in record["cases"]] == ["a.nii.gz", None]
    assert "empty file" in record["cases"][1]["error"]
    labels = recorded_labels(tmp_path / "out")
    assert labels == RecordedLabels(model.label_names, model.label_colours)
    assert labels.names == ("background", "bright")
    assert labels.colours == ((0, 0, 0), (230, 159, 0))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"label_names": 3, "label_colours": 3}',
        '{"label_names": [1], "label_colours": [1]}',
        '{"label_colours": [[0, 0, 0], [300, 0, 0]]}',
        '{"label_colours": [[0, 0, 0, 0]]}',
    ],
)
def test_a_foreign_record_names_no_labels(tmp_path, content):
    (tmp_path / RECORD_NAME).write_text(content)
    assert recorded_labels(tmp_path) == RecordedLabels((), ())


def test_a_record_of_an_earlier_version_names_labels_without_colours(tmp_path):
    (tmp_path / RECORD_NAME).write_text('{"label_names": ["background", "lung"]}')
    assert recorded_labels(tmp_path) == RecordedLabels(("background", "lung"), ())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9e12"),
    ],
)
def test_an_image_too_large_for_memory_does_not_stop_the_others(make_model, tmp_path, error):
    array, _ = noise()
    for name in ("a", "b"):
        save_volume(array, AFFINES["RAS"], tmp_path / "in" / f"{name}.nii.gz")
    model = make_model(spatial_dims=3, size=SHAPE)
    midpoint, calls = model.network.midpoint, []

    def fail_once(brightness):
        calls.append(1)
        if len(calls) == 1:
            raise error
        return midpoint(brightness)

    model.network.midpoint = fail_once
    results = predict(model, [tmp_path / "in"], tmp_path / "out", device="cpu")
    assert "too large for the memory of cpu" in results[0].error
    assert results[1].error is None


def test_a_mistake_in_the_network_is_not_hidden(make_model, tmp_path):
    path = save_volume(noise()[0], AFFINES["RAS"], tmp_path / "case.nii")
    model = make_model(torch.nn.Conv3d(5, 2, 1), spatial_dims=3, size=SHAPE)
    with pytest.raises(RuntimeError, match="to have 5 channels"):
        predict(model, [path], tmp_path / "out", device="cpu")
