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
    "vertebrae_L1", "vertebrae_L2", "vertebrae_T1", "type A", "type L", "LV", "sinus",
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


ONE_SIDE = """
left, right, Left, RIGHT, left kidney, kidney-left, kidney_left, KidneyLEFT, leftkidney,
kidneyleft, lungleft, lungright, LEFTKIDNEY, LeftKidney2, left-sided effusion, leftsided,
leftmost, femurleft, lung lf, lobe sup dt, ctx-lh-precuneus, lh.V1, lhs, rhs, lhippocampus,
lkidney, rkidney, lungl, parotidr, rt_lung, Rt lung, Rt. lung, Lt lung, Lt. lung, lung LT,
kidney_lft, kidneylft, kidney rgt, rtlung, ltkidney, kidneyrt, KidneyLt, L, R, l, r, kidney L,
L kidney, lung_l, Lung_R, kidneyL, FemurR, A_Carotid_L, Lung_L_lower, rib_3_L, kidney1L,
kidney (R), lung#L, lung/left, lung.L, Lens_R, Eye-L, optic disc OD, OS, OD, macula OS,
polmone dx, polmone sx, rene dx, sx, dx, Sin. lung, ren sin, ren dex., ren sn, pulmo dexter,
pulmo sinister, ventriculus sinister, arteria dextra, sinistra, destro, rene sinistro,
rene destra, dextrocardia, Niere links, linke Niere, linker Ventrikel, linksventrikulär,
Rechtsventrikel, rechtsventrikulär, rechtenieren, rechte Niere, rechterVentrikel, Rechtsherz,
Lunge li., Lunge re., Niere_li, linkernier, rechternier, nier rechts, rein gauche, rein droit,
poumon gche, côté droite, riñón izquierdo, riñon derecha, rinon izq, rinon dcho, riñón der,
rim esquerdo, rim direito, rim_esq, rim_dir, ronyó dret, ronyó esquerre, plămân stâng,
plămân drept, venstre nyre, venstreside, høyre, højre, vänster njure, höger, vinstri, hægri,
vinstra nýra, vasen, oikea, vasemmanpuoleinen, vasak neer, parem neer, kairė, kairysis, dešinė,
dešinysis, kreisais, kreisā, labais, labā, levá ledvina, levý, pravý, ľavá oblička,
pravá oblička, leva ledvica, vlevo, направо, слева, почка справа, desni bubreg, bubreg lijevi,
lewe płuco, prawego, левая почка, правый, лёгкое левое, ліва, ляв, дясна, αριστερός πνεύμονας,
δεξιά, bal tüdő, jobb tüdő, jobboldali, sol akciğer, sağ akciğer, SAĞ, ginjal kiri, kanan, trái,
phải, phổi trái, thận phải, kushoto, kulia, ซ้าย, ขวา, ปอดซ้าย, बायाँ, दायाँ, बाएं, दाएं,
बायां फेफड़ा, چپ, راست, ریه چپ, بائیں, دائیں, يسار, يمين, أيسر, أيمن, الكلية اليسرى,
الكلية اليمنى, שמאל, כליה ימנית, বাম, ডান, বাম ফুসফুস, 左, 右, 左肺, 右腎, 左心室, ひだり, みぎ,
왼쪽 폐, 오른쪽, 우측 폐, 좌심실, 폐우엽, ձախ, მარჯვენა, இடது, ఎడమ, ＬＥＦＴ lung,
left\u00a0lung
"""
ONE_SIDE = [name.strip() for name in ONE_SIDE.replace("\n", " ").split(",")]
NO_SIDE = """
ventricle, liver, bright, brightness, upright, cleft, cleft palate, copyright, forthright,
leftover, outright, Albright, playwright, alright, righteous, palate, artery, sinus,
frontal sinus, sinusoid, alt, salt, altered, cortex, alveolar, L1, L2, L3, L4, L5, R1, R2*,
R2* map, L1 vertebra, vertebrae_L1, vertebrae_L5, vertebrae_T1, disc L4-L5, S1, T12, type A, LV,
molar, premolar, rectum, caudate, lateral ventricle, dextran, dextrose, myocardium,
basal ganglia, grade D, stage E, cell, Lesion, Rest, foreground, kidney_1, tumour, tumor core,
edema, enhancing tumor, spleen, stomach, pancreas, gallbladder, aorta, oesophagus, bladder,
prostate, uterus, colon, duodenum, heart, lung, lungs, kidney, kidneys, eye, femur, tibial,
fibular, scapular, retinal, renal, rectal, lumbar, rib, vessel, nodule, Rechteck, Kreis, linked,
lab, level, lever, lavage, vertebra, normal, label, rule, relapse, listed, learnt, kneel,
ground glass, hemorrhage, polyp, calculus, vitreous, drusen, optic cup, melanoma, nucleus,
mitosis, ignore me, 1, 2, class 7, world, orange, bone, muscle, fat
"""
NO_SIDE = [name.strip() for name in NO_SIDE.replace("\n", " ").split(",")]


def test_one_side_alone_in_many_languages():
    assert len(ONE_SIDE) >= 150
    assert [name for name in ONE_SIDE if "left-right" not in forbidden_axes([name], 3)] == []


def test_ordinary_words_are_no_side():
    assert len(NO_SIDE) >= 80
    assert {name: found for name in NO_SIDE if (found := forbidden_axes([name], 3))} == {}


@pytest.mark.parametrize(
    "pair",
    [
        "kidneylt/kidneyrt", "lftlung/rgtlung", "rim E/rim D", "pulmão E/pulmão D", "Rein G/Rein D",
        "poumon dt/poumon gche", "riñón I/riñón D", "płuco L/płuco P", "почка Л/почка П",
        "njure v/njure h", "tüdő b/tüdő j", "munuainen vas./munuainen oik.", "xyzl/xyzr",
        "xyzdx/xyzsx", "LAA/RAA",
    ],
)  # fmt: skip
def test_abbreviations_are_sides_beside_their_counterpart(pair):
    assert forbidden_axes(pair.split("/"), 3)["left-right"] == tuple(pair.split("/"))


@pytest.mark.parametrize("names", [["P", "Q", "R", "S", "T"], ["K", "L", "M"], ["type D", "type E",
                                   "type F"]])  # fmt: skip
def test_letters_of_a_list_are_no_sides(names):
    assert "left-right" not in forbidden_axes(names, 3)


@pytest.mark.parametrize(
    ("axis", "names"),
    [
        ("front-back", "Anterior, ant horn, antero-lateral, posterioris, ventralis, dorsalis, "
         "front, przedni, tylny, delantero, trasero, Vorderhorn, hintere Wand, "
         "antérieur, передний, 前葉"),
        ("head-foot", "SVC, IVC, cranialis, cranial, caudalis, Oberlappen, Unterlappen, above, "
         "below, górny, dolny, supérieur, lobe sup, UpperLobe, lowerlobe, верхняя доля, 上葉"),
    ],
)  # fmt: skip
def test_one_side_of_the_other_axes(axis, names):
    for name in names.split(", "):
        assert list(forbidden_axes([name], 3)) == [axis], name


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
