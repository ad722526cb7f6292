from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.evaluation.examples import MOST_NAMED, draw_examples
from lightm_unet.evaluation.pairing import pair_masks
from lightm_unet.reporting.palette import label_colour


def examples(tmp_path, labels):
    evaluation = evaluate(tmp_path / "pred", tmp_path / "ref", labels=labels)
    pairs = {pair.name: pair for pair in pair_masks(tmp_path / "pred", tmp_path / "ref").pairs}
    colours = {label: label_colour(label) for label in evaluation.label_names}
    return draw_examples(evaluation, pairs, colours)


def test_a_case_is_ranked_by_the_classes_that_it_has(save_mask, tmp_path):
    # Without the tumour, which neither mask has, "small" would be 1/2 (0.4 + 1).
    for name, pred, ref in (
        ("small", {1: [(0, 0, 0)]}, {1: [(0, 0, k) for k in range(4)]}),
        ("both", {1: [(0, 0, 0)], 2: [(1, 1, 1)]}, {1: [(0, 0, 0)], 2: [(3, 3, 3)]}),
        ("none", {}, {}),
    ):
        save_mask(f"pred/{name}.nii", pred)
        save_mask(f"ref/{name}.nii", ref)
    best, worst = examples(tmp_path, ["liver", "tumour"])
    assert (best["title"], best["name"]) == ("Best", "both")
    assert best["detail"] == "mean DSC 0.500 (tumour 0.000, liver 1.000)"
    assert (worst["title"], worst["name"], worst["detail"]) == (
        "Worst",
        "small",
        "DSC 0.400 (liver)",
    )
    assert all("both" in words and "DSC" in words for _, _, words in best["pictures"])


def test_of_many_classes_the_lowest_are_named(save_mask, tmp_path):
    every = {label: [(0, label // 6, label % 6)] for label in range(1, 13)}
    save_mask("ref/a.nii", every)
    save_mask("pred/a.nii", {**every, 7: []})
    (only,) = examples(tmp_path, [f"c{label}" for label in range(1, 13)])
    assert "(c7 0.000, " in only["detail"]
    assert only["detail"].endswith(f", {12 - MOST_NAMED} more)")
