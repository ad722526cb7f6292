"""Words that name a side of the body, in the languages in which data sets are labelled.

Endings are left open (`\\w*`) where no other word begins in the same way; a few harmless ones that
do, such as German "oberflächlich" for "ober", only cost a mirror.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence


def plain(text: str) -> str:
    """A text without accents and in compatible letters; capitals stay.

    Example:
        >>> plain("Höger"), plain("ľavá"), plain("ＬＥＦＴ")
        ('Hoger', 'lava', 'LEFT')
    """
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(each for each in decomposed if not unicodedata.combining(each))
    return unicodedata.normalize("NFC", bare)


_STRUCTURES = """
    lung lungs kidney eye orbit breast hip knee ankle foot hand arm leg shoulder elbow wrist thigh
    femur humerus radius rib ovary testis testicle hippocampus thalamus putamen pallidum cortex
    parotid adrenal ureter cochlea lens optic nerve disc retina cornea iris temporal parietal
    atrium ventricle lobe hemisphere carotid iliac renal jugular tonsil tibia fibula patella
    clavicle clavicula scapula ulna mandible maxilla amygdala caudate accumbens insula cerebellum
    hemithorax pleura bronchus diaphragm gonad psoas gluteus muscle masseter sinus
    """
"""Structures that there are two of: "lkidney" and "kidneyrt" name sides as "leftkidney" does."""

_TWIN = "|".join(_STRUCTURES.split())
_TWIN_BEFORE_LETTER = "|".join(
    # "tibial" is an adjective and "kneel" a verb, not a tibia and a knee on the left.
    word
    for word in _STRUCTURES.split()
    if not word.endswith(("a", "ee"))
)

_WORDS = {
    "left-right": rf"""
        left | right | lef | lt | rt | lft | rgt | rght | [lr]hs? | [lr]hemi\w*
        | o[ds] | dx | sx | dex | dext | sin | sinis | sinist | dest      # English
        | (left|right)(?!over|eous|ful|s?$)\w{{3,}}
        | (?!(up|out|copy|forth|birth|down|al|play|cart|wain)\w?right|(al|ful)bright)
          \w{{2,}}(left|right)\w*
        | (l|r|lt|rt|lft|rgt|rght|lh|rh|dx|sx|sin|dex)({_TWIN})
        | ({_TWIN})(lt|rt|lft|rgt|rght|lh|rh|dx|sx|sin|dex)
        | ({_TWIN_BEFORE_LETTER})[lr]
        | links\w* | linke(?!d$|dness)\w* | recht | rechts\w* | rechte(?!ck)\w*  # German, Dutch
        | gauch\w* | droit\w* | gche? | dte | drte?                             # French
        | izquierd\w* | derech\w* | izq | izqd[oa] | izd[oa] | dch[oa]? | drch[oa]?  # Spanish
        | esquerd\w* | direit\w* | dereit\w* | esq | dt[oa]                     # Portuguese
        | esquerr\w* | dret(a|s|es)? | ezker\w* | eskuin\w*                     # Catalan, Basque
        | sinistr\w* | destr[aoei] | sinister\w* | dexter\w*                    # Italian, Latin
        | dextr(a|i|e|um|ae|is|am|as|os|orum|o(?!se)\w*)
        | stang\w* | drept\w* | dreapt\w*                                       # Romanian
        | venstre\w* | h[øo][yj]re\w* | vanst\w* | hoger\w* | hogra\w*          # Nordic
        | vinstr\w* | h(æ|ae)gr\w* | vase(n|mm|mp)\w* | oikea\w*
        | vasak\w* | parem\w{{0,5}} | kair\w+ | desin(e|ys|io|ej)\w*            # Baltic
        | kreis(a|ais|aj\w+|o|ie) | lab(ais|a|as|o|aj\w+|ie|i)
        | (le[vw]|lav|liev|pra[vw])(y|a|e|i|o|ou|ej|ego|eho|ega|ym|ych|ih|emu)  # Slavic
        | (lewo|levo|prawo|pravo)str\w* | lijev\w{{1,3}} | desn(i|a|o|e|og|oj|ega|ih)
        | vlevo | vpravo | vlavo | nalevo | napravo | слева | справа | налево | направо
        | зліва | праворуч | ліворуч
        | лев\w* | прав\w* | лів\w* | ляв\w* | десн\w* | десен | дясн\w* | зүүн | баруун | оң
        | bal(oldal\w*|ra)? | jobb(oldal\w*|ra)?                                # Hungarian
        | sol | sag | soldaki | sagdaki | chap | majt\w* | djatht\w*            # Turkish, Albanian
        | kiri | kanan | kaliwa | trai | phai | kushoto | kulia | chwith        # Asia, Africa
        """,
    "front-back": r"""
        anterior\w* | posterior\w* | anterieur\w* | posterieur\w* | ant | post
        | antero\w* | postero\w* | ventro\w* | dorso\w* | \w{3,}(anterior|posterior)
        | ventral\w* | dorsal\w* | rostral\w* | front | rear | back
        | vorder\w* | hinter\w* | vorne? | hinten | voorste | achter\w*
        | avant | arriere | davanti | dietro | delanter\w* | traser\w* | dianteir\w* | traseir\w*
        | framre | bakre | forreste | bageste | predn\w{1,3} | prednj\w* | zadn\w{1,3} | straznj\w*
        | przedn\w+ | tyln\w+ | elulso | hatso | arka | depan | belakang | truoc | etuosa | takaosa
        | передн\w+ | задн\w+
        """,
    "head-foot": r"""
        superior\w* | inferior\w* | superieur\w* | inferieur\w* | sup | inf
        | supero\w* | infero\w* | \w{3,}(superior|inferior) | [si]vc | sm[av] | im[av]
        | upper\w* | lower\w* | top | bottom | above | below
        | cranial\w* | cephal(ad|ic) | caudal\w* | caudad | rostral\w* | proximal\w* | distal\w*
        | ober\w* | unter\w* | oben | unten | boven\w* | onder\w*
        | ovre | øvre | undre | nedre | ylempi | alempi | ylaosa | alaosa
        | gorn\w+ | doln\w+ | horni | horn[ya] | gornj\w* | donj\w* | felso
        | arriba | abajo | atas | bawah | tren | duoi | верхн\w+ | нижн\w+
        """,
}
"""Words that name a side by themselves; accents are removed before."""

_ANYWHERE = {
    "left-right": """
        左 右 ひだり みぎ ヒダリ ミギ 왼 오른 좌 우 αριστερ δεξι שמאל ימין ימני
        يسار يسرى يسري ايسر يمين يمنى يمني ايمن چپ راست بائیں دائیں بایاں دایاں
        ซ้าย ขวา ຊ້າຍ ຂວາ ឆ្វេង ស្តាំ ស្ដាំ ဘယ် ညာ
        बायाँ बायां बाया बायीं बाएँ बाएं बाये बाईं बाई बाँया देब्रे वाम डाव
        दायाँ दायां दाया दायीं दाएँ दाएं दाये दाईं दाई दाहिन दक्षिण उजव
        বাম বাঁ ডান ડાબ જમણ ਖੱਬ ਸੱਜ இடது வலது ఎడమ కుడి ಎಡ
        ಬಲ ഇടത് വലത് වම් දකුණු მარცხენ მარჯვენ ձախ աջ ግራ ቀኝ
        """,
    "front-back": """
        前 后 後 앞 뒤 전방 후방 전면 후면 προσθι οπισθι
        امامي خلفي قدامی خلفی קדמי אחורי หน้า หลัง पश्च अग्र
        """,
    "head-foot": """
        上 下 위쪽 아래 상부 하부 상엽 하엽 상측 하측 ανωτερ κατωτερ
        علوي سفلي فوقانی تحتانی עליון תחתון บน ล่าง ऊपर नीचे
        """,
}
"""Texts of scripts whose words are joined or take many forms, wherever they stand in a name."""

_PAIRS = {
    "left-right": """
        left/right l/r lt/rt lft/rgt lft/rght lh/rh lhs/rhs li/re lk/re lks/rts le/re os/od
        sin/dex sin/dext sin/dx sn/dx sx/dx s/d g/d e/d i/d v/h b/j l/p izq/der izdo/dcho
        izda/dcha esq/dir gche/dte gche/dt gch/dt gau/dro bal/jobb sol/sag vas/oik va/ho ve/hø
        ve/ho lev/prav lew/praw trai/phai links/rechts linke/rechte gauche/droite gauche/droit
        izquierd/derech esquerd/direit sinistr/destr sinistr/dextr sinister/dexter venstre/høyre
        venstre/højre vanster/hoger vasen/oikea lewy/prawy лев/прав л/п
        """,
    "front-back": """anterior/posterior ant/post antero/postero front/back ventral/dorsal vent/dors
        avant/arriere ante/retro pre/retro vorder/hinter vorn/hint a/p frontal/occipital""",
    "head-foot": """superior/inferior sup/inf supra/infra supra/sub upper/lower up/down top/bottom
        above/below cranial/caudal proximal/distal prox/dist apical/basal apex/base ober/unter
        oben/unten haut/bas alto/basso alto/bajo alto/baixo arriba/abajo ovre/nedre øvre/nedre
        ust/alt yla/ala""",
}

OPPOSITES = {
    axis: [
        ends
        for pair in pairs.split()
        for one, other in [pair.split("/")]
        for ends in ((one, other), (other, one))
    ]
    for axis, pairs in _PAIRS.items()
}
"""Texts that name a side if exchanging the first for the second turns one label into another."""

_WORD_PATTERNS = {axis: re.compile(text, re.VERBOSE) for axis, text in _WORDS.items()}
_ANYWHERE_PATTERNS = {
    axis: re.compile("|".join(map(re.escape, plain(texts).casefold().split())))
    for axis, texts in _ANYWHERE.items()
}


def is_side(axis: str, words: Sequence[str], name: str) -> bool:
    """Whether a name says a side along an axis of the body, whatever the other labels are.

    Args:
        axis: left-right, front-back or head-foot.
        words: the words of the name, plain and in lower case.
        name: the name.

    Example:
        >>> is_side("left-right", ["leftkidney"], "leftkidney"), is_side("head-foot", [], "上葉")
        (True, True)
    """
    return (
        any(_WORD_PATTERNS[axis].fullmatch(word) for word in words)
        or _ANYWHERE_PATTERNS[axis].search(plain(name).casefold()) is not None
    )
