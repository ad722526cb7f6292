"""csrc/images, built for the tests, and its steps as functions of numpy arrays."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from c_library import CSRC, FLAGS, compiler_or_skip
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.preprocessing.preprocessing import Preprocessing

# What an image needs besides its own folder: threads.
SOURCES = [*(CSRC / "images").glob("*.cpp"), CSRC / "runtime" / "thread_pool.cpp"]


class Settings(ctypes.Structure):
    """What the steps need of `Preprocessing`."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("dims", "stored_axes", "ct", "clip")),
        ("size", ctypes.c_int64 * 3),
        ("spacing_mm", ctypes.c_double * 3),
        *((name, ctypes.c_double) for name in ("low", "high", "mean", "std")),
    ]

    def __init__(self, plan: Preprocessing) -> None:
        none = (0,) * plan.spatial_dims
        super().__init__(
            plan.spatial_dims,
            plan.flat_axes == "stored",
            plan.normalization == "ct",
            plan.outliers == "clip",
            (ctypes.c_int64 * 3)(*(plan.size or none)),
            (ctypes.c_double * 3)(*(plan.spacing_mm or none)),
            *(plan.intensity_range or (0, 0)),
            plan.intensity_mean or 0,
            plan.intensity_std or 1,
        )


class Steps:
    """The library's functions."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.harness_padding.restype = ctypes.c_float
        for name in ("not_finite", "windows", "measure"):
            getattr(self._library, f"harness_{name}").restype = ctypes.c_int64

    def __getattr__(self, name):
        function = getattr(self._library, f"harness_{name}")
        return lambda *values: function(*map(_as_c, values))

    def percentiles(self, values, percents, divisor=1.0):
        found = np.empty(len(percents))
        percents = np.array(percents, np.float64)
        self.__getattr__("percentiles")(
            np.ascontiguousarray(values), values.size, ctypes.c_float(divisor), percents,
            ctypes.c_int32(len(percents)), found,
        )  # fmt: skip
        return found

    def record(self, geometry: Geometry, plan: Preprocessing):
        """Shape before and after resizing, and voxel size, in canonical order."""
        canonical, seen, spacing = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3)
        self.__getattr__("record")(*self._place(geometry, plan), canonical, seen, spacing)
        kept = slice(3 - plan.spatial_dims, None)
        return tuple(canonical[kept]), tuple(seen[kept]), tuple(spacing[kept])

    def prepare(self, channel, geometry: Geometry, plan: Preprocessing, threads=1):
        out = np.full(self.record(geometry, plan)[1], np.nan, np.float32)
        channel = np.ascontiguousarray(channel)
        place = self._place(geometry, plan)
        self.__getattr__("prepare")(*place, channel, ctypes.c_int32(threads), out)
        return out

    def normalise(self, channel, plan: Preprocessing):
        channel = np.ascontiguousarray(channel)
        out = np.full_like(channel, np.nan)
        self.__getattr__("normalise")(ctypes.byref(Settings(plan)), channel, channel.size, out)
        return out

    def padding(self, plan: Preprocessing) -> float:
        return self._library.harness_padding(ctypes.byref(Settings(plan)))

    def resize(self, row, after: int):
        out = np.full(after, np.nan, np.float32)
        self.__getattr__("resize")(np.ascontiguousarray(row), row.size, after, out)
        return out

    def restore(self, logits, geometry: Geometry, plan: Preprocessing, step=10**6, threads=1):
        """Labels, and probabilities."""
        labels = np.full(geometry.shape, 255, np.uint8)
        probabilities = np.full((len(logits), *geometry.shape), np.nan, np.float32)
        common = (
            *self._place(geometry, plan), np.ascontiguousarray(logits),
            ctypes.c_int32(len(logits)), step, ctypes.c_int32(threads),
        )  # fmt: skip
        self.__getattr__("restore")(*common, labels, None)
        again = np.full_like(labels, 255)
        self.__getattr__("restore")(*common, again, probabilities)
        np.testing.assert_array_equal(again, labels)
        return labels, probabilities

    def windows(self, grid, roi, overlap):
        """The first windows' starts, and how many windows there are."""
        starts = np.empty((2000, 3), np.int64)
        count = self.__getattr__("windows")(
            _sizes(grid), _sizes(roi), ctypes.c_double(overlap), len(starts), starts
        )
        return starts[:count], count

    def cut(self, channel, roi, start, padding):
        window = np.full(roi, np.nan, np.float32)
        self.__getattr__("cut")(
            channel, _sizes(channel.shape), _sizes(roi), _sizes(start), ctypes.c_float(padding),
            window,
        )  # fmt: skip
        return window

    def weights(self, roi):
        weights = np.full(roi, np.nan, np.float32)
        self.__getattr__("weights")(_sizes(roi), weights)
        return weights

    def measure(self, image, logits):
        """Features and layout; both arguments `(channels or labels, *grid)`."""
        dims = image.ndim - 1
        features, layout = np.empty(32 + 2 * len(logits)), np.empty(512, np.float32)
        grid = _sizes((1,) * (3 - dims) + image.shape[1:])
        count = self.__getattr__("measure")(
            np.ascontiguousarray(image), ctypes.c_int32(dims), len(image), grid,
            np.ascontiguousarray(logits), ctypes.c_int32(len(logits)), features, layout,
        )  # fmt: skip
        return features[:count], layout[: 16**2 if dims == 2 else 8**3]

    @staticmethod
    def _place(geometry: Geometry, plan: Preprocessing):
        affine = None if geometry.is_picture else np.ascontiguousarray(geometry.affine)
        shape = np.array(geometry.shape, np.int64)
        return ctypes.byref(Settings(plan)), ctypes.c_int32(len(shape)), shape, affine


def _sizes(values):
    return np.array(values, np.int64)


def _as_c(value):
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        return value.ctypes.data_as(ctypes.c_void_p)
    return ctypes.c_int64(value) if isinstance(value, int) else value


@pytest.fixture(scope="session")
def build_steps():
    """Compile a source with the steps; further flags say how."""

    def build(source: Path, target: Path, *flags: str) -> Path:
        # As for WebAssembly: exceptions and type information are not needed.
        common = (*FLAGS, "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror")
        command = [compiler_or_skip(), *common, *flags, source, *SOURCES, "-o", target]
        subprocess.run(command, check=True)
        return target

    return build


@pytest.fixture(scope="session")
def steps(build_steps, tmp_path_factory) -> Steps:
    """Every step of csrc/images."""
    target = tmp_path_factory.mktemp("images_native") / "steps.so"
    harness = Path(__file__).with_name("harness.cpp")
    return Steps(build_steps(harness, target, "-O2", "-fPIC", "-shared"))
