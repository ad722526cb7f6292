"""DICOM read in a process of its own, with a limit on its memory and its time.

Decoders of compressed images are large programs in C that meet files from everywhere. What goes
wrong in one of them, a crash, an endless loop or a demand for all memory, ends a child, and becomes
one line about one image.

    the parent asks     the files, and how to read them
    the child answers   the grid, what it has to say, and a file with the voxels
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from lightm_unet.errors import DataError
from lightm_unet.imaging.dicom.archive import Archive
from lightm_unet.imaging.dicom_source import DicomFile, FramePlace, Source
from lightm_unet.imaging.geometry import Geometry
from lightm_unet.imaging.image import Image, read_image
from lightm_unet.system.memory import machine_bytes
from lightm_unet.system.subprocesses import Child, ChildError, join_parent, python_module

_log = logging.getLogger(__name__)

MOST_BYTES = 8 * 2**30
"""That a child may take for an image, on machines that have twice as much; else half of theirs."""
MOST_SECONDS = 600.0
"""That an image may take."""
_VOXELS = "voxels.npy"


class IsolatedReader:
    """Reads one image after another in a child, which is started anew after each failure.

    Args:
        most_bytes: that the child may take beyond what it starts with.
        most_seconds: that one image may take.
    """

    def __init__(self, most_bytes: int | None = None, most_seconds: float = MOST_SECONDS) -> None:
        self.most_bytes = most_bytes or min(MOST_BYTES, machine_bytes() // 2)
        self.most_seconds = most_seconds
        self._child: Child | None = None

    def read(self, files: Sequence[DicomFile], channels: int, nan_as: float | None) -> Image:
        """As `read_image`.

        Raises:
            DataError: as `read_image`; or the child crashed, or needed too much memory or time.
        """
        child = self._child = self._child or Child(python_module(__name__, str(self.most_bytes)))
        request = {
            "files": [[str(file.path), file.member] for file in files],
            "channels": channels,
            "nan_as": nan_as,
            "voxels": str(child.folder / _VOXELS),
        }
        late = threading.Event()

        def end() -> None:
            late.set()
            child.end()

        timer = threading.Timer(self.most_seconds, end)
        timer.start()
        try:
            answer = child.ask(request)
        except ChildError as error:
            self.close()
            found = (
                f"an image that is not read within {self.most_seconds:g} s"
                if late.is_set()
                else f"an image that cannot be read in a process of its own: {error}"
            )
            raise DataError(
                files[0].shown, found, "a DICOM image that can be read", "export it again"
            ) from error
        finally:
            timer.cancel()
        for level, line in answer["lines"]:
            _log.log(level, "%s", line)
        if problem := answer.get("problem"):
            path, *rest = problem
            raise DataError(Path(path), *rest)
        return _image(answer, files, child.folder / _VOXELS)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None


def _image(answer: Mapping[str, Any], files: Sequence[DicomFile], voxels: Path) -> Image:
    array = np.load(voxels, allow_pickle=False)
    voxels.unlink()
    grid = answer["grid"]
    source = Source(
        tuple(FramePlace(files[index], number) for index, number in grid["slices"]),
        grid["frame_of_reference"],
    )
    geometry = Geometry(
        tuple(grid["shape"]),
        np.array(grid["affine"]),
        grid["unit_axes"],
        stored_shape=tuple(grid["stored_shape"]),
        dicom=source,
        radiograph=grid["radiograph"],
    )
    return Image(array, geometry, Path(answer["path"]))


def _answer(request: Mapping[str, Any], said: list[tuple[int, str]]) -> dict[str, Any]:
    """What the child answers."""
    archives: dict[str, Archive] = {}
    files = [
        DicomFile(
            Path(path), member, archives.setdefault(path, Archive(Path(path))) if member else None
        )
        for path, member in request["files"]
    ]
    try:
        image = read_image(files, request["channels"], nan_as=request["nan_as"])
    except DataError as error:
        problem = [str(error.path), error.found, error.expected, error.advice]
        return {"problem": problem, "lines": said}
    except MemoryError:
        return {"error": "it needs more memory than it may take"}
    np.save(request["voxels"], image.array, allow_pickle=False)
    geometry = image.geometry
    assert geometry.dicom is not None  # as every DICOM image has it
    place_of = {file: index for index, file in enumerate(files)}
    return {
        "path": str(image.path),
        "lines": said,
        "grid": {
            "shape": geometry.shape,
            "affine": geometry.affine.tolist(),
            "unit_axes": geometry.unit_axes,
            "stored_shape": geometry.stored_shape,
            "radiograph": geometry.radiograph,
            "slices": [(place_of[place.file], place.number) for place in geometry.dicom.slices],
            "frame_of_reference": geometry.dicom.frame_of_reference,
        },
    }


def _limit_memory(most_bytes: int) -> None:
    """Let this process take so much beyond what it holds, where the system can say so."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limits
        import resource

        most = psutil.Process().memory_info().vms + most_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _serve() -> None:
    """Be the child."""
    requests, answers = join_parent()
    said: list[tuple[int, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(  # type: ignore[method-assign]
        (record.levelno, record.getMessage())
    )
    logger = logging.getLogger("lightm_unet")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    import pydicom.pixels  # noqa: F401  what reading needs is there before the limit

    _limit_memory(int(sys.argv[1]))
    for line in requests:
        said.clear()
        print(json.dumps(_answer(json.loads(line), said)), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
