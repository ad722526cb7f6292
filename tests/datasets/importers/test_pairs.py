import logging

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from lightm_unet.datasets.check import check_dataset
from lightm_unet.datasets.dataset import open_case_images, open_case_labels
from lightm_unet.datasets.importers import import_dataset
from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.nifti import write_nifti

RNG = np.random.default_rng(0)


def save(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.asarray(values)).save(path, **options)


def grey(shape=(8, 10), dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def two_masks(low, high, shape=(8, 10)):
    values = np.full(shape, low, np.uint8)
    values[2:5, 3:6] = high
    return values


@pytest.fixture
def folders(tmp_path):
    """Four grey images and their masks of 0 and 255."""
    for number in range(4):
        save(tmp_path / "images" / f"x{number}.png", grey())
        save(tmp_path / "masks" / f"x{number}_mask.png", two_masks(0, 255))
    return tmp_path


def bring(folder, **options):
    return import_dataset(
        folder / "images", folder / "new", kind="pairs", masks=folder / "masks", **options
    )


def labels_of(dataset, name):
    return open_case_labels(dataset, dataset.case(name))


def test_black_and_white_masks_become_one_label(folders):
    dataset = bring(folders, labels=("lung",))
    assert (dataset.name, dataset.label_names) == ("new", ("background", "lung"))
    assert [case.name for case in dataset.training] == ["x0", "x1", "x2", "x3"]
    assert (labels_of(dataset, "x0") == two_masks(0, 1)).all()
    image = open_case_images(dataset, dataset.case("x0")).array[0]
    assert (image == np.asarray(Picture.open(folders / "images" / "x0.png"))).all()
    report = check_dataset(folders / "new")
    assert (report.problems, report.warnings) == ((), ())


def test_images_in_colour_with_equal_channels_are_grey_and_jpeg_becomes_png(folders):
    values = grey()
    save(folders / "images" / "x0.png", np.stack([values] * 3, axis=-1))
    (folders / "images" / "x1.png").unlink()
    save(folders / "images" / "x1.jpg", grey(), quality=95)
    dataset = bring(folders, channel="X-ray")
    assert dataset.channel_names == ("X-ray",)
    assert (open_case_images(dataset, dataset.case("x0")).array == values).all()
    stored = np.asarray(Picture.open(folders / "images" / "x1.jpg"))
    assert (open_case_images(dataset, dataset.case("x1")).array == stored).all()
    assert {file.suffix for file in (folders / "new" / "imagesTr").iterdir()} == {".png"}


def test_one_image_in_colour_makes_three_channels_of_all(folders):
    colour = grey((8, 10, 3))
    save(folders / "images" / "x2.png", colour)
    dataset = bring(folders)
    assert dataset.channel_names == ("red", "green", "blue")
    image = open_case_images(dataset, dataset.case("x2")).array
    assert (image == np.moveaxis(colour, -1, 0)).all()
    image = open_case_images(dataset, dataset.case("x0")).array
    assert (image == image[:1]).all()


def test_16_bits_of_grey_are_kept(folders):
    values = grey(dtype=np.uint16)
    save(folders / "images" / "x0.png", values)
    dataset = bring(folders)
    assert (open_case_images(dataset, dataset.case("x0")).array[0] == values).all()


def test_label_maps_keep_their_values_and_get_names(folders):
    save(folders / "masks" / "x0_mask.png", two_masks(1, 2))
    for number in (1, 2, 3):
        save(folders / "masks" / f"x{number}_mask.png", two_masks(0, number % 3))
    dataset = bring(folders, labels=("liver", "tumour"))
    assert dataset.label_names == ("background", "liver", "tumour")
    assert (labels_of(dataset, "x0") == two_masks(1, 2)).all()


def test_a_palettes_numbers_are_labels_and_with_a_legend_its_colours(folders):
    for number in range(4):
        picture = Picture.fromarray(two_masks(0, 1)).convert("P")
        picture.putpalette([0, 0, 0, 0, 128, 0])
        picture.putdata(two_masks(0, 1).ravel().tolist())
        picture.save(folders / "masks" / f"x{number}_mask.png")
    assert (labels_of(bring(folders), "x0") == two_masks(0, 1)).all()
    (folders / "new").rename(folders / "old")
    (folders / "legend.csv").write_text("#008000,liver\n")
    dataset = bring(folders, legend=folders / "legend.csv")
    assert dataset.label_names == ("background", "liver")
    assert (labels_of(dataset, "x0") == two_masks(0, 1)).all()


def save_palette(path, indices, colours, **options):
    picture = Picture.fromarray(np.asarray(indices, np.uint8)).convert("P")
    picture.putpalette([level for colour in colours for level in colour])
    picture.putdata(np.asarray(indices).ravel().tolist())
    picture.save(path, **options)


BLACK, RED, GREEN = (0, 0, 0), (255, 0, 0), (0, 255, 0)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (([BLACK, RED, GREEN], 1, 2), ([BLACK, GREEN, RED], 1, 2), "#00ff00 as number 1.*#ff0000"),
        (([BLACK, RED], 0, 1), ([BLACK, GREEN], 0, 1), "#00ff00 as number 1.*#ff0000"),
        (([BLACK, RED, GREEN], 0, 2), ([BLACK, GREEN], 0, 1), "#00ff00 as number 1.*number 2 as"),
        (([BLACK, RED], 0, 1), ([(255, 255, 255), RED], 0, 1), "#ffffff as number 0.*#000000"),
        (([RED, BLACK], 0, 1), ([RED, BLACK], 0, 1), "#ff0000 is 0 and black is 1"),
    ],
)
@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_palettes_that_contradict_each_other_need_a_legend(
    tmp_path, first, second, message, ending
):
    for number, (colours, low, high) in enumerate((first, second)):
        indices = two_masks(low, high)
        indices[0] = 0
        save(tmp_path / "images" / f"x{number}.png", grey())
        (tmp_path / "masks").mkdir(exist_ok=True)
        save_palette(tmp_path / "masks" / f"x{number}{ending}", indices, colours)
    with pytest.raises(DataError, match=f"{message}.*--legend"):
        bring(tmp_path)
    (tmp_path / "l.csv").write_text("#ff0000,a\n#00ff00,b\n#ffffff,background\n0,background\n")
    dataset = bring(tmp_path, legend=tmp_path / "l.csv")
    for number, (colours, low, high) in enumerate((first, second)):
        indices = two_masks(low, high)
        indices[0] = 0
        names = np.array([{RED: "a", GREEN: "b"}.get(each, "background") for each in colours])
        found = np.array(dataset.label_names)[labels_of(dataset, f"x{number}")]
        assert (found == names[indices]).all()


