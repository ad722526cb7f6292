"""Volumes in, masks out: the page with its engine gives the labels of `predict` at their place."""

import nibabel
import numpy as np
import pytest
import torch

import dicom_files as dicom
import lightm_unet
from browser import needs_chromium, needs_page
from lightm_unet.deploy.local_server import serve_folder
from lightm_unet.deploy.page import write_folder
from lightm_unet.imaging.image import read_image
from lightm_unet.models.model_folder import load_model, save_model

pytestmark = [pytest.mark.slow, needs_page, needs_chromium]

ALIKE = 0.9995
NIFTI, SEGMENTATION = "Mask on the image's grid (NIfTI)", "DICOM segmentation"
AFFINE = np.array([[-1.0, 0.1, 0, 30], [0.1, 1, 0, -20], [0, 0, 1.2, 5], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The shipped model of the hippocampus with other weights, which label any image."""
    shipped = load_model("hippocampus")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in shipped.network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    folder = tmp_path_factory.mktemp("model") / "changed"
    names = ("background", "anterior", "posterior")
    save_model(folder, shipped.network, shipped.preprocessing, names, ("MR",), {}, {})
    return load_model(folder)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory, model):
    """The address of the page for this model."""
    folder = tmp_path_factory.mktemp("volumes") / "site"
    write_folder(model, folder)
    with serve_folder(folder) as address:
        yield address


@pytest.fixture(scope="module")
def image(ct_phantoms):
    """Small numbers of a phantom, 48x48x48."""
    array = read_image(min((ct_phantoms / "imagesTr").glob("*.nii.gz"))).array[0]
    return np.round(array).astype(np.int16)


def test_nifti_in_and_a_mask_on_its_grid_out(tmp_path, visit, volumes, model, image):
    file = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), file)
    page = visit(volumes)
    page.open([file])
    name, data = page.download(NIFTI)
    assert name == "volume_mask.nii.gz"
    (tmp_path / "mask.nii.gz").write_bytes(data)
    (result,) = lightm_unet.predict(model.path, [file], tmp_path / "predicted")
    mask, expected = nibabel.load(tmp_path / "mask.nii.gz"), nibabel.load(result.output)
    labels = np.asarray(mask.dataobj)
    assert len(np.unique(labels)) > 1
    assert (labels == np.asarray(expected.dataobj)).mean() >= ALIKE
    assert mask.header.binaryblock == expected.header.binaryblock
    assert " ml" in page.result()
    assert page.errors == []
    assert all(request.startswith((volumes, "data:", "blob:")) for request in page.requests)


def test_a_dicom_series_in_and_a_segmentation_out(tmp_path, visit, volumes, model, image):
    import highdicom

    grid = np.diag([-1.0, -1.0, 1.2, 1.0])
    order = np.random.default_rng(0).permutation(image.shape[2])
    files = dicom.save_series(tmp_path / "series", image, grid, order=order)
    page = visit(volumes)
    chosen = [str(file) for file in files]
    page.page.locator("input[type=file][multiple]").first.set_input_files(chosen)
    page.wait(1)
    (tmp_path / "seg.dcm").write_bytes(page.download(SEGMENTATION)[1])
    (tmp_path / "mask.nii.gz").write_bytes(page.download(NIFTI)[1])
    (result,) = lightm_unet.predict(
        model.path, [tmp_path / "series"], tmp_path / "predicted", output_format="nifti"
    )
    mask, expected = nibabel.load(tmp_path / "mask.nii.gz"), nibabel.load(result.output)
    labels = np.asarray(mask.dataobj)
    assert len(np.unique(labels)) > 1
    assert (labels == np.asarray(expected.dataobj)).mean() >= ALIKE
    np.testing.assert_allclose(mask.affine, expected.affine, atol=1e-6)
    segmentation = highdicom.seg.segread(tmp_path / "seg.dcm")
    names = [segmentation.get_segment_description(n).segment_label for n in (1, 2)]
    assert names == ["anterior", "posterior"]
    stacked = segmentation.get_volume(combine_segments=True)
    assert np.array_equal(np.sort(stacked.array.ravel()), np.sort(labels.ravel()))
