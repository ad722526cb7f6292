"""Labels that a picture's mirror image, a number type or a drawing program would make wrong."""

import logging
import struct

import nibabel
import numpy as np

from faults import fault
from lightm_unet.datasets.dataset import open_case_labels, open_dataset, write_dataset_json
from lightm_unet.datasets.sides import forbidden_axes
from lightm_unet.errors import DataError
from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.imaging.image import read_labels
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.imaging.picture import write_picture
from lightm_unet.preprocessing.augmentation import build_augmentation
from lightm_unet.preprocessing.mirroring import plan_mirroring
from lightm_unet.preprocessing.preprocessing import Preprocessing

SIDES = "Labels that differ by side"
VALUES = "Label values"

PAIRS = [
    "left kidney/right kidney",
    "kidneyL/kidneyR", "KidneyLeft/KidneyRight", "left-kidney/right-kidney",
    "lung_l/lung_r", "L Kidney/R Kidney", "KIDNEY_LT/KIDNEY_RT", "LV/RV", "rib_L1/rib_R1",
    "ren sinister/ren dexter", "ren sin./ren dex.", "Niere links/Niere rechts", "niere_li/niere_re",
    "rein gauche/rein droit", "riñón izquierdo/riñón derecho", "rene sinistro/rene destro",
    "rim esquerdo/rim direito", "vasen munuainen/oikea munuainen", "venstre nyre/høyre nyre",
    "vänster njure/höger njure", "левая почка/правая почка", "左肾/右肾",
]  # fmt: skip


def times_mirrored(labels, dims, strength="default", asked=("auto",)):
    """How many of 40 augmented ramps fall instead of rising, along each canonical axis."""
    axes = plan_mirroring(labels, dims, strength, asked).axes
    size = (16,) * dims
    augment = build_augmentation(Preprocessing(dims, dims, size=size), strength, axes)
    ramps = np.stack(np.meshgrid(*[np.arange(16.0)] * dims, indexing="ij")).astype(np.float32)
    falls = [0] * dims
    for seed in range(40):
        augment.set_random_state(seed=seed)
        image = np.asarray(augment({"image": ramps.copy(), "labels": ramps[:1].copy()})["image"])
        for axis in range(dims):
            first, second = np.array_split(image[axis], 2, axis=axis)
            falls[axis] += bool(first.mean() > second.mean())
    return falls


def said(dims, falls):
    names = {2: ("up-down", "left-right"), 3: ("left-right", "front-back", "head-foot")}[dims]
    return ", ".join(name for name, count in zip(names, falls, strict=True) if count) or "none"


@fault(
    SIDES,
    f"{len(PAIRS)} spellings of left and right, such as `kidneyL`, `Niere links`, 左肾",
    "none is mirrored left-right by default, in pictures and volumes",
)
def test_sides_in_many_spellings():
    wrong = [
        pair
        for pair in PAIRS
        for dims in (2, 3)
        if "left-right" in plan_mirroring(["background", *pair.split("/")], dims).axes
    ]
    return ", ".join(wrong) or "none is mirrored left-right by default, in pictures and volumes"


ALONE = [
    "kidneyleft", "lungleft", "lkidney", "lungl", "rt_lung", "Lt lung", "kidney_lft",
    "kidneyrt", "L", "R", "rib_3_L", "lhs", "optic disc OD", "OS", "polmone dx",
    "Sin. lung", "Rechtsventrikel", "rechtenieren", "linkernier", "Lunge li.", "riñón dcho",
    "rim esquerdo", "poumon gche", "plămân stâng", "hægri", "vasen", "vasak", "kairė",
    "labais", "levý", "ľavá oblička", "lewe płuco", "левая почка", "дясна", "δεξιά",
    "bal tüdő", "sol akciğer", "ginjal kanan", "phổi trái", "kushoto", "ปอดซ้าย", "दायाँ",
    "چپ", "بائیں", "أيمن", "שמאל", "বাম ফুসফুস", "左肺", "みぎ", "우측 폐",
]  # fmt: skip
BESIDE = [
    "kidneylt/kidneyrt", "lftlung/rgtlung", "linkernier/rechternier", "rim E/rim D",
    "poumon dt/poumon gche", "rein G/rein D", "njure v/njure h", "LAA/RAA", "sol/sağ",
]  # fmt: skip
ORDINARY = [
    "bright", "upright", "cleft palate", "leftover", "ventricle", "liver", "artery",
    "sinus", "alt", "salt", "tibial", "L1", "L5", "R2*", "disc L4-L5", "vertebrae_L1",
    "dextrose", "molar", "rectum", "caudate", "Rechteck", "Kreis", "linked", "label",
    "level", "lavage", "grade D",
]  # fmt: skip


