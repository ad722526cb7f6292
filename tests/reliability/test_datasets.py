"""Data sets with broken, doubled or missing cases, and folders that are to become one."""

import json
import logging

import numpy as np
import tifffile
from PIL import Image as Picture

from faults import fault
from lightm_unet.datasets.check import check_dataset, refuse_unusable
from lightm_unet.datasets.dataset import open_case_labels, open_dataset
from lightm_unet.datasets.importers import import_dataset
from lightm_unet.datasets.importers.legend import read_legend
from lightm_unet.datasets.splits import find_split
from lightm_unet.errors import DataError
from lightm_unet.imaging.nifti import write_nifti

CHECKS = "Data sets"
PAIRS = "Images and masks that become a data set"
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def split_of(root, training, validation, test):
    parts = {"training": training, "validation": validation, "test": test}
    (root / "split.json").write_text(json.dumps(parts))


@fault(CHECKS, "in imagesTs, labelsTs: an unknown label value, another shape, an unreadable image",
       "3 problems")  # fmt: skip
def test_test_folder(make_dataset):
    root = make_dataset(cases=3)
    image = np.random.default_rng(9).normal(0, 1, (3, 6, 7, 8))
    for name, part, labels in (("t0", 0, (6, 7, 8)), ("t1", 1, (6, 7, 9))):
        write_nifti(image[part], AFFINE, root / "imagesTs" / f"{name}_0000.nii.gz")
        mask = np.full(labels, 7 if name == "t0" else 0, np.uint8)
        write_nifti(mask, AFFINE, root / "labelsTs" / f"{name}.nii.gz")
    (root / "imagesTs" / "t2_0000.nii.gz").write_bytes(b"rubbish")
    return f"{len(check_dataset(root).problems)} problems"


@fault(CHECKS, "one patient in training and test, by split.json; and in imagesTr and imagesTs",
       "1 problem, 1 problem")  # fmt: skip
def test_patients(make_dataset):
    root = make_dataset(cases=4, patients={"case_0": "p", "case_3": "p", "new": "p"})
    split_of(root, ["case_0", "case_1"], ["case_2"], ["case_3"])
    first = len(check_dataset(root).problems)
    (root / "split.json").unlink()
    image = np.random.default_rng(9).normal(0, 1, (6, 7, 8))
    write_nifti(image, AFFINE, root / "imagesTs" / "new_0000.nii.gz")
    return f"{first} problem, {len(check_dataset(root).problems)} problem"


@fault(CHECKS, "the same image under two names in training and test",
       "check-dataset and train each warn in a line that names both")  # fmt: skip
def test_twins(make_dataset, caplog):
    root = make_dataset(cases=4)
    for folder, ending in (("imagesTr", "_0000"), ("labelsTr", "")):
        twin = (root / folder / f"case_0{ending}.nii.gz").read_bytes()
        (root / folder / f"case_3{ending}.nii.gz").write_bytes(twin)
    split_of(root, ["case_0", "case_1"], ["case_2"], ["case_3"])
    data = open_dataset(root)
    with caplog.at_level(logging.WARNING):
        refuse_unusable(data, find_split(data))
    lines = [*check_dataset(root).warnings, *caplog.messages]
    named = [line for line in lines if "case_0 (training)" in line and "case_3 (test)" in line]
    who = "check-dataset and train each warn" if len(named) == 2 else f"{len(named)} warned"
    return f"{who} in a line that names both"


@fault(CHECKS, "an unreadable training image, a missing validation mask, a wrong test mask",
       "train starts nothing, and names all 3 at once")  # fmt: skip
def test_all_at_once(make_dataset, run, tmp_path):
    root = make_dataset(cases=5)
    split_of(root, ["case_0", "case_1"], ["case_2"], ["case_3", "case_4"])
    (root / "imagesTr" / "case_0_0000.nii.gz").write_bytes(b"rubbish")
    (root / "labelsTr" / "case_2.nii.gz").unlink()
    write_nifti(np.full((6, 7, 8), 9, np.uint8), AFFINE, root / "labelsTr" / "case_4.nii.gz")
    code, _, error = run("train", root, "--output", tmp_path / "run")
    named = sum(name in error for name in ("case_0_0000", "case_2_0000", "case_4.nii.gz"))
    started = "something" if (tmp_path / "run").exists() else "nothing"
    return f"train starts {started}, and names all {named} at once" if code == 3 else error


