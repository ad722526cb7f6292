"""Images as files store them: any size, and axes that are permuted, flipped, turned or sheared."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image
from lightm_unet.preprocessing.preprocessing import Preprocessing
from strategies import affines

AFFINES = st.one_of(affines(0.0), affines(180.0, 0.5))
LENGTHS = st.sampled_from([1, 2, 3, 5, 7, 13, 16, 31, 40])


@st.composite
def images(draw, dims):
    """An image and a preprocessing for it: a volume, a flat image, a volume of one slice."""
    shape = draw(st.tuples(*[LENGTHS] * draw(st.sampled_from([2, 3]) if dims == 2 else st.just(3))))
    if dims == 2 and len(shape) == 3:
        thin = draw(st.integers(0, 2))
        shape = (*shape[:thin], 1, *shape[thin + 1 :])
    affine = draw(AFFINES) if len(shape) == 3 or draw(st.booleans()) else np.eye(4)
    geometry = Geometry(shape, affine)
    # Against voxels of up to 12 mm: at most a few thousand voxels become a hundred thousand.
    spacing_mm = (5.0, 8.0, 12.0)[:dims]
    grids = {
        "size": st.fixed_dictionaries({"size": st.tuples(*[LENGTHS] * dims)}),
        "spacing": st.just({"roi_size": (4,) * dims, "spacing_mm": spacing_mm}),
        "own": st.just({"roi_size": (4,) * dims}),
    }
    grid = draw(grids[draw(st.sampled_from(sorted(grids)))])
    flat_axes = draw(st.sampled_from(["anatomical", "stored"]))
    plan = Preprocessing(spatial_dims=dims, channels=1, flat_axes=flat_axes, **grid)
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(0, 1, shape)
    return Image(values.astype(np.float32)[None], geometry, Path("image.nii")), plan
