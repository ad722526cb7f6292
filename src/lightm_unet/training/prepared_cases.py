"""Cases preprocessed once and stored as plain arrays in the run's folder.

Reading and resizing a CT scan takes seconds, a training step a fraction of a second. Each case is
therefore preprocessed on first use and afterwards mapped into memory: cutting a patch reads only
the pages of the patch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from lightm_unet.datasets.dataset import Case, Dataset, open_case_images, open_case_labels
from lightm_unet.preprocessing.apply import preprocess_image, preprocess_labels
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.files import open_sealed, seal_holds
from lightm_unet.system.json_codec import to_json
from lightm_unet.system.progress import Progress, track
from lightm_unet.system.records import digest
from lightm_unet.training.fingerprint import describe_files

_FORM = 2
"""Version of the stored form; increase it when the form changes: older files are then ignored."""
_PLACES_PER_LABEL = 2_000


class PreparedCases(torch.utils.data.Dataset):
    """Preprocessed cases with labels; an item is `(image, labels, name)`.

    `image` is float32 `(channels, *grid)`, `labels` uint8 `(*grid)`. The tensors are mapped from
    files, copy on write: changes stay in memory.

    A stored case is reused only for the same preprocessing and source files of the same content;
    otherwise it is prepared again and stored beside the old one. `prepare` also replaces stored
    files that are damaged. From then on, the source files are not looked at again.

    Args:
        dataset: the data set with the cases.
        case_names: the names of the cases, in order.
        preprocessing: converts a case to the network's input.
        folder: folder for the arrays; made if missing. Several objects may share it.
        files: `describe_files` of each case, where that is known.

    Raises:
        DataError: `dataset` has no such case; when an item is read, the case cannot be used.
    """

    def __init__(
        self,
        dataset: Dataset,
        case_names: Sequence[str],
        preprocessing: Preprocessing,
        folder: Path,
        files: Mapping[str, dict[str, str]] | None = None,
    ) -> None:
        self.dataset = dataset
        self.preprocessing = preprocessing
        self.folder = Path(folder)
        self.cases = [dataset.case(name) for name in case_names]
        self.files = {name: files[name] for name in case_names} if files else {}
        """What `describe_files` says of each case, when `prepare` has seen it."""
        self._described: dict[str, tuple[list[tuple[int, int]], dict[str, str]]] = {}

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, str]:
        image, labels, _ = self._arrays(index)
        return torch.from_numpy(image), torch.from_numpy(labels), self.cases[index].name

    def foreground(self, index: int) -> np.ndarray:
        """Positions of foreground voxels: up to 2000 per label, drawn once at random.

        Returns:
            int32, `(places, 1 + spatial_dims)`: the label, then the voxel's index on the grid.
        """
        return self._arrays(index)[2]

    def prepare(self, task: str = "prepare cases", progress: Progress | None = None) -> None:
        """Prepare every case now, so that an unusable case is found before training.

        Files from an earlier start are read once, to see that they are whole.

        Args:
            task: description of these cases for `progress`.
            progress: called with an event for each case.
        """
        names = [case.name for case in self.cases]
        for index in track(range(len(self)), task, progress, names.__getitem__):
            case = self.cases[index]
            self.files[case.name] = self._describe(case)
            paths = self._paths(case)
            if not all(map(seal_holds, paths)):
                self._store(case, paths)

    def _arrays(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, labels and foreground positions, mapped from their files."""
        case = self.cases[index]
        paths = self._paths(case)
        if not all(path.exists() for path in paths):
            self._store(case, paths)
        # "c", copy on write: torch warns about arrays that cannot be written.
        image, labels, places = (np.load(path, mmap_mode="c", allow_pickle=False) for path in paths)
        return image, labels, places

    def _store(self, case: Case, paths: Sequence[Path]) -> None:
        for array, path in zip(self._prepare(case), paths, strict=True):
            with open_sealed(path) as file:
                np.save(file, array, allow_pickle=False)

    def _prepare(self, case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        image = open_case_images(self.dataset, case)
        labels = open_case_labels(self.dataset, case, image.geometry)
        tensor, record = preprocess_image(image, self.preprocessing)
        grid_labels = preprocess_labels(labels, record).numpy()
        return tensor.numpy(), grid_labels, _foreground_places(grid_labels)

    def _paths(self, case: Case) -> list[Path]:
        """Where a case's arrays are; the names tell everything that they depend on."""
        content = {
            "form": _FORM,
            "preprocessing": to_json(self.preprocessing),
            "labels": len(self.dataset.label_names),
            "files": list(self._describe(case).values()),
        }
        stem = f"{case.name}-{digest(content)[:16]}"
        return [self.folder / f"{stem}.{kind}.npy" for kind in ("image", "labels", "foreground")]

    def _describe(self, case: Case) -> dict[str, str]:
        """`describe_files`; digests are computed again where a file's time or size changed."""
        if case.name in self.files:
            return self.files[case.name]
        stats = [
            (file.stat().st_size, file.stat().st_mtime_ns)
            for file in (*case.images, *([case.labels] if case.labels else []))
        ]
        known, description = self._described.get(case.name, (None, {}))
        if known != stats:
            description = describe_files(self.dataset, case)
            self._described[case.name] = (stats, description)
        return description


def _foreground_places(labels: np.ndarray) -> np.ndarray:
    """Up to `_PLACES_PER_LABEL` voxels of each label: `(places, 1 + dims)`, label first."""
    generator = np.random.default_rng(0)
    flat = labels.ravel()
    found = [np.zeros((0, 1 + labels.ndim), np.int32)]
    for label in np.unique(flat[flat > 0]):
        voxels = np.flatnonzero(flat == label)
        if voxels.size > _PLACES_PER_LABEL:
            voxels = np.sort(generator.choice(voxels, _PLACES_PER_LABEL, replace=False))
        index = np.stack(np.unravel_index(voxels, labels.shape), axis=1)
        found.append(np.insert(index, 0, label, axis=1).astype(np.int32))
    return np.concatenate(found)