@fault(SIDES, f"one side without the other in {len(ALONE)} names, such as `rt_lung`, `polmone dx`, "
       "`optic disc OD`, `Rechtsventrikel`, ปอดซ้าย; "
       f"{len(BESIDE)} pairs of abbreviations, such as `rim E` and `rim D`",
       "none is mirrored left-right, in pictures and volumes")  # fmt: skip
def test_one_side_in_many_languages():
    wrong = [
        name
        for name in ALONE + BESIDE
        for dims in (2, 3)
        if "left-right" in plan_mirroring(["background", *name.split("/")], dims).axes
    ]
    return ", ".join(wrong) or "none is mirrored left-right, in pictures and volumes"


@fault(SIDES, f"{len(ORDINARY)} ordinary names, such as `tibial`, `R2*`, `disc L4-L5`, `Rechteck`",
       "all axes are mirrored by the strong augmentation")  # fmt: skip
def test_ordinary_names():
    wrong = {name: found for name in ORDINARY if (found := forbidden_axes([name], 3))}
    return f"{wrong}" if wrong else "all axes are mirrored by the strong augmentation"


@fault(SIDES, "`SVC`, `górny`, `Oberlappen`, `above`, `caudalis`; `ant horn`, `antero-lateral`, "
       "`tylny`, `trasero`, `dorsalis`: each alone, strong augmentation",
       "mirrored axes: left-right, front-back; left-right, head-foot")  # fmt: skip
def test_other_sides_alone():
    found = []
    for names in (
        ("SVC", "górny", "Oberlappen", "above", "caudalis"),
        ("ant horn", "antero-lateral", "tylny", "trasero", "dorsalis"),
    ):
        axes = {plan_mirroring(["background", name], 3, "strong").axes for name in names}
        found += [", ".join(each) for each in sorted(axes)]
    return f"mirrored axes: {'; '.join(found)}"


@fault(SIDES, "pictures with a left and a right kidney, 40 samples of the default augmentation",
       "mirrored axes: none")  # fmt: skip
def test_kidneys():
    falls = times_mirrored(["background", "left kidney", "right kidney"], 2)
    return f"mirrored axes: {said(2, falls)}"


@fault(SIDES, "`left atrium` without a right one", "mirrored axes: none")
def test_one_side():
    return f"mirrored axes: {said(3, times_mirrored(['background', 'left atrium'], 3))}"


@fault(SIDES, "`Anterior` and `Posterior` in volumes, strong augmentation",
       "mirrored axes: left-right, head-foot")  # fmt: skip
def test_anterior():
    falls = times_mirrored(["background", "Anterior", "Posterior"], 3, "strong")
    return f"mirrored axes: {said(3, falls)}"


@fault(SIDES, "`upper lobe` and `lower lobe` in pictures, strong augmentation",
       "mirrored axes: left-right")  # fmt: skip
def test_upper():
    falls = times_mirrored(["background", "upper lobe", "lower lobe"], 2, "strong")
    return f"mirrored axes: {said(2, falls)}"


@fault(SIDES, "names that only hold them: `ventricle`, `liver`, `bright`, `cleft`, `vertebrae_L1`",
       "no side is read from them; mirrored axes: left-right")  # fmt: skip
def test_no_sides():
    names = ["background", "ventricle", "liver", "bright", "cleft", "vertebrae_L1"]
    read = forbidden_axes(names, 3)
    return (
        f"{read or 'no side is read from them'}; mirrored axes: {said(3, times_mirrored(names, 3))}"
    )


@fault(SIDES, "`mirror_axes` left-right is asked for although kidneys name sides",
       "mirrored axes: left-right, with a warning that names the labels")  # fmt: skip
def test_forced():
    names = ["background", "left kidney", "right kidney"]
    falls = times_mirrored(names, 2, asked=("left-right",))
    doubt = plan_mirroring(names, 2, asked=("left-right",)).doubt
    warned = "with" if "left kidney, right kidney" in doubt else "without"
    return f"mirrored axes: {said(2, falls)}, {warned} a warning that names the labels"


def value_read(path):
    try:
        return str(int(read_labels(path)[0].max()))
    except DataError as error:
        return f"refused: {error.found}"


@fault(VALUES, "label 1 stored as 0.99999994, and as 255 with a scaling of 1/255",
       "1 and 1, a line for each file")  # fmt: skip
