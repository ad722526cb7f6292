import math

import numpy as np
import pytest

from lightm_unet.evaluation.scores import (
    ABSENT,
    METRICS,
    CaseScores,
    Evaluation,
    LabelScores,
    present_labels,
    score_case,
)


def evaluation(cases, labels=(1, 2)):
    return Evaluation(
        label_names={label: f"label {label}" for label in labels},
        cases=tuple(cases),
        failed=(),
        unit="mm",
        tolerance=2.0,
        predictions="p",
        references="r",
        seconds=0.0,
    )


def case(name, **dice):
    scores = {
        int(key[1:]): LabelScores(value, 0.0, 0.0, 0.0, pred_voxels=1, ref_voxels=1)
        for key, value in dice.items()
    }
    return CaseScores(name, scores, (1.0, 1.0, 1.0))


def test_a_case_is_scored_label_by_label():
    ref = np.zeros((4, 4, 4), dtype=np.uint8)
    pred = ref.copy()
    ref[0, 0, :4] = 1
    pred[0, 0, :2] = 1
    pred[0, 0, 2:] = 2  # the second half of label 1 is taken for label 2
    scores = score_case("a", pred, ref, (1.0, 1.0, 1.0), tolerance=1.0)
    assert scores.of(1).dice == pytest.approx(2 * 2 / (2 + 4))
    assert (scores.of(1).pred_voxels, scores.of(1).ref_voxels) == (2, 4)
    assert scores.of(1).nsd == pytest.approx((2 + 3) / (2 + 4))
    assert (scores.of(2).dice, scores.of(2).hd95) == (0, math.inf)
    assert scores.of(3) == ABSENT


def test_distances_use_each_axis_own_spacing():
    ref, pred = np.zeros((2, 8, 8), dtype=np.uint8), np.zeros((2, 8, 8), dtype=np.uint8)
    ref[:, 1, 1] = pred[:, 1, 4] = 1
    assert score_case("a", pred, ref, (9.0, 5.0, 0.5), tolerance=2.0).of(1).hd95 == 1.5


def test_a_case_without_any_label_has_no_scores():
    empty = np.zeros((3, 3), dtype=np.uint8)
    assert score_case("a", empty, empty, (1.0, 1.0), tolerance=2.0).labels == {}


def test_labels_beyond_a_byte_are_found():
    assert present_labels(np.array([0, 300, 5])) == {5, 300}


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        score_case("a", np.zeros((2, 2), int), np.zeros((2, 3), int), (1.0, 1.0), tolerance=2.0)


def test_the_mean_is_over_cases_first_and_then_over_classes():
    result = evaluation([case("a", _1=1.0, _2=0.5), case("b", _1=0.0, _2=0.5), case("c", _1=0.5)])
    assert result.summary(1, "dice").mean == 0.5
    # Case c has label 2 in neither mask and so no score of it.
    assert result.summary(2, "dice").mean == 0.5
    assert (result.summary(2, "dice").n, result.summary(2, "dice").undefined) == (2, 1)
    assert result.mean("dice") == 0.5
    assert result.case_mean(result.cases[0], "dice") == 0.75
    assert result.case_mean(result.cases[2], "dice") == 0.5


def test_a_class_that_is_nowhere_has_no_score_and_does_not_raise_the_mean():
    result = evaluation([case("a", _1=0.5), case("b")], labels=[1, 2])
    assert result.occurs(1)
    assert not result.occurs(2)
    for metric in METRICS:
        assert math.isnan(result.summary(2, metric).mean)
        assert math.isnan(result.case_mean(result.cases[1], metric))
    assert result.mean("dice") == 0.5


def test_hd95_without_a_value_is_counted_and_left_out():
    distances = [1.0, 3.0, math.inf, math.nan]
    cases = [
        CaseScores(str(d), {1: LabelScores(0.5, 0.5, d, 0.5, 1, 1)}, (1.0, 1.0)) for d in distances
    ]
    summary = evaluation(cases, labels=[1]).summary(1, "hd95")
    assert (summary.mean, summary.n, summary.infinite, summary.undefined) == (2.0, 2, 1, 1)


def test_the_order_of_means_shows_where_distances_are_left_out():
    def two_labels(name, first, second):
        scores = {1: first, 2: second}
        labels = {label: LabelScores(0.5, 0.5, d, 0.5, 1, 1) for label, d in scores.items()}
        return CaseScores(name, labels, (1.0, 1.0))

    result = evaluation([two_labels("a", 1.0, 3.0), two_labels("b", math.inf, 5.0)])
    assert result.mean("hd95") == (1 + (3 + 5) / 2) / 2  # and not ((1 + 3) / 2 + 5) / 2


def test_a_class_without_a_single_distance_does_not_spoil_the_mean():
    cases = [CaseScores("a", {1: LabelScores(0.5, 0.5, 4.0, 0.5, 1, 1)}, (1.0, 1.0))]
    assert math.isnan(evaluation(cases).summary(2, "hd95").mean)
    assert evaluation(cases).mean("hd95") == 4.0
