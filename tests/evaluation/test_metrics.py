import math

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from lightm_unet.evaluation.metrics import dice, hd95, iou, nsd, surface_distances
from strategies import rotated

SPACINGS_MM = {2: (0.7, 1.9), 3: (0.8, 1.3, 5.0)}


def voxels(shape, *indices):
    mask = np.zeros(shape, dtype=bool)
    for index in indices:
        mask[index] = True
    return mask


def random_blobs(spatial_dims, seed):
    """Two different, overlapping, ragged blobs that reach the image's border now and then."""
    rng = np.random.default_rng(seed)
    shape = {2: (37, 52), 3: (17, 22, 13)}[spatial_dims]
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))

    def blob():
        centre = rng.uniform(-0.3, 0.3, size=(spatial_dims,) + (1,) * spatial_dims)
        radius = rng.uniform(0.5, 0.9)
        return np.linalg.norm(grid - centre, axis=0) + rng.normal(0, 0.1, size=shape) < radius

    return blob(), blob()


def monai(mask):
    return torch.from_numpy(mask)[None, None].float()


# MONAI 1.6 warns about an argument that its own code passes to itself.
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_monai_on_random_blobs(spatial_dims, seed):
    from monai.metrics import (
        compute_dice,
        compute_hausdorff_distance,
        compute_iou,
        compute_surface_dice,
    )

    pred, ref = random_blobs(spatial_dims, seed)
    spacing_mm = SPACINGS_MM[spatial_dims]
    options = {"include_background": True, "spacing": spacing_mm}

    assert dice(pred, ref) == pytest.approx(compute_dice(monai(pred), monai(ref)).item(), abs=1e-6)
    assert iou(pred, ref) == pytest.approx(compute_iou(monai(pred), monai(ref)).item(), abs=1e-6)
    assert hd95(pred, ref, spacing_mm) == pytest.approx(
        compute_hausdorff_distance(monai(pred), monai(ref), percentile=95, **options).item(),
        rel=1e-5,
    )
    # A tolerance that no distance on these grids equals: rounding cannot decide.
    assert nsd(pred, ref, spacing_mm, tolerance_mm=1.234) == pytest.approx(
        compute_surface_dice(monai(pred), monai(ref), [1.234], **options).item(), abs=1e-6
    )


@pytest.mark.parametrize(
    ("other", "distance_mm"),
    [((6, 2, 2), 4 * 3.0), ((2, 5, 2), 3 * 0.5), ((2, 2, 4), 2 * 1.25), ((3, 6, 2), math.sqrt(13))],
)
def test_two_voxels_are_as_far_apart_as_their_spacing_says(other, distance_mm):
    pred, ref = voxels((8, 8, 8), (2, 2, 2)), voxels((8, 8, 8), other)
    spacing_mm = (3.0, 0.5, 1.25)
    assert hd95(pred, ref, spacing_mm) == pytest.approx(distance_mm)
    assert nsd(pred, ref, spacing_mm, tolerance_mm=distance_mm) == 1
    assert nsd(pred, ref, spacing_mm, tolerance_mm=distance_mm - 0.01) == 0


def test_dice_and_iou_of_a_half_covered_square():
    ref = np.zeros((10, 10), dtype=bool)
    ref[2:6, 2:6] = True
    pred = np.zeros_like(ref)
    pred[2:6, 4:8] = True  # 16 pixels, 8 of them shared
    assert dice(pred, ref) == 0.5
    assert iou(pred, ref) == pytest.approx(8 / 24)


def test_hd95_takes_the_worse_direction_and_the_95th_percentile():
    pred = voxels((1, 32), (0, 0))
    ref = voxels((1, 32), *[(0, column) for column in range(21)])
    # From the reference: 0, 1, ..., 20 mm, whose 95th percentile is the 20th of 21 values.
    assert hd95(pred, ref, (1.0, 1.0)) == 19
    assert hd95(ref, pred, (1.0, 1.0)) == 19


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_on_a_sheared_grid_distances_are_those_between_the_voxels_places(spatial_dims, seed):
    pred, ref = random_blobs(spatial_dims, seed)
    steps = np.random.default_rng(seed).normal(size=(3, spatial_dims))
    distances = surface_distances(pred, ref, steps)
    places = [np.argwhere(mask & ~binary_erosion(mask)) @ steps.T for mask in (pred, ref)]
    between = cdist(*places)
    np.testing.assert_allclose(distances.pred_to_ref, between.min(axis=1))
    np.testing.assert_allclose(distances.ref_to_pred, between.min(axis=0))


