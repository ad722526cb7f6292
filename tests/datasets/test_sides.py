import pytest

from lightm_unet.datasets.sides import describe_forbidden, forbidden_axes

PAIRS = """
left kidney/right kidney, l kidney/r kidney, L_kidney/R_kidney, lt lung/rt lung,
ren sinister/ren dexter, pulmo sin./pulmo dex., Niere links/Niere rechts, linke Niere/rechte Niere,
rein gauche/rein droit, riñón izquierdo/riñón derecho, riñón izq/riñón der,
rene sinistro/rene destro, rim esquerdo/rim direito, vasen/oikea, venstre/høyre, vänster/höger,
левая почка/правая почка, почка лев./почка прав., 左肾/右肾, kidneyL/kidneyR,
KidneyLeft/KidneyRight,
left-kidney/right-kidney, lung_l/lung_r, LK/RK, LV/RV, LUL/RUL, leftkidney/rightkidney,
lkidney/rkidney, LKidney/RKidney, kidney1L/kidney1R, rib_L1/rib_R1, Left/Right, L/R,
KIDNEY_LT/KIDNEY_RT,
Kidney (L)/Kidney (R), lung.left/lung.right, niere_li/niere_re, OS/OD, lh-cortex/rh-cortex,
left1/right1, sinistra/destra, 左/右
"""
PAIRS = [pair.strip() for pair in PAIRS.replace("\n", " ").split(",")]
WITHOUT_SIDE = [
    "ventricle", "liver", "bright", "upright", "cleft", "copyright", "leftover", "palate",
    "vertebrae_L1", "vertebrae_L2", "vertebrae_T1", "type A", "type L", "GTV RT", "LV", "sinus",
    "molar", "premolar", "rectum", "caudate", "lateral ventricle", "dextran", "myocardium",
    "basal ganglia", "grade D", "cell", "alveolar", "Lesion", "Rest", "foreground", "kidney_1",
    "kidney_2",
]  # fmt: skip


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("pair", PAIRS)
def test_names_that_differ_by_side_forbid_left_right(pair, dims):
    forbidden = forbidden_axes(["background", "liver", *pair.split("/")], dims)
    assert forbidden["left-right"] == tuple(pair.split("/"))


def test_words_that_only_hold_a_side_forbid_nothing():
    assert forbidden_axes(["background", *WITHOUT_SIDE], 3) == {}
    for name in set(WITHOUT_SIDE) - {"type L"}:
        assert forbidden_axes(["background", name], 2) == {}


@pytest.mark.parametrize("name", ["left atrium", "kidneyR", "rechte Niere", "右肺"])
def test_one_side_alone_forbids_it_too(name):
    assert forbidden_axes(["background", name], 3) == {"left-right": (name,)}


def test_a_letter_of_a_list_is_no_side_but_two_letters_are():
    assert forbidden_axes(["type A", "type L", "type R"], 3) == {}
    assert list(forbidden_axes(["type L", "type R"], 3)) == ["left-right"]


@pytest.mark.parametrize(
    ("names", "volume", "picture"),
    [
        (["Anterior", "Posterior"], ["front-back"], ["left-right", "up-down"]),
        (["ventral horn", "dorsal horn"], ["front-back"], ["left-right", "up-down"]),
        (["upper lobe", "lower lobe"], ["head-foot"], ["up-down"]),
        (["superiorfrontal", "pole"], ["head-foot"], ["up-down"]),
        (["supraspinatus", "infraspinatus"], ["head-foot"], ["up-down"]),
        (["apical", "basal"], ["head-foot"], ["up-down"]),
        (["Oberlappen oben", "Unterlappen unten"], ["head-foot"], ["up-down"]),
        (["cranial", "caudal"], ["head-foot"], ["up-down"]),
        (["UL", "LL", "UR", "LR"], ["left-right", "head-foot"], ["left-right", "up-down"]),
        (["left upper lobe", "liver"], ["left-right", "head-foot"], ["left-right", "up-down"]),
        (["anterolateral"], ["front-back"], ["left-right", "up-down"]),
    ],
)
def test_other_opposites_forbid_the_axis_that_they_name(names, volume, picture):
    assert list(forbidden_axes(names, 3)) == volume
    assert list(forbidden_axes(names, 2)) == picture


def test_many_labels_are_not_all_listed():
    names = [f"left rib {number}" for number in range(1, 13)]
    assert describe_forbidden(forbidden_axes(names, 3)) == (
        "not left-right (the labels left rib 1, left rib 2 and 10 more name a side)"
    )
