"""Which mask belongs to which image, by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lightm_unet.imaging.dicom_source import DICOM_ENDINGS
from lightm_unet.imaging.image import IMAGE_ENDINGS, is_image_name, split_ending

IMAGE_WORDS = ("image", "images", "img", "imgs", "im", "photo", "scan", "volume", "vol", "raw")
MASK_WORDS = (
    *("mask", "masks", "seg", "segs", "segmentation", "segmentations", "label", "labels", "lbl"),
    *(
        "gt",
        "groundtruth",
        "ground_truth",
        "truth",
        "annotation",
        "annotations",
        "anno",
        "manual",
        "roi",
    ),
)


@dataclass(frozen=True)
class Matches:
    """The pairs that are certain, and every file that is in none."""

    pairs: tuple[tuple[Path, Path], ...]
    """Image and mask, sorted by the image's path."""
    problems: tuple[str, ...]
    """One line for each image without a mask, mask without an image, and choice of several."""


def list_images(folder: Path) -> list[Path]:
    """All images in a folder and below it, without hidden ones."""
    return sorted(
        file
        for file in folder.rglob("*")
        if is_image_name(file)
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def match_names(
    images: Path,
    masks: Path,
    more_images: Collection[Path] = (),
    more_masks: Collection[Path] = (),
) -> Matches:
    """Pair the images of a folder with the masks of another, or of the same.

    Names are compared without their ending and without regard to capitals: first as they are, then
    without the words that say what a file is (`case_mask`, `seg-case`, `image_001` and
    `mask_001`), then without nnU-Net's `_0000`. Files lie in the same subfolder, or one of them
    lies in none. One DICOM image and one mask alone are a pair, as exports have names of their own.

    Args:
        images: the folder of the images.
        masks: the folder of the masks. If one folder lies in the other, or is the other, a file
            belongs to the inner one; in one folder, names with a mask's word are masks.
        more_images: DICOM images, at or below their folder: files or folders whose names count.
        more_masks: the same for masks.
    """
    left = sorted({*list_images(images), *more_images})
    right = sorted({*list_images(masks), *more_masks})
    if images.resolve() == masks.resolve():
        right = [file for file in right if _is_named_mask(name_of(file))]
        left = [file for file in left if file not in right]
    elif images.resolve().is_relative_to(masks.resolve()):
        right = [file for file in right if not file.is_relative_to(images)]
    else:
        left = [file for file in left if not file.is_relative_to(masks)]

    if len(left) == len(right) == 1 and left[0] in more_images:
        return Matches(((left[0], right[0]),), ())
    pairs: list[tuple[Path, Path]] = []
    problems: list[str] = []
    for of_image, of_mask in _WAYS:
        for use_folder in (True, False):
            for group in _meet(left, images, of_image, right, masks, of_mask, use_folder):
                if len(group[0]) == len(group[1]) == 1:
                    pairs.append((group[0][0], group[1][0]))
                else:
                    problems.append(
                        f"{_named(group[0], images)} could go with {_named(group[1], masks)}: "
                        "keep one image and one mask of each name"
                    )
                left = [file for file in left if file not in group[0]]
                right = [file for file in right if file not in group[1]]
    problems += [f"{file}: no mask of this name in {masks}" for file in left]
    problems += [f"{file}: no image of this name in {images}" for file in right]
    return Matches(tuple(sorted(pairs)), tuple(problems))


def match_case_names(left: Collection[str], right: Collection[str]) -> dict[str, str]:
    """The partner of each name on the left, among those on the right.

    Equal names are partners. Another name has a partner where exactly one name on each side is the
    same without capitals and without words such as `_mask` or `seg-`. Not without nnU-Net's
    `_0000`: that marks images, which are no masks.

    Example:
        >>> match_case_names(["a", "b", "c", "c_seg"], ["a", "b_mask", "label_c"])
        {'a': 'a', 'b': 'b_mask'}
    """
    partners = {name: name for name in left if name in right}
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for side, names in ((0, left), (1, right)):
        for name in names:
            core = _core(name, MASK_WORDS).casefold()
            groups.setdefault(core, ([], []))[side].append(name)
    for ours, theirs in groups.values():
        if len(ours) == len(theirs) == 1:
            partners[ours[0]] = theirs[0]
    return partners


def case_names(images: Sequence[Path], root: Path) -> dict[Path, str]:
    """A name for each image's case: the file's own, with its folders where that is not enough."""
    own = {file: re.sub(r"_0000$", "", name_of(file)) for file in images}
    count: dict[str, int] = {}
    for name in own.values():
        count[name.casefold()] = count.get(name.casefold(), 0) + 1
    return {
        file: name
        if count[name.casefold()] == 1
        else "_".join([*file.relative_to(root).parent.parts, name])
        for file, name in own.items()
    }


def name_of(path: Path) -> str:
    """The name of an image without its ending; of a folder of DICOM, the folder's.

    Example:
        >>> name_of(Path("a.nii.gz")), name_of(Path("patient.1"))
        ('a', 'patient.1')
    """
    name = path.name.lower()
    known = any(name.endswith(ending) for ending in (*IMAGE_ENDINGS, *DICOM_ENDINGS))
    return split_ending(path)[0] if known else path.name


def _meet(
    left: Iterable[Path],
    left_root: Path,
    of_left: Callable[[str], str],
    right: Iterable[Path],
    right_root: Path,
    of_right: Callable[[str], str],
    use_folder: bool,
) -> list[tuple[list[Path], list[Path]]]:
    """Files of both sides with one name; without `use_folder` one side has no subfolders."""
    groups: dict[tuple[str, str], tuple[list[Path], list[Path]]] = {}
    folders: tuple[set[str], set[str]] = set(), set()
    for side, files, root, of in (
        (0, left, left_root, of_left),
        (1, right, right_root, of_right),
    ):
        for file in files:
            folder = _folder(file, root)
            folders[side].add(folder)
            key = (folder if use_folder else "", of(name_of(file)).casefold())
            groups.setdefault(key, ([], []))[side].append(file)
    if not use_folder and {""} not in folders:
        return []
    return [group for group in groups.values() if group[0] and group[1]]


def _folder(file: Path, root: Path) -> str:
    """The subfolder, without folders that only say what is in them, such as `masks`."""
    parts = [part.casefold() for part in file.relative_to(root).parent.parts]
    return "/".join(part for part in parts if part not in (*IMAGE_WORDS, *MASK_WORDS))


def _without_word(name: str, words: Sequence[str]) -> str:
    """A name without one such word at its beginning or its end; as it is if nothing is left.

    Example:
        >>> _without_word("case_1_Mask", MASK_WORDS), _without_word("mask001", MASK_WORDS)
        ('case_1', '001')
        >>> _without_word("CaseMask", MASK_WORDS), _without_word("damask", MASK_WORDS)
        ('Case', 'damask')
    """
    either = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    gap = r"[\s_.\-]+"
    for pattern in (
        rf"{gap}(?i:{either})$|(?<=\d)(?i:{either})$",
        rf"^(?i:{either}){gap}|^(?i:{either})(?=\d)",
        "(?<=[a-zA-Z])(?:" + "|".join(("GT", *(word.title() for word in words))) + ")$",
        rf"^(?i:{either})(?=[A-Z])",
    ):
        shorter = re.sub(pattern, "", name)
        if shorter and shorter != name:
            return shorter
    return name


def _core(name: str, words: Sequence[str]) -> str:
    """A name without any such words at its beginning and its end."""
    while (shorter := _without_word(name, words)) != name:
        name = shorter
    return name


def _channel_core(name: str, words: Sequence[str]) -> str:
    return _core(re.sub(r"_0000$", "", name), words)


_WAYS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (str, str),
    (str, partial(_without_word, words=MASK_WORDS)),
    (partial(_core, words=IMAGE_WORDS), partial(_core, words=(*MASK_WORDS, *IMAGE_WORDS))),
    (
        partial(_channel_core, words=IMAGE_WORDS),
        partial(_channel_core, words=(*MASK_WORDS, *IMAGE_WORDS)),
    ),
)
"""What an image's name and a mask's name must have in common, the surest way first."""


def _is_named_mask(name: str) -> bool:
    return _without_word(name, MASK_WORDS) != name


def _named(files: Sequence[Path], root: Path) -> str:
    return " and ".join(str(file.relative_to(root)) for file in files)
