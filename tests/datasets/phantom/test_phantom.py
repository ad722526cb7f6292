import nibabel
import numpy as np
import pytest

from lightm_unet.datasets.check import check_dataset
from lightm_unet.datasets.dataset import open_case_images, open_case_labels, open_dataset
from lightm_unet.datasets.phantom import write_phantom_dataset
from lightm_unet.errors import UsageError


def bytes_of(root):
    return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}


def cases_of(root):
    dataset = open_dataset(root)
    for case in dataset.training:
        image = open_case_images(dataset, case)
        yield image, open_case_labels(dataset, case, image.geometry)


@pytest.mark.parametrize("kind", ["ct", "xray"])
def test_phantoms_are_a_good_data_set_with_a_split(kind, request):
    root = request.getfixturevalue(f"{kind}_phantoms")
    report = check_dataset(root)
    assert report.ok, report.problems
    assert report.cases == 6
    assert (root / "split.json").is_file()


@pytest.mark.parametrize("kind", ["ct", "xray"])
def test_the_seed_decides_every_byte_and_more_cases_do_not_change_the_first(tmp_path, kind):
    for name, cases, seed in (("a", 2, 0), ("b", 2, 0), ("more", 3, 0), ("other", 2, 1)):
        write_phantom_dataset(tmp_path / name, kind, cases=cases, size=32, seed=seed)
    first = bytes_of(tmp_path / "a")
    assert first == bytes_of(tmp_path / "b")
    images = {name: data for name, data in first.items() if "Tr/" in name}
    assert images.items() <= bytes_of(tmp_path / "more").items()
    assert images.keys() == {n for n in bytes_of(tmp_path / "other") if "Tr/" in n}
    assert images != {n: d for n, d in bytes_of(tmp_path / "other").items() if "Tr/" in n}


def test_ct_has_air_soft_tissue_bone_and_a_liver_darkened_by_tumours(ct_phantoms):
    tumours = 0
    for image, labels in cases_of(ct_phantoms):
        hu = image.array[0]
        assert hu.min() < -950
        assert hu.max() > 180
        assert 60 < hu[labels == 1].mean() < 140
        # A liver is 1 to 2 litres; this one may be a little smaller.
        litres = (labels > 0).sum() * np.prod(image.geometry.spacing_mm) / 1e6
        assert 0.6 < litres < 2.2
        if (labels == 2).any():
            tumours += 1
            assert hu[labels == 2].mean() < hu[labels == 1].mean() - 15
    assert tumours >= 2


def test_ct_livers_lie_on_the_patients_right_whatever_the_orientation(ct_phantoms):
    for image, labels in cases_of(ct_phantoms):
        body = np.argwhere(image.array[0] > -300).mean(axis=0)
        liver = np.argwhere(labels > 0).mean(axis=0)
        world = image.geometry.affine[:3, :3] @ (liver - body)
        assert world[0] > 20  # mm to the right


def test_ct_orientations_and_spacings_differ(ct_phantoms):
    images = [image for image, _ in cases_of(ct_phantoms)]
    codes = {nibabel.aff2axcodes(image.geometry.affine) for image in images}
    assert len(codes) >= 3
    assert len({image.geometry.spacing_mm for image in images}) == 6
    assert all(max(image.geometry.shape) <= 1.2 * 48 for image in images)


def test_xray_has_two_dark_lungs(xray_phantoms):
    from scipy.ndimage import label

    for image, labels in cases_of(xray_phantoms):
        grey = image.array[0]
        _, regions = label(labels)
        assert regions == 2
        assert 0.1 < labels.mean() < 0.5
        assert grey[labels == 1].mean() < 0.7 * np.percentile(grey, 80)


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "mr"},
        *({"kind": "ct", "cases": value} for value in (0, True, "2", None)),
        *({"kind": "ct", "size": value} for value in (16, 64.0, 10**9)),
        *({"kind": "ct", "seed": value} for value in (-1, None, "0", 2**64)),
    ],
)
def test_arguments_out_of_range_are_refused_and_nothing_is_written(tmp_path, arguments):
    with pytest.raises(UsageError):
        write_phantom_dataset(tmp_path / "new", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_files_already_there_are_kept(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(UsageError):
        write_phantom_dataset(tmp_path, "ct", cases=1, size=32)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