@fault(CHECKS, "a label that no training case holds", "train refuses it by name")
def test_absent_label(make_dataset):
    root = make_dataset(cases=4)
    for name in ("case_0", "case_1"):
        write_nifti(np.zeros((6, 7, 8), np.uint8), AFFINE, root / "labelsTr" / f"{name}.nii.gz")
    split_of(root, ["case_0", "case_1"], ["case_2"], ["case_3"])
    data = open_dataset(root)
    try:
        refuse_unusable(data, find_split(data))
    except DataError as error:
        if "no training case with the label(s) block" in str(error):
            return "train refuses it by name"
        return str(error)
    return "train accepts it"


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.asarray(values, np.uint8)).save(path)


def folders(root, mask, colour=False):
    generator = np.random.default_rng(0)
    for number in range(3):
        grey = generator.integers(0, 256, (8, 8))
        image = generator.integers(0, 256, (8, 8, 3)) if colour else np.stack([grey] * 3, -1)
        save(root / "images" / f"image_{number}.png", image)
        save(root / "masks" / f"mask_{number}.png", mask)
    return root


def brought(root, **options):
    return import_dataset(
        root / "images", root / "new", kind="pairs", masks=root / "masks", **options
    )


def refused(root, **options):
    try:
        brought(root, **options)
    except DataError as error:
        left = "nothing" if not (root / "new").exists() else "a folder"
        return f"refused, {left} is written: {error}"
    return "accepted"


BLOCK = np.zeros((8, 8), np.uint8)
BLOCK[2:5] = 1


@fault(PAIRS, "grey images stored in colour, masks of 0 and 255, named image_0 and mask_0",
       "1 channel, labels 0 and 1, 3 cases")  # fmt: skip
def test_white_masks(tmp_path):
    data = brought(folders(tmp_path, BLOCK * 255))
    values = np.unique(open_case_labels(data, data.training[0]))
    return (
        f"{len(data.channel_names)} channel, labels {' and '.join(map(str, values))}, "
        f"{len(data.training)} cases"
    )


@fault(PAIRS, "masks in colour with a legend that lacks blue",
       "refused, nothing is written, with the count and the first file")  # fmt: skip
def test_unknown_colour(tmp_path):
    mask = np.zeros((8, 8, 3))
    mask[0] = (255, 0, 0)
    mask[1] = (0, 0, 255)
    folders(tmp_path, mask)
    (tmp_path / "legend.csv").write_text("#ff0000,liver\n")
    found = refused(tmp_path, legend=tmp_path / "legend.csv")
    if "#0000ff" in found and "24 pixels" in found and "mask_0.png" in found:
        return f"{found.partition(' is written')[0]} is written, with the count and the first file"
    return found


@fault(PAIRS, "an image with two masks, an image without, a mask without an image",
       "refused, nothing is written, all 3 listed")  # fmt: skip
def test_uncertain_names(tmp_path):
    folders(tmp_path, BLOCK)
    save(tmp_path / "masks" / "seg_0.png", BLOCK)
    save(tmp_path / "images" / "image_8.png", BLOCK)
    save(tmp_path / "masks" / "mask_9.png", BLOCK)
    found = refused(tmp_path)
    listed = ("mask_0.png and seg_0.png", "image_8.png: no mask", "mask_9.png: no image")
    count = sum(words in found for words in listed)
    return f"{found.partition(' is written')[0]} is written, all {count} listed"


@fault(PAIRS, "masks with 255 beside other labels; masks of 50 and 100",
       "refused, nothing is written, twice")  # fmt: skip
def test_odd_values(tmp_path):
    found = []
    for name, mask in (("a", BLOCK * 2 + BLOCK.T * 253), ("b", BLOCK * 50 + BLOCK.T * 50)):
        found.append(refused(folders(tmp_path / name, mask)))
    if all("--legend" in each for each in found):
        return "refused, nothing is written, twice"
    return "; ".join(found)


def refused_masks(tmp_path, makers, legend=None):
    """Import one pair for each way to make a mask; say what was found, or that it was accepted."""
    found = []
    for number, make in enumerate(makers):
        root = tmp_path / str(number)
        save(root / "images" / "a.png", np.arange(256).reshape(16, 16))
        (root / "masks").mkdir()
        make(root / "masks" / "a")
        options = {}
        if legend is not None:
            options["legend"] = root / "legend.csv"
            options["legend"].write_text(legend)
        answer = refused(root, **options)
        found.append(answer.partition(": found ")[2].partition(";")[0] or answer)
    return found


