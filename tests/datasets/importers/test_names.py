import pytest

from lightm_unet.datasets.importers.names import case_names, match_names


@pytest.fixture
def lay_out(tmp_path):
    """Make empty files in `images` and `masks`; returns both folders."""

    def lay_out(images, masks):
        for folder, files in (("images", images), ("masks", masks)):
            (tmp_path / folder).mkdir()
            for file in files:
                path = tmp_path / folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return tmp_path / "images", tmp_path / "masks"

    return lay_out


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("case.png", "case.png"),
        ("case.png", "case_mask.png"),
        ("case.jpg", "CASE_Mask.PNG"),
        ("case.png", "case_seg.tif"),
        ("case.png", "case-labels.png"),
        ("case.png", "case_gt.bmp"),
        ("case.png", "case_ground_truth.png"),
        ("case.png", "mask_case.png"),
        ("caseA.png", "caseAMask.png"),
        ("ISIC_1.jpg", "ISIC_1_segmentation.png"),
        ("benign (1).png", "benign (1)_mask.png"),
        ("image_001.png", "mask_001.png"),
        ("img001.png", "mask001.png"),
        ("image_001.png", "image_001_mask.png"),
        ("x_image.png", "x_label.png"),
        ("x_anno.png", "x_anno_mask.png"),
        ("mask_1.png", "mask_1.png"),
        ("c_0000.nii.gz", "c.nii.gz"),
        ("p1/x.png", "p1/x_gt.png"),
        ("p1/images/x.png", "p1/masks/x.png"),
        ("p1/x.png", "x_mask.png"),
    ],
)
def test_the_usual_names_of_a_pair_match(lay_out, image, mask):
    images, masks = lay_out([image], [mask])
    assert match_names(images, masks).pairs == ((images / image, masks / mask),)


def test_names_that_hold_others_are_not_confused(lay_out):
    images, masks = lay_out(
        ["1.png", "11.png", "111.png"], ["11_mask.png", "111_mask.png", "1.png"]
    )
    matches = match_names(images, masks)
    assert [(i.name, m.name) for i, m in matches.pairs] == [
        ("1.png", "1.png"),
        ("11.png", "11_mask.png"),
        ("111.png", "111_mask.png"),
    ]
    assert matches.problems == ()


@pytest.mark.parametrize(
    ("images", "masks", "words"),
    [
        (["a.png"], ["a_mask.png", "a_seg.png"], ["a.png could go with a_mask.png and a_seg.png"]),
        (["a.png", "a.jpg"], ["a_mask.png"], ["a.jpg and a.png could go with a_mask.png"]),
        (["a.png"], ["a.png", "a_mask.png"], ["a_mask.png: no image"]),
        (["a.png", "b.png"], ["a.png"], ["b.png: no mask"]),
        (["a.png"], ["b.png"], ["a.png: no mask", "b.png: no image"]),
        (["p1/x.png"], ["p2/x.png"], ["x.png: no mask", "x.png: no image"]),
        (["c_0000.nii", "c_0001.nii"], ["c.nii"], ["c_0001.nii: no mask"]),
    ],
)
def test_what_is_uncertain_is_listed_and_not_guessed(lay_out, images, masks, words):
    problems = match_names(*lay_out(images, masks)).problems
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))


def test_images_and_masks_may_lie_in_one_folder_or_one_in_the_other(lay_out):
    images, _ = lay_out(["a.jpg", "a_mask.png", "masks/b.png", "b.png"], [])
    pairs = match_names(images, images).pairs
    assert (images / "a.jpg", images / "a_mask.png") in pairs
    (images / "a_mask.png").unlink()
    (images / "a.jpg").unlink()
    assert match_names(images, images / "masks").pairs == (
        (images / "b.png", images / "masks" / "b.png"),
    )


def test_cases_of_one_name_get_their_folders_names_too(lay_out):
    images, _ = lay_out(["p1/x.png", "p2/x.png", "y_0000.png"], [])
    names = case_names(sorted(images.rglob("*.png")), images)
    assert list(names.values()) == ["p1_x", "p2_x", "y"]
