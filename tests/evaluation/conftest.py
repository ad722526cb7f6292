import json
from pathlib import Path

import numpy as np
import pytest

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import write_labels

SPACING_MM = (1.0, 2.0, 4.0)


@pytest.fixture
def save_mask(tmp_path):
    """Write a mask of voxels listed by label: `{1: [(0, 0, 0), ...]}`; returns its path."""

    def save(path, voxels, shape=(6, 6, 6), affine=None):
        labels = np.zeros(shape, dtype=np.uint8)
        for label, indices in voxels.items():
            for index in indices:
                labels[index] = label
        if affine is None:
            affine = np.eye(4) if len(shape) == 2 else np.diag([*SPACING_MM, 1.0])
        path = tmp_path / path
        write_labels(labels, Geometry(shape, affine), path)
        return path

    return save


@pytest.fixture
def save_dataset(tmp_path, save_mask):
    """Write an nnU-Net data set with labels 1 (liver) and 2 (tumour); returns its root."""

    def save(cases):
        root: Path = tmp_path / "dataset"
        for name, voxels in cases.items():
            save_mask(root / "labelsTr" / f"{name}.nii.gz", voxels)
            save_mask(root / "imagesTr" / f"{name}_0000.nii.gz", voxels)
        content = {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, "liver": 1, "tumour": 2},
            "numTraining": len(cases),
            "file_ending": ".nii.gz",
        }
        (root / "dataset.json").write_text(json.dumps(content))
        return root

    return save
