import json

import pytest

from lightm_unet.errors import DataError, UsageError
from lightm_unet.evaluation.pairing import pair_masks
from lightm_unet.inference.record import RECORD_NAME

VOXEL = {1: [(1, 1, 1)]}


def test_masks_are_paired_by_name_whatever_their_endings(save_mask, tmp_path):
    pred = save_mask("pred/a.nii", VOXEL)
    ref = save_mask("ref/a.nii.gz", VOXEL)
    (pair,) = pair_masks(tmp_path / "pred", tmp_path / "ref").pairs
    assert (pair.name, pair.prediction, pair.reference, pair.image) == ("a", pred, ref, None)


def test_masks_without_a_partner_are_named_on_both_sides(save_mask, tmp_path):
    for path in ("pred/a.nii", "pred/b.nii", "ref/b.nii", "ref/c.nii"):
        save_mask(path, VOXEL)
    pairing = pair_masks(tmp_path / "pred", tmp_path / "ref")
    assert [pair.name for pair in pairing.pairs] == ["b"]
    assert {case.name for case in pairing.unpaired} == {"a", "c"}
    messages = " ".join(case.error for case in pairing.unpaired)
    assert "no reference named a" in messages
    assert "no prediction named c" in messages


def test_of_a_dataset_only_predicted_cases_are_taken(save_mask, save_dataset, tmp_path):
    root = save_dataset({"a": VOXEL, "b": VOXEL})
    save_mask("pred/b.nii.gz", VOXEL)
    save_mask("pred/z.nii.gz", VOXEL)
    pairing = pair_masks(tmp_path / "pred", root)
    (pair,) = pairing.pairs
    assert pair.reference == root / "labelsTr" / "b.nii.gz"
    assert pair.image == root / "imagesTr" / "b_0000.nii.gz"
    assert [case.name for case in pairing.unpaired] == ["z"]
    assert pairing.label_names == ("background", "liver", "tumour")
    assert pairing.names_are_complete


def test_a_case_that_the_dataset_lacks_labels_of_matters_only_if_predicted(
    save_mask, save_dataset, tmp_path
):
    root = save_dataset({"a": VOXEL, "b": VOXEL})
    (root / "labelsTr" / "b.nii.gz").unlink()
    save_mask("pred/a.nii.gz", VOXEL)
    assert pair_masks(tmp_path / "pred", root).unpaired == ()
    save_mask("pred/b.nii.gz", VOXEL)
    (unpaired,) = pair_masks(tmp_path / "pred", root).unpaired
    assert "has no labels for this case" in unpaired.error


def test_two_single_files_are_a_pair(save_mask):
    pairing = pair_masks(save_mask("mine.nii", VOXEL), save_mask("truth.nii", VOXEL))
    assert [pair.name for pair in pairing.pairs] == ["mine"]


def test_one_prediction_is_found_among_many_references(save_mask, tmp_path):
    pred = save_mask("pred/a.nii", VOXEL)
    save_mask("ref/a.nii", VOXEL)
    save_mask("ref/b.nii", VOXEL)
    pairing = pair_masks(pred, tmp_path / "ref")
    assert [pair.name for pair in pairing.pairs] == ["a"]
    assert pairing.unpaired == ()


@pytest.mark.parametrize("image", ["images/a.nii", "images/a_0000.nii"])
def test_images_are_found_by_name_and_by_first_channel(save_mask, tmp_path, image):
    save_mask("pred/a.nii", VOXEL)
    save_mask("ref/a.nii", VOXEL)
    expected = save_mask(image, VOXEL)
    save_mask("images/a_0001.nii", VOXEL)
    (pair,) = pair_masks(tmp_path / "pred", tmp_path / "ref", tmp_path / "images").pairs
    assert pair.image == expected


def test_names_and_colours_come_from_the_record_beside_the_masks(save_mask, tmp_path):
    save_mask("pred/a.nii", VOXEL)
    save_mask("ref/a.nii", VOXEL)
    record = {"label_names": ["background", "x"], "label_colours": [[0, 0, 0], [1, 2, 3]]}
    (tmp_path / "pred" / RECORD_NAME).write_text(json.dumps(record))
    for predictions in (tmp_path / "pred", tmp_path / "pred" / "a.nii"):
        pairing = pair_masks(predictions, tmp_path / "ref")
        assert pairing.label_names == ("background", "x")
        assert pairing.label_colours == ((0, 0, 0), (1, 2, 3))
        assert not pairing.names_are_complete


def test_two_masks_of_one_name_are_refused(save_mask, tmp_path):
    save_mask("pred/a.nii", VOXEL)
    save_mask("pred/a.nii.gz", VOXEL)
    save_mask("ref/a.nii", VOXEL)
    with pytest.raises(UsageError, match="share a name"):
        pair_masks(tmp_path / "pred", tmp_path / "ref")


def test_folders_that_share_no_name_are_bad_data(save_mask, tmp_path):
    save_mask("pred/a.nii", VOXEL)
    save_mask("ref/b.nii", VOXEL)
    with pytest.raises(DataError, match=r"no mask named like one of .*ref \(first: a\)"):
        pair_masks(tmp_path / "pred", tmp_path / "ref")


def test_words_for_a_mask_in_a_name_do_not_matter_where_one_file_is_meant(
    save_mask, save_dataset, tmp_path, caplog
):
    caplog.set_level("INFO")
    save_mask("pred/a.nii.gz", VOXEL)
    save_mask("pred/b_seg.nii.gz", VOXEL)
    ref = save_mask("ref/a_mask.nii", VOXEL)
    save_mask("ref/B.nii", VOXEL)
    pairing = pair_masks(tmp_path / "pred", tmp_path / "ref")
    assert [pair.name for pair in pairing.pairs] == ["a", "b_seg"]
    assert pairing.pairs[0].reference == ref
    assert pairing.unpaired == ()
    assert "such as a.nii.gz with a_mask.nii" in caplog.text
    assert len(pair_masks(tmp_path / "pred" / "a.nii.gz", tmp_path / "ref").pairs) == 1
    pairing = pair_masks(tmp_path / "pred", save_dataset({"a": VOXEL, "b": VOXEL}))
    assert [pair.reference.name for pair in pairing.pairs] == ["a.nii.gz", "b.nii.gz"]


def test_a_name_that_could_go_with_two_masks_goes_with_none(save_mask, tmp_path):
    for path in ("pred/a.nii", "pred/b.nii", "ref/a_mask.nii", "ref/a_seg.nii", "ref/b.nii"):
        save_mask(path, VOXEL)
    pairing = pair_masks(tmp_path / "pred", tmp_path / "ref")
    assert [pair.name for pair in pairing.pairs] == ["b"]
    assert [case.name for case in pairing.unpaired] == ["a", "a_mask", "a_seg"]


def test_images_by_their_first_channel_are_no_masks(save_mask, tmp_path):
    save_mask("pred/a.nii", VOXEL)
    save_mask("images/a_0000.nii", VOXEL)
    with pytest.raises(DataError, match="no mask named like one of"):
        pair_masks(tmp_path / "pred", tmp_path / "images")