def test_palettes_that_agree_where_both_are_used_are_no_contradiction(folders):
    palettes = [[BLACK, RED, GREEN], [BLACK, RED], [BLACK, (0, 0, 255), GREEN], [BLACK]]
    for number, (colours, high) in enumerate(zip(palettes, (1, 1, 2, 0), strict=True)):
        save_palette(folders / "masks" / f"x{number}_mask.png", two_masks(0, high), colours)
    dataset = bring(folders)
    assert (labels_of(dataset, "x2") == two_masks(0, 2)).all()


RED_MASK = np.zeros((16, 16, 3), np.uint8)
RED_MASK[:8, :8] = RED
WHITE_MASK = np.zeros((16, 16), np.uint8)
WHITE_MASK[:8, :8] = 255


def transparent(path):
    opacity = np.where(RED_MASK[..., :1] > 0, 0, 255).astype(np.uint8)
    save(path.with_suffix(".png"), np.concatenate([RED_MASK, opacity], axis=-1))


def transparent_entry(path):
    indices = (WHITE_MASK > 0).astype(np.uint8)
    save_palette(path.with_suffix(".png"), indices, [BLACK, RED], transparency=b"\xff\x00")


def white_is_zero(path):
    tifffile.imwrite(path.with_suffix(".tif"), WHITE_MASK, photometric="miniswhite")