def test_nearly_whole(tmp_path, caplog):
    write_nifti(np.full((2, 2, 2), np.float32(0.99999994)), np.eye(4), tmp_path / "float.nii")
    data = bytearray(nibabel.Nifti1Image(np.full((2,) * 3, 255, np.uint8), np.eye(4)).to_bytes())
    struct.pack_into("<ff", data, 112, 1 / 255, 0)  # scl_slope, scl_inter
    (tmp_path / "slope.nii").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        found = [value_read(tmp_path / name) for name in ("float.nii", "slope.nii")]
    lines = sum("rounded to whole numbers" in line for line in caplog.messages)
    return f"{' and '.join(found)}, {'a line' if lines == 2 else f'{lines} lines'} for each file"


@fault(VALUES, "label values 0.5 and 0.99", "refused: the label value 0.5; the label value 0.99")
def test_not_whole(tmp_path):
    found = []
    for value in (0.5, 0.99):
        write_nifti(np.full((2, 2, 2), value), np.eye(4), tmp_path / "a.nii")
        found.append(value_read(tmp_path / "a.nii").removeprefix("refused: "))
    return f"refused: {'; '.join(found)}"


def white(tmp_path, values, names, ending=".png"):
    """What training and evaluation read of a label map in a data set with these labels."""
    root = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    array = np.array([values], np.uint8)
    for file, content in (("imagesTr/a_0000", array * 0), ("labelsTr/a", array)):
        if ending == ".png":
            write_picture(content, root / f"{file}.png")
        else:
            write_nifti(content[..., None].repeat(2, 2), np.eye(4), root / f"{file}{ending}")
    write_dataset_json(
        root,
        name="White",
        channel_names=["grey"],
        label_names=["background", *names],
        training_cases=1,
        file_ending=ending,
    )
    data = open_dataset(root)
    found = []
    for read in (
        lambda: int(open_case_labels(data, data.training[0]).max()),
        lambda: max(evaluate(root / "labelsTr", root).cases[0].labels),
    ):
        try:
            found.append(f"label {read()}")
        except DataError as error:
            found.append("refused" if "255 often means ignore" in str(error) else str(error))
    return found[0] if found[0] == found[1] else f"training {found[0]}, evaluation {found[1]}"


@fault(VALUES, "a picture of 0 and 255 in a data set with one label", "label 1")
def test_white_with_one_label(tmp_path):
    return white(tmp_path, [0, 255], ["lung"])


@fault(VALUES, "a picture of 0 and 255 in a data set with two labels, where 255 can only be ignore",
       "refused")  # fmt: skip
def test_white_with_two_labels(tmp_path):
    return white(tmp_path, [0, 255], ["lung", "heart"])


@fault(VALUES, "255 beside labels, in a picture and in NIfTI, with one label and with two",
       "refused, refused, refused, refused")  # fmt: skip
def test_255_beside_labels(tmp_path):
    cases = [(n, e) for n in (["lung"], ["lung", "heart"]) for e in (".png", ".nii.gz")]
    return ", ".join(white(tmp_path, [0, 1, 255], names, ending) for names, ending in cases)


@fault(VALUES, "0 and 255 in one mask, and two labels in the mask of another case, without names",
       "the first case is refused, the second is scored")  # fmt: skip
def test_white_without_names(tmp_path):
    for folder in ("pred", "ref"):
        write_picture(np.array([[0, 1]]), tmp_path / folder / "a.png")
        write_picture(np.array([[1, 2]]), tmp_path / folder / "b.png")
    write_picture(np.array([[0, 255]]), tmp_path / "ref" / "a.png")
    result = evaluate(tmp_path / "pred", tmp_path / "ref")
    if [case.name for case in result.cases] == ["b"] and "ignore" in result.failed[0].error:
        return "the first case is refused, the second is scored"
    return f"scored {[case.name for case in result.cases]}"


@fault(VALUES, "a dataset.json whose labels start at 1; one whose background is called otherwise",
       "refused: no label of value 0; accepted")  # fmt: skip
def test_background(make_dataset):
    root = make_dataset(cases=1)
    text = (root / "dataset.json").read_text()
    found = []
    for labels in ('"block": 1,\n    "rest": 2', '"Hintergrund": 0,\n    "block": 1'):
        changed = text.replace('"background": 0,\n    "block": 1', labels)
        assert changed != text
        (root / "dataset.json").write_text(changed)
        try:
            open_dataset(root)
            found.append("accepted")
        except DataError as error:
            found.append(f"refused: {error.found.split(' (')[0]}")
    return "; ".join(found)
