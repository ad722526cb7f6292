"""Compare a folder of predicted masks with references, and report it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lightm_unet.errors import DataError, UsageError
from lightm_unet.evaluation.masks import read_pair, refuse_image
from lightm_unet.evaluation.pairing import Pair, Pairing, pair_masks
from lightm_unet.evaluation.scores import (
    CaseScores,
    Evaluation,
    FailedCase,
    present_labels,
    score_case,
)
from lightm_unet.evaluation.seen_cases import warn_of_seen_cases
from lightm_unet.evaluation.settings import EvaluationSettings
from lightm_unet.imaging.image import WHITES, has_spacing
from lightm_unet.system.extras import require_extra
from lightm_unet.system.files import check_output_folder
from lightm_unet.system.progress import Progress, track
from lightm_unet.system.values import number, path, words

_log = logging.getLogger(__name__)


def evaluate(
    predictions: Path,
    references: Path,
    output: Path | None = None,
    *,
    images: Path | None = EvaluationSettings.images,
    labels: Sequence[str] | None = EvaluationSettings.labels,
    tolerance_mm: float = EvaluationSettings.tolerance_mm,
    progress: Progress | None = None,
) -> Evaluation:
    """Score predicted masks against references: Dice, IoU, HD95 and surface Dice per class.

    Masks are paired by file name; both masks of a pair must have the same grid. A case that cannot
    be scored does not stop the others: it is listed in `Evaluation.failed` with the reason.

    Args:
        predictions: a mask, or a folder of masks.
        references: a mask, a folder of masks, or a data set in nnU-Net's layout, which also
                provides the names of the labels and the images for the pictures.
        output: folder for `cases.csv`, `summary.json` and `report.html`, which are replaced if
                they are there; None writes nothing.
        images: images to draw the pictures on; by default those of the data set.
        labels: names of the label values 1, 2, ...; a value beyond them is then an error. By
            default the names of the data set, or those that `predict` recorded beside its masks.
        tolerance_mm: distance up to which boundaries agree, for the surface Dice. Pixels where
            the files store no spacing (PNG, JPEG, TIFF, BMP).
        progress: called with an event for each case.

    Raises:
        DataError: a path is missing or contains no masks, or no case can be scored.
        UsageError: an argument that cannot be used, such as a tolerance below 0 or two labels of
                one name; two masks have the same name, NIfTI and pictures are mixed, in a pair
                or among the pairs, or the output cannot be written.
        MissingPartError: `output` is given, and a package for the report is not installed.
    """
    predictions, references = path("predictions", predictions), path("references", references)
    output = None if output is None else path("output", output)
    images = None if images is None else path("images", images)
    labels = None if labels is None else words("labels", labels)
    tolerance_mm = number("tolerance_mm", tolerance_mm)
    if output is not None:
        require_extra("report", "a report", "jinja2")
        from lightm_unet.evaluation.report import FILES

        check_output_folder(output, FILES)
    start = time.perf_counter()
    pairing = pair_masks(predictions, references, images)
    names_of_masks = [pair.name for pair in pairing.pairs]
    if remark := warn_of_seen_cases(predictions, references, names_of_masks):
        _log.warning("%s", remark)
    unit = _unit(pairing.pairs)
    names = _given_names(labels, pairing)
    strict = labels is not None or pairing.names_are_complete
    classes = len(names) + 1 if names else None

    cases: list[CaseScores] = []
    failed = list(pairing.unpaired)
    errors: list[DataError] = []
    for pair in track(pairing.pairs, "evaluate", progress, lambda pair: pair.name):
        try:
            pred, ref, geometry = read_pair(pair, classes)
            if strict:
                _check_values(pred, pair.prediction, names)
                _check_values(ref, pair.reference, names)
        except DataError as error:
            errors.append(error)
            failed.append(FailedCase(pair.name, str(error)))
        else:
            cases.append(score_case(pair.name, pred, ref, geometry.steps_mm, tolerance_mm))
    if classes is None:
        for refusal, name in _white_is_no_label(cases, pairing.pairs):
            errors.append(refusal)
            failed.append(FailedCase(name, str(refusal)))
        unusable = {case.name for case in failed}
        cases = [case for case in cases if case.name not in unusable]
    if not cases:
        raise errors[0]

    evaluation = Evaluation(
        label_names=_complete_names(names, cases),
        cases=tuple(cases),
        failed=tuple(sorted(failed, key=lambda case: case.name)),
        unit=unit,
        tolerance=tolerance_mm,
        predictions=predictions,
        references=references,
        seconds=time.perf_counter() - start,
        classes=classes,
    )
    _warn_if_nothing_in_common(evaluation)
    if output is not None:
        from lightm_unet.evaluation.report import write_report

        pairs = {pair.name: pair for pair in pairing.pairs}
        write_report(evaluation, pairs, pairing.label_colours, output)
    return evaluation


def _white_is_no_label(
    cases: Sequence[CaseScores], pairs: Iterable[Pair]
) -> Iterator[tuple[DataError, str]]:
    """The cases in which white was taken for label 1, though other cases have more labels."""
    most = max((label for case in cases for label in case.labels), default=0)
    one_label = {case.name for case in cases if set(case.labels) <= {1}}
    for pair in pairs if most > 1 else ():
        if pair.name in one_label:
            try:
                read_pair(pair, min(most + 1, min(WHITES)))
            except DataError as error:
                yield error, pair.name


def _unit(pairs: Iterable[Pair]) -> str:
    """The unit of all distances.

    Raises:
        UsageError: NIfTI and pictures are mixed, within a pair or among the pairs.
    """
    with_spacing = {}
    for pair in pairs:
        of_pair = has_spacing(pair.reference)
        if has_spacing(pair.prediction) != of_pair:
            raise UsageError(
                f"{pair.prediction} and {pair.reference} are a picture and a NIfTI or DICOM file, "
                "whose axes run differently: no voxel of one is known to be that of the other; "
                "give both masks in the format of the image"
            )
        with_spacing[of_pair] = pair.name
    if len(with_spacing) > 1:
        raise UsageError(
            f"some masks are NIfTI or DICOM, with a voxel size ({with_spacing[True]}), and some "
            f"are pictures, without one ({with_spacing[False]}); their distances cannot be "
            "averaged: evaluate them separately"
        )
    return "mm" if set(with_spacing) == {True} else "px"


def _given_names(labels: Sequence[str] | None, pairing: Pairing) -> dict[int, str]:
    if labels is not None:
        return dict(enumerate(labels, start=1))
    return dict(list(enumerate(pairing.label_names or ("background",)))[1:])


def _check_values(mask: np.ndarray, path: Path, names: Mapping[int, str]) -> None:
    if unknown := sorted(present_labels(mask) - set(names)):
        refuse_image(path)
        raise DataError(
            path,
            f"the label value {unknown[0]}",
            "0 to " + str(max(names, default=0)) + f" ({', '.join(names.values())})",
            "correct the mask or name the value",
        )


def _warn_if_nothing_in_common(evaluation: Evaluation) -> None:
    """Say that no label is in any prediction and in any reference: perhaps they are encoded
    differently, such as 128 in one and 1 in the other."""
    labels = sorted(evaluation.label_names)
    scores = {label: [case.of(label) for case in evaluation.cases] for label in labels}
    predicted = [n for n in labels if any(each.pred_voxels for each in scores[n])]
    expected = [n for n in labels if any(each.ref_voxels for each in scores[n])]
    if predicted and expected and not set(predicted) & set(expected):
        _log.warning(
            "the predictions hold the label values %s, the references %s: no value in common, so "
            "every score is 0; if they stand for the same structures, renumber one of them",
            ", ".join(map(str, predicted)),
            ", ".join(map(str, expected)),
        )


def _complete_names(names: Mapping[int, str], cases: Iterable[CaseScores]) -> dict[int, str]:
    """The names, and `label N` for every value that occurs without one."""
    found = {label for case in cases for label in case.labels}
    return {label: names.get(label, f"label {label}") for label in sorted(found | set(names))}