def white_is_zero_in_one_bit(path):
    tifffile.imwrite(path.with_suffix(".tif"), WHITE_MASK > 0, photometric="miniswhite")


def jpeg_under_another_name(path):
    save(path.with_suffix(".png"), WHITE_MASK, format="JPEG")


def jpeg_within_tiff(path):
    save(path.with_suffix(".tif"), WHITE_MASK, compression="jpeg")


def fractions(path):
    tifffile.imwrite(path.with_suffix(".tif"), WHITE_MASK.astype(np.float32) / 2)


def sixteen_bits(path):
    save(path.with_suffix(".png"), WHITE_MASK.astype(np.uint16) * 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (transparent, "transparent pixels"),
        (transparent_entry, "transparent pixels"),
        (white_is_zero, "white is 0"),
        (white_is_zero_in_one_bit, "white is 0"),
        (jpeg_under_another_name, "JPEG compression"),
        (jpeg_within_tiff, "JPEG compression"),
        (fractions, "levels 0 to 127.5"),
        (sixteen_bits, "levels 0 to 510"),
    ],
)
def test_a_legend_makes_no_mask_fit_that_is_unfit_without(tmp_path, make, message):
    save(tmp_path / "images" / "x.png", grey((16, 16)))
    (tmp_path / "masks").mkdir()
    make(tmp_path / "masks" / "x")
    (tmp_path / "l.csv").write_text("255,a\n#ff0000,b\n")
    with pytest.raises(DataError, match=message):
        bring(tmp_path, legend=tmp_path / "l.csv")
    assert not (tmp_path / "new").exists()


def test_white_of_8_bits_beside_white_of_16_is_told_as_such(folders):
    save(folders / "masks" / "x3_mask.png", two_masks(0, 255).astype(np.uint16) * 257)
    with pytest.raises(DataError, match=r"65535 beside the values 0, 255 \(first in .*x3_mask"):
        bring(folders)


@pytest.fixture
def coloured(folders):
    for number in range(4):
        values = np.zeros((8, 10, 3), np.uint8)
        values[1:3] = (255, 0, 0)
        values[5:7] = (0, 0, 255)
        save(folders / "masks" / f"x{number}_mask.png", values)
    return folders


def test_colours_become_labels_by_a_legend(coloured, caplog):
    (coloured / "l.csv").write_text("vessel,0,0,255\nspleen,1,1,1\nliver,255,0,0\n")
    with caplog.at_level(logging.WARNING):
        dataset = bring(coloured, legend=coloured / "l.csv")
    assert dataset.label_names == ("background", "vessel", "liver")
    assert labels_of(dataset, "x0")[:, 0].tolist() == [0, 2, 2, 0, 0, 1, 1, 0]
    assert "no mask holds spleen" in caplog.text


def test_an_unknown_colour_is_refused_with_its_count_and_first_file(coloured):
    (coloured / "l.json").write_text('{"#ff0000": "liver"}')
    with pytest.raises(DataError, match=r"#0000ff is not in the legend: 80 pixels, .*x0_mask\.png"):
        bring(coloured, legend=coloured / "l.json")
    with pytest.raises(DataError, match="--legend"):
        bring(coloured)
    assert not (coloured / "new").exists()


def test_patients_come_from_the_path(folders):
    dataset = bring(folders, patients=r"x[01]|x[23]")
    assert [case.patient for case in dataset.training] == ["x0", "x1", "x2", "x3"]
    (folders / "new").rename(folders / "old")
    (folders / "images" / "p7").mkdir()
    for number in (0, 1):
        (folders / "images" / f"x{number}.png").rename(folders / "images" / "p7" / f"x{number}.png")
    dataset = bring(folders, patients=r"^(?P<patient>p\d+|x\d)")
    assert [case.patient for case in dataset.training[:2]] == ["p7", "p7"]


