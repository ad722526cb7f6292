"""A model as a MONAI bundle: MONAI reads and runs it, and its masks are those of `predict`."""

import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

import lightm_unet
from lightm_unet.deploy.monai_bundle import write
from lightm_unet.errors import DataError, LightMUNetError, UsageError
from lightm_unet.imaging.image import read_mask
from small_models import random_network, write_model


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Two volumes on grids of their own."""
    folder = tmp_path_factory.mktemp("volumes")
    random = np.random.default_rng(0)
    for name, shape, affine in (
        ("a", (19, 14, 11), np.diag([1.0, 1.5, 2.0, 1.0])),
        ("b", (9, 21, 17), np.diag([-2.0, 1.0, 1.0, 1.0])[[2, 0, 1, 3]]),
    ):
        voxels = random.normal(100, 30, shape).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two pictures of different sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(1)
    for name, shape in (("a", (40, 31)), ("b", (25, 60))):
        Picture.fromarray(random.integers(0, 255, shape, np.uint8)).save(folder / f"{name}.png")
    return folder


def windows_model(folder):
    """Its network sees patches of a resampled volume."""
    plan = {"roi_size": (8, 16, 8), "spacing_mm": (1.5, 1.5, 1.5)}
    return write_model(folder / "model", random_network(3, 1, 3), **plan)


def whole_model(folder):
    return write_model(folder / "model", random_network(2, 1, 3))


def run_bundle(bundle, images, masks):
    """As MONAI's own tutorial has it."""
    for package in ("fire", "ignite"):
        pytest.importorskip(package)
    words = ["--config_file", bundle / "configs" / "inference.json", "--bundle_root", bundle]
    words += ["--meta_file", bundle / "configs" / "metadata.json"]
    words += ["--dataset_dir", images, "--output_dir", masks]
    command = [sys.executable, "-m", "monai.bundle", "run", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "images"), [(windows_model, "volumes"), (whole_model, "pictures")]
)
def test_monai_runs_it_with_the_masks_of_predict(make, images, request, tmp_path):
    images = request.getfixturevalue(images)
    model = make(tmp_path)
    written = lightm_unet.export(model, "monai-bundle", tmp_path / "bundle")
    assert written.checked.startswith("MONAI's own reader makes a network of it")
    done = run_bundle(written.path, images, tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    results = lightm_unet.predict(model, images, tmp_path / "expected", device="cpu")
    assert len(results) == 2
    for result in results:
        found, grid = read_mask(tmp_path / "masks" / result.output.name)
        expected, wanted = read_mask(result.output)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(grid.affine, wanted.affine)


def test_no_text_of_its_files_is_evaluated_and_no_file_is_a_pickle(tmp_path):
    bundle = lightm_unet.export(whole_model(tmp_path), "monai-bundle", tmp_path / "bundle").path
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert files == {
        "configs/inference.json",
        "configs/metadata.json",
        "models/model.json",
        "models/model.safetensors",
    }
    for name in ("inference", "metadata"):
        assert '"$' not in (bundle / "configs" / f"{name}.json").read_text()


def test_monai_finds_the_parts_that_it_expects_of_a_bundle(volumes, tmp_path):
    pytest.importorskip("ignite")
    from monai.bundle import ConfigWorkflow

    bundle = lightm_unet.export(windows_model(tmp_path), "monai-bundle", tmp_path / "bundle").path
    workflow = ConfigWorkflow(
        config_file=str(bundle / "configs" / "inference.json"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type="inference",
        bundle_root=str(bundle),
        dataset_dir=str(volumes),
        output_dir=str(tmp_path / "masks"),
    )
    workflow.initialize()
    assert workflow.check_properties() == []


def test_the_metadata_say_what_goes_in_and_what_comes_out(tmp_path):
    bundle = lightm_unet.export(whole_model(tmp_path), "monai-bundle", tmp_path / "bundle").path
    known = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]
    image, labels = known["inputs"]["image"], known["outputs"]["pred"]
    assert (image["num_channels"], image["spatial_shape"]) == (1, [16, 16])
    assert labels["channel_def"] == {"0": "background", "1": "label 1", "2": "label 2"}


def test_a_shipped_model_brings_its_card(tmp_path):
    bundle = lightm_unet.export("lungs", "monai-bundle", tmp_path / "bundle").path
    card = (bundle / "docs" / "README.md").read_text()
    assert card.startswith("# ")


def test_a_form_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    model = whole_model(tmp_path)
    monkeypatch.setattr(write, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(LightMUNetError, match="logits differ from the model's"):
        lightm_unet.export(model, "monai-bundle", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_model_with_nnu_nets_windows_is_refused_by_name(tmp_path):
    plan = {"roi_size": (8, 8, 8), "spacing_mm": (1.0,) * 3, "normalization": "nnunet-zscore"}
    model = write_model(tmp_path / "model", random_network(3, 1, 2), **plan)
    with pytest.raises(UsageError, match="nnU-Net has trained it"):
        lightm_unet.export(model, "monai-bundle", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_used_folder_is_refused(tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine").touch()
    with pytest.raises(UsageError, match="bundle"):
        lightm_unet.export(whole_model(tmp_path), "monai-bundle", tmp_path / "bundle")


def test_changed_weights_are_refused(tmp_path):
    from lightm_unet.deploy.monai_bundle.components import load_network

    bundle = lightm_unet.export(whole_model(tmp_path), "monai-bundle", tmp_path / "bundle").path
    moved = bundle.rename(tmp_path / "copied")  # not the folder that this process has loaded
    weights = moved / "models" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError):
        load_network(moved)
