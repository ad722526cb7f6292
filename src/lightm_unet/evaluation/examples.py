"""The best, the median and the worst case of an evaluation, drawn for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightm_unet.errors import DataError
from lightm_unet.evaluation.masks import read_pair
from lightm_unet.evaluation.pairing import Pair
from lightm_unet.evaluation.scores import CaseScores, Evaluation
from lightm_unet.evaluation.tables import show
from lightm_unet.imaging.image import has_spacing, read_image
from lightm_unet.reporting.examples import pick_examples
from lightm_unet.reporting.palette import Colour
from lightm_unet.reporting.pictures import draw_case

MOST_NAMED = 6
"""Classes of a case that are named beside its pictures; the lowest scores come first."""


def draw_examples(
    evaluation: Evaluation, pairs: Mapping[str, Pair], colours: Mapping[int, Colour]
) -> list[dict[str, Any]]:
    """Up to three cases, as the page's macro for examples takes them.

    Cases are ranked by the mean Dice over the classes that they have. A case without any class in
    either mask has no score and is not shown.

    Args:
        evaluation: what `evaluate` found.
        pairs: the files of every case, by name.
        colours: by label value.
    """
    cases = {case.name: case for case in evaluation.cases}
    dice = {name: evaluation.case_mean(case, "dice") for name, case in cases.items()}
    return [
        _draw(evaluation, title, cases[name], pairs[name], colours)
        for title, name in pick_examples(dice)
    ]


def _draw(
    evaluation: Evaluation,
    title: str,
    case: CaseScores,
    pair: Pair,
    colours: Mapping[int, Colour],
) -> dict[str, Any]:
    pred, ref, geometry = read_pair(pair, evaluation.classes)
    image, note = None, ""
    if pair.image is not None and has_spacing(pair.image) != has_spacing(pair.reference):
        note = f"The image is not shown: of image and masks only one is NIfTI: {pair.image}"
    elif pair.image is not None:
        try:
            image = read_image(pair.image)
            if image.geometry.shape != ref.shape:
                image, note = None, f"The image's shape differs from the masks': {pair.image}"
        except DataError as error:  # the scores do not need the image
            note = f"The image is not shown: {error}"
    pictures = draw_case(
        None if image is None else image.array,
        pred,
        ref,
        geometry,
        colours,
        is_photo=not has_spacing(pair.reference),
    )
    detail = _scores(evaluation, case)
    return {
        "title": title,
        "name": case.name,
        "detail": detail,
        "pictures": [
            (
                picture,
                [picture.caption] if picture.caption else [],
                ", ".join(filter(None, (case.name, picture.caption)))
                + f": reference and prediction; {detail}",
            )
            for picture in pictures
        ],
        "note": note,
    }


def _scores(evaluation: Evaluation, case: CaseScores) -> str:
    """Such as "mean DSC 0.812 (tumour 0.7, liver 0.924)"."""
    scored = sorted(
        (case.of(label).dice, name)
        for label, name in evaluation.label_names.items()
        if case.occurs(label)
    )
    mean = show("dice", evaluation.case_mean(case, "dice"))
    if len(scored) == 1:
        return f"DSC {mean}" + (f" ({scored[0][1]})" if len(evaluation.label_names) > 1 else "")
    named = ", ".join(f"{name} {show('dice', dice)}" for dice, name in scored[:MOST_NAMED])
    more = f", {len(scored) - MOST_NAMED} more" if len(scored) > MOST_NAMED else ""
    return f"mean DSC {mean} ({named}{more})"