def test_volumes_with_0_and_255(tmp_path):
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    for number in range(3):
        values = RNG.normal(0, 99, (6, 7, 8)).astype(np.int16)
        write_nifti(values, affine, tmp_path / "images" / f"v{number}_0000.nii.gz")
        mask = np.zeros((6, 7, 8), np.uint8)
        mask[2:4] = 255
        write_nifti(mask, affine, tmp_path / "masks" / f"v{number}.nii")
    dataset = bring(tmp_path, channel="CT")
    assert dataset.channel_names == ("CT",)
    assert labels_of(dataset, "v0").max() == 1
    assert check_dataset(tmp_path / "new").ok


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([(0, 255), (0, 1)], "255 beside the values 0, 1"),
        ([(0, 2), (1, 255)], "255 often means ignore"),
        ([(0, 50), (0, 100)], "the mask values 0, 50, 100 .*--legend"),
        ([(1, 2), (1, 2)], "0 for the background"),
        ([(0, 0), (0, 0)], "no mask with a value but 0"),
        ([(0, 1), (0, 2)], "2 label.* in the masks"),
    ],
)
def test_values_that_stand_for_no_label_are_refused(folders, masks, message):
    for number in range(4):
        save(folders / "masks" / f"x{number}_mask.png", two_masks(*masks[number % 2]))
    with pytest.raises(DataError, match=message):
        bring(folders, labels=("lung",))
    assert sorted(path.name for path in folders.iterdir()) == ["images", "masks"]


def test_all_files_that_cannot_be_used_are_named_and_nothing_is_written(folders):
    (folders / "images" / "x0.png").write_bytes(b"rubbish")
    save(folders / "masks" / "x1_mask.png", two_masks(0, 255, (8, 11)))
    (folders / "masks" / "x2_mask.png").unlink()
    save(folders / "masks" / "x2_mask.jpg", two_masks(0, 255))
    with pytest.raises(DataError, match=r"3 problem\(s\)") as caught:
        bring(folders)
    for word in (
        "x0.png: found no known picture format",
        "shape (8, 11)",
        "x2_mask.jpg: found a mask in JPEG",
    ):
        assert word in str(caught.value)
    assert sorted(path.name for path in folders.iterdir()) == ["images", "masks"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ("a",), "legend": "l.csv"}, "give one of them"),
        ({"patients": "("}, "regular expression"),
    ],
)
def test_options_that_cannot_be_used_are_refused(folders, options, message):
    with pytest.raises(UsageError, match=message):
        bring(folders, **options)


def test_a_pattern_that_finds_no_patient_names_the_images(folders):
    with pytest.raises(DataError, match=r"x3\.png: no patient by the expression"):
        bring(folders, patients=r"x[0-2]")


def test_masks_and_options_of_pairs_go_with_pairs_only(folders):
    with pytest.raises(UsageError, match="IMAGES MASKS DATASET --kind pairs"):
        import_dataset(folders / "images", folders / "new", kind="pairs")
    with pytest.raises(UsageError, match="takes no masks"):
        import_dataset(folders / "images", folders / "new", kind="lits", masks=folders / "masks")
    with pytest.raises(UsageError, match="labels can be given for kind pairs only"):
        import_dataset(folders / "images", folders / "new", labels=("a",))


def test_the_command_takes_three_folders(folders, run):
    words = (folders / "images", folders / "masks", folders / "new")
    code, out, error = run("import-dataset", *words, "--kind", "pairs", "--labels", "lung")
    assert (code, error) == (0, "")
    assert "4 cases, lung" in out
    (folders / "masks" / "x0_mask.png").unlink()
    code, _, error = run("import-dataset", *words[:2], folders / "other", "--kind", "pairs")
    assert code == 3
    assert "x0.png: no mask of this name" in error
