"""The page's readers and writers, run by node, for the tests that compare them with Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "page"
SHARED = PAGE.parents[1] / "shared" / "data"
"""Real images, where the machine has them."""

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (PAGE / "node_modules" / "esbuild").is_dir(),
    reason="needs node and the page's packages: npm ci in page/",
)


@dataclass(frozen=True)
class Seen:
    """What the page makes of files: an image, or the sentence in which it refuses them."""

    told: dict[str, Any]
    values: np.ndarray | None
    """float32, `(channels, *shape)`."""

    @property
    def error(self) -> str | None:
        """The sentence; None for an image."""
        return self.told.get("error")

    @property
    def affine(self) -> np.ndarray:
        """4x4."""
        return np.reshape(self.told["affine"], (4, 4))


def node(script: str, *words: Any) -> str:
    """Run a script of page/tests/support; its standard output."""
    done = subprocess.run(
        ["node", PAGE / "tests" / "support" / script, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_all(
    cases: Sequence[Path | Sequence[Path]], folder: Path, channels: int = 1
) -> list[list[Seen]]:
    """Let the page read files that come together, each case on its own.

    Args:
        cases: the files of each case.
        folder: for what passes between the two programs; it exists.
        channels: of the model that the images are for.

    Returns:
        The images of each case.
    """
    listed = [[case] if isinstance(case, Path) else list(case) for case in cases]
    described = [{"files": list(map(str, files)), "channels": channels} for files in listed]
    (folder / "cases.json").write_text(json.dumps(described))
    node("read.mjs", folder / "cases.json", folder)
    return [_seen(folder, number) for number in range(len(listed))]


def read(cases: Sequence[Path | Sequence[Path]], folder: Path, channels: int = 1) -> list[Seen]:
    """As `read_all`, for cases of one image each."""
    images = read_all(cases, folder, channels)
    assert all(len(each) == 1 for each in images), [[seen.told for seen in each] for each in images]
    return [seen for (seen,) in images]


def _seen(folder: Path, number: int) -> list[Seen]:
    images = []
    for index, told in enumerate(json.loads((folder / f"{number}.json").read_text())):
        values = None
        if "error" not in told:
            values = np.fromfile(folder / f"{number}_{index}.f32", np.float32)
            values = values.reshape(told["channels"], *told["shape"])
        images.append(Seen(told, values))
    return images


MODEL = {
    "dims": 3,
    "channels": 1,
    "labels": [
        {"name": "background", "colour": [0, 0, 0]},
        {"name": "liver", "colour": [221, 130, 101]},
        {"name": "Zwölffingerdarm\\", "colour": [10, 20, 230]},
        {"name": "not there", "colour": [255, 255, 255]},
    ],
}
"""What the page needs of a model with three labels."""


def write(cases: Sequence[tuple[Sequence[Path], np.ndarray]], folder: Path) -> None:
    """Let the page write masks, each in all forms that it offers.

    Args:
        cases: an image's files, and its labels in its own axes.
        folder: gets N.nii.gz, N_seg.dcm, N.png and so on for case N.
    """
    described = []
    for number, (files, labels) in enumerate(cases):
        path = folder / f"{number}.labels"
        path.write_bytes(np.ascontiguousarray(labels, np.uint8).tobytes())
        described.append(
            {"files": list(map(str, files)), "channels": 1, "labels": str(path), "model": MODEL}
        )
    (folder / "masks.json").write_text(json.dumps(described))
    node("write.mjs", folder / "masks.json", folder)