@pytest.mark.parametrize("seed", range(3))
def test_a_matrix_with_right_angles_measures_like_its_voxel_sizes(seed):
    pred, ref = random_blobs(3, seed)
    steps = rotated(np.diag([*SPACINGS_MM[3], 1.0]), (20, -50, 130))[:3, :3]
    assert hd95(pred, ref, steps) == pytest.approx(hd95(pred, ref, SPACINGS_MM[3]))
    assert nsd(pred, ref, steps, 1.234) == nsd(pred, ref, SPACINGS_MM[3], 1.234)


def test_interior_voxels_are_not_boundary():
    ref = np.ones((5, 5), dtype=bool)  # fills the image: its 16 border pixels are its boundary
    pred = voxels((5, 5), (2, 2))
    distances = surface_distances(pred, ref, (1.0, 1.0))
    assert distances.ref_to_pred.size == 16
    assert distances.pred_to_ref.tolist() == [2]


def test_nsd_counts_both_boundaries():
    ref = voxels((1, 9), (0, 0), (0, 2), (0, 8))
    pred = voxels((1, 9), (0, 0))
    # Within 2 mm: the one predicted voxel, and two of the three reference voxels.
    assert nsd(pred, ref, (1.0, 1.0), tolerance_mm=2.0) == 3 / 4


def test_a_distance_equal_to_the_tolerance_is_within_it_despite_rounding():
    pred, ref = voxels((1, 9), (0, 2)), voxels((1, 9), (0, 5))
    assert 3 * 0.1 > 0.3  # in floating point
    assert nsd(pred, ref, (1.0, 0.1), tolerance_mm=0.3) == 1


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_empty_masks_follow_the_stated_rule(spatial_dims):
    shape, spacing_mm = (6,) * spatial_dims, (1.0,) * spatial_dims
    empty, full = np.zeros(shape, dtype=bool), voxels(shape, (3,) * spatial_dims)

    assert (dice(empty, empty), iou(empty, empty), nsd(empty, empty, spacing_mm)) == (1, 1, 1)
    assert math.isnan(hd95(empty, empty, spacing_mm))
    for pred, ref in ((empty, full), (full, empty)):
        assert (dice(pred, ref), iou(pred, ref), nsd(pred, ref, spacing_mm)) == (0, 0, 0)
        assert hd95(pred, ref, spacing_mm) == math.inf


def test_identical_masks_are_perfect():
    mask, _ = random_blobs(3, seed=0)
    spacing_mm = SPACINGS_MM[3]
    assert (dice(mask, mask), iou(mask, mask)) == (1, 1)
    assert (hd95(mask, mask, spacing_mm), nsd(mask, mask, spacing_mm, 0.0)) == (0, 1)


def test_masks_that_cannot_be_compared_are_refused_with_the_reason():
    mask = np.zeros((4, 4), dtype=bool)
    with pytest.raises(TypeError, match="`ref` needs a bool mask, got uint8"):
        dice(mask, mask.astype(np.uint8))
    with pytest.raises(ValueError, match=r"got \(4, 4\) and \(4, 5\)"):
        iou(mask, np.zeros((4, 5), dtype=bool))
    with pytest.raises(ValueError, match="needs 2 values for a 2D mask, got 3"):
        hd95(mask, mask, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="needs 2 values for a 2D mask, got 3"):
        hd95(mask, mask, np.eye(3))
    with pytest.raises(ValueError, match="got -1"):
        nsd(mask, mask, (1.0, 1.0), tolerance_mm=-1)