QUARTER = np.zeros((16, 16), np.uint8)
QUARTER[:8, :8] = 255


@fault(PAIRS, "with a legend: red where the mask is transparent; a palette with a transparent "
       "entry; a TIFF in which white is 0; a JPEG called .png; a JPEG within a TIFF",
       "5 of 5 refused")  # fmt: skip
def test_unfit_masks_with_a_legend(tmp_path):
    colours = np.stack([QUARTER, QUARTER * 0, QUARTER * 0, 255 - QUARTER], axis=-1)
    grey = Picture.fromarray(QUARTER)

    def transparent_entry(path):
        picture = Picture.fromarray(QUARTER // 255).convert("P")
        picture.putdata((QUARTER // 255).ravel().tolist())
        picture.putpalette([0, 0, 0, 255, 0, 0])
        picture.save(path.with_suffix(".png"), transparency=b"\xff\x00")

    found = refused_masks(
        tmp_path,
        [
            lambda path: Picture.fromarray(colours).save(path.with_suffix(".png")),
            transparent_entry,
            lambda path: tifffile.imwrite(
                path.with_suffix(".tif"), QUARTER, photometric="miniswhite"
            ),
            lambda path: grey.save(path.with_suffix(".png"), format="JPEG"),
            lambda path: grey.save(path.with_suffix(".tif"), compression="jpeg"),
        ],
        legend="255,lung\n#ff0000,liver\n",
    )
    words = ("transparent", "transparent", "white is 0", "JPEG", "JPEG")
    count = sum(word in each for word, each in zip(words, found, strict=True))
    return f"{count} of {len(found)} refused" if count == len(found) else "; ".join(found)


@fault(PAIRS, "palette masks whose files give one number two colours, or one colour two numbers; "
       "in which black is not 0",
       "refused, nothing is written, 3 times, with --legend as the remedy")  # fmt: skip
def test_palettes(tmp_path):
    black, red, green = (0, 0, 0), (255, 0, 0), (0, 255, 0)
    cases = {
        "order": [([black, red, green], 1), ([black, green, red], 1)],
        "number": [([black, red, green], 2), ([black, green], 1)],
        "background": [([red, black], 1), ([red, black], 1)],
    }
    found = []
    for name, masks in cases.items():
        root = tmp_path / name
        for number, (colours, used) in enumerate(masks):
            save(root / "images" / f"{number}.png", np.arange(64).reshape(8, 8))
            picture = Picture.fromarray(BLOCK).convert("P")
            picture.putdata((BLOCK * used).ravel().tolist())
            picture.putpalette([level for colour in colours for level in colour])
            (root / "masks").mkdir(exist_ok=True)
            picture.save(root / "masks" / f"{number}.png")
        found.append(refused(root))
    if all("nothing is written" in each and "--legend" in each for each in found):
        return f"refused, nothing is written, {len(found)} times, with --legend as the remedy"
    return "; ".join(found)


@fault(PAIRS, "a JSON legend that gives a colour, or a label, twice",
       'refused: two values for the key "#ff0000"; two values for the key "liver"')  # fmt: skip
def test_doubled_legend(tmp_path):
    found = []
    for text in (
        '{"#ff0000": "liver", "#ff0000": "tumour"}',
        '{"liver": "#ff0000", "liver": "#00ff00"}',
    ):
        (tmp_path / "legend.json").write_text(text)
        try:
            found.append(f"accepted: {read_legend(tmp_path / 'legend.json')}")
        except DataError as error:
            found.append(error.found)
    return f"refused: {'; '.join(found)}"


@fault(PAIRS, "masks of 0 and 255 beside masks of 0 and 65535",
       "refused: 65535 beside the values 0, 255")  # fmt: skip
def test_two_whites(tmp_path):
    folders(tmp_path, BLOCK * 255)
    Picture.fromarray(BLOCK.astype(np.uint16) * 65535).save(tmp_path / "masks" / "mask_1.png")
    found = refused(tmp_path)
    return f"refused: {found.partition(': found ')[2].partition(' (')[0]}"
