"""What is small and bright is not erased, and a few bright voxels do not hide the rest."""

import numpy as np

from faults import fault
from lightm_unet.preprocessing.normalization import normalise
from lightm_unet.preprocessing.preprocessing import Preprocessing

SECTION = "Intensities"
PLAN = Preprocessing(spatial_dims=3, channels=1, size=(64, 64, 64))


def contrast(image: np.ndarray, where: np.ndarray) -> float:
    """The network's input inside minus outside, in standard deviations of the outside."""
    seen = normalise(image[None].astype(np.float32), PLAN)[0]
    return (seen[where].min() - seen[~where].max()) / max(seen[~where].std(), 0.05)


def ball(radius: float) -> np.ndarray:
    return (np.square(np.indices((64, 64, 64)) - 32).sum(axis=0)) <= radius**2


@fault(
    SECTION,
    "a bright ball of 1 to 13 voxels' radius on black, 0.0004 % to 4 % of the volume",
    "all stand out",
)
def test_sparse():
    hidden = [r for r in range(14) if contrast(1000.0 * ball(r), ball(r)) < 1]
    return f"hidden at radius {hidden}" if hidden else "all stand out"


@fault(
    SECTION, "a marker of 65535 in a noisy body of 100", "marker and body both keep their contrast"
)
def test_heavy_tail():
    body = np.random.default_rng(0).normal(100, 20, (64, 64, 64))
    image = np.where(ball(3), 65535, body)
    seen = normalise(image[None].astype(np.float32), PLAN)[0]
    kept = contrast(image, ball(3)) > 1 and seen[~ball(3)].std() > 0.5
    return "marker and body both keep their contrast" if kept else "one is hidden"


@fault(SECTION, "99.9 % of a film saturated at 255", "the other levels stay apart")
def test_saturated():
    image = np.full((64, 64, 64), 255.0)
    image[0, 0] = np.arange(64)
    levels = len(np.unique(normalise(image[None].astype(np.float32), PLAN)[0, 0, 0]))
    return "the other levels stay apart" if levels == 64 else f"{levels} of 64 levels"


@fault(SECTION, "an image of one value", "0 everywhere, no NaN")
def test_constant():
    seen = normalise(np.full((1, 8, 8, 8), 300, np.float32), PLAN)
    return "0 everywhere, no NaN" if (seen == 0).all() else f"{seen.min()} to {seen.max()}"


@fault(SECTION, "intensities of 1e-35 or 1e35 times the usual", "the same input to the network")
def test_scale():
    image = np.random.default_rng(0).normal(5, 2, (1, 16, 16, 16)).astype(np.float32)
    usual = normalise(image, PLAN)
    scaled = [normalise(image * np.float32(factor), PLAN) for factor in (1e-35, 1e35)]
    same = all(np.allclose(each, usual, atol=1e-3) for each in scaled)
    return "the same input to the network" if same else "another input"
