"""A label map that lies on the same voxels as an image, though its file keeps them otherwise.

Programs store axes in any order and direction, and DICOM segmentations leave out empty slices at
either end. As long as every voxel of the label map is a voxel of the image, nothing has to be
resampled: the numbers are only put where they belong.
"""

from __future__ import annotations

import numpy as np

from lightm_unet.imaging.geometry import Geometry

_OFF = 0.1
"""Of a voxel, by which a place may differ: files round their affines."""


def on_image_grid(labels: np.ndarray, geometry: Geometry, image: Geometry) -> np.ndarray | None:
    """The label map in the image's axes; None if its voxels are not voxels of the image.

    Args:
        labels: of `geometry.shape`.
        geometry: the label map's grid.
        image: the image's grid. Its voxels that the label map does not hold get 0.

    Example:
        >>> flipped = np.diag([-1.0, 1.0, 1.0, 1.0])
        >>> flipped[0, 3] = 2
        >>> labels = np.array([[[1]], [[2]], [[3]]])
        >>> on_image_grid(labels, Geometry((3, 1, 1), flipped), Geometry((3, 1, 1), np.eye(4)))
        array([[[3]],
        <BLANKLINE>
               [[2]],
        <BLANKLINE>
               [[1]]])
    """
    spaces = {grid.dicom and grid.dicom.frame_of_reference for grid in (geometry, image)}
    if len(spaces - {None, ""}) == 2:
        return None
    volume, whole = geometry.as_volume(), image.as_volume()
    to_image = np.linalg.inv(whole.affine) @ volume.affine
    turn, start = np.rint(to_image[:3, :3]), np.rint(to_image[:3, 3]).astype(int)
    # A permutation of the axes with signs.
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in volume.shape], indexing="ij")).reshape(3, -1)
    exact = to_image[:3, :3] @ ends + to_image[:3, 3:]
    places = turn.astype(int) @ ends + start[:, None]
    last = np.array(whole.shape)[:, None] - 1
    if np.abs(exact - places).max() > _OFF or (places < 0).any() or (places > last).any():
        return None
    axes = np.abs(turn).argmax(axis=1)
    moved = labels.reshape(volume.shape).transpose(axes)
    flipped = tuple(axis for axis in range(3) if turn[axis, axes[axis]] < 0)
    result = np.zeros(whole.shape, labels.dtype)
    first = places.min(axis=1)
    result[tuple(slice(f, f + n) for f, n in zip(first, moved.shape, strict=True))] = np.flip(
        moved, flipped
    )
    return result.reshape(image.shape)
