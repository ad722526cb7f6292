"""Labels that name a side, such as "left kidney", and the axes that must not be mirrored for them.

A mirrored image shows the left kidney where the right one was, still under the name "left kidney".
So an axis is not mirrored if a label's name says on which side of it a structure lies, with or
without its counterpart: "left atrium" alone would be learnt on both sides too.

    "left", "rechts", "左", "lh" ...           a side by itself
    "L", "R" as a word of its own: "kidneyL"   a side by itself, but not next to a digit: "L1" is a
                                               vertebra
    "lt", "sin", "li", "sup", "LV" ...         a side only if another label differs in this alone:
                                               "lt lung" beside "rt lung", "LV" beside "RV"

A word inside another word, as in "bright", "cleft" or "ventricle", is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

MIRROR_AXES = {
    2: {"left-right": 1, "up-down": 0},
    3: {"left-right": 0, "front-back": 1, "head-foot": 2},
}
"""For pictures and for volumes: the axes by name, with their place in canonical order."""

_FORBIDS: dict[int, dict[str, tuple[str, ...]]] = {
    2: {
        "left-right": ("left-right",),
        # A picture may show a body from the front, from the side or from above.
        "front-back": ("left-right", "up-down"),
        "head-foot": ("up-down",),
    },
    3: {axis: (axis,) for axis in MIRROR_AXES[3]},
}
"""The axes that must not be mirrored if a label names a side along an axis of the body."""

_WORDS = {
    "left-right": r"""
        left | right | lh | rh                                                   # English
        | link[se] | link?e[rsnm] | rechts? | rechte[rsnm]?                      # German, Dutch
        | gauches? | droite?s?                                                   # French
        | izquierd[oa]s? | derech[oa]s?                                          # Spanish
        | esquerd[oa]s? | direit[oa]s?                                           # Portuguese
        | sinistr(a|o|i|e|um|ae|is) | destr[aoei]                                # Italian, Latin
        | sinister | dexter | dextr(a|o|i|e|um|ae|is)
        | stang[aiu]? | drept[aieu]? | dreapta                                   # Romanian
        | venstre | h[øo][yj]re | vanster | vanstra | hoger | hogra              # Nordic
        | vasen | vasemm\w+ | oikea n? | oikeanpuol\w+                           # Finnish
        | lew[yae] | praw[yae] | lev[yaei] | prav[yaei] | lijev[iao] | desn[iao] # Slavic
        | лев[ыаоу]\w{1,2} | прав[ыаоу]\w{1,2} | лів[иаеу]\w{0,2}
        | αριστερ\w+ | δεξι\w+                                                   # Greek
        | kiri | kanan                                                           # Indonesian
        | (ال)?(يسار|يسرى|ايسر|يمين|يمنى|ايمن) | שמאל\w* | ימין | ימני\w*
        | .*[左右].* | (왼|오른|좌|우).*
        """,
    "front-back": r"""
        anterior(e|es|i)? | posterior(e|es|i)? | ant[eé]rieure?s? | post[eé]rieure?s?
        | ventral(e[rsnm]?)? | dorsal(e[rsnm]?)? | rostral | front | rear
        | vorder\w* | vordere[rsnm]? | hinter\w* | vorne | hinten
        | передн\w{2,3} | задн\w{2,3} | .*[前后後].*
        """,
    "head-foot": r"""
        superior(e|es|i)? | inferior(e|es|i)? | superieure?s? | inferieure?s?
        | upper | lower | uppermost | lowermost | top | bottom
        | cranial(e[rsnm]?)? | cephalad | caudal(e[rsnm]?)? | caudad | rostral
        | proximal(e[rsnm]?)? | distal(e[rsnm]?)?
        | ober(e|er|es|en|em)? | unter(e|er|es|en|em)? | oben | unten
        | ovre | øvre | nedre | верхн\w{2,3} | нижн\w{2,3} | .*[上下].*
        """,
}
"""Words that name a side by themselves; accents are removed before."""

_JOINED = {
    "left-right": r"(left|right)(?!over|eous|ful)\w{3,}",
    "front-back": r"(anterior|posterior|ventral|dorsal|rostral|antero|postero|ventro|dorso)\w{3,}"
    r"|\w{3,}(anterior|posterior)",
    "head-foot": r"(superior|inferior|caudal|rostral|supero|infero)\w{3,}"
    r"|\w{3,}(superior|inferior)",
}
"""Words that are joined with another one: "leftkidney", "superiorfrontal", "anterolateral"."""

_OPPOSITES = {
    "left-right": """left/right l/r lt/rt lft/rgt lh/rh lhs/rhs li/re lk/re
        lks/rts le/re os/od sin/dex
        sin/dext sin/dx sn/dx sx/dx s/d g/d v/h izq/der izdo/dcho izda/dcha esq/dir bal/jobb sol/sag
        trai/phai links/rechts gauche/droite gauche/droit izquierd/derech esquerd/direit
        sinistr/destr sinistr/dextr sinister/dexter venstre/høyre venstre/højre vanster/hoger
        vasen/oikea lewy/prawy лев/прав л/п""",
    "front-back": """anterior/posterior ant/post antero/postero front/back ventral/dorsal vent/dors
        avant/arriere ante/retro pre/retro vorder/hinter vorn/hint a/p frontal/occipital""",
    "head-foot": """superior/inferior sup/inf supra/infra supra/sub upper/lower up/down top/bottom
        above/below cranial/caudal proximal/distal prox/dist apical/basal ober/unter oben/unten
        haut/bas alto/basso arriba/abajo ovre/nedre øvre/nedre""",
}
"""Texts that name a side if exchanging them turns one label's name into another's."""


def forbidden_axes(label_names: Sequence[str], spatial_dims: int) -> dict[str, tuple[str, ...]]:
    """The axes that must not be mirrored, each with the labels that name a side along it.

    Args:
        label_names: all labels of a data set.
        spatial_dims: 2 for pictures, whose axes are left-right and up-down; 3 for volumes, whose
            axes are left-right, front-back and head-foot.

    Example:
        >>> forbidden_axes(["background", "kidneyL", "kidneyR", "bright ventricle"], 3)
        {'left-right': ('kidneyL', 'kidneyR')}
        >>> forbidden_axes(["background", "Anterior", "Posterior"], 3)
        {'front-back': ('Anterior', 'Posterior')}
    """
    words = {name: _words(name) for name in label_names}
    found: dict[str, list[str]] = {}
    for body_axis, axes in _FORBIDS[spatial_dims].items():
        named = [name for name in label_names if _names_side(body_axis, name, words)]
        for axis in axes if named else ():
            found.setdefault(axis, []).extend(named)
    return {
        axis: tuple(dict.fromkeys(found[axis]))
        for axis in MIRROR_AXES[spatial_dims]
        if axis in found
    }


def describe_forbidden(forbidden: dict[str, tuple[str, ...]]) -> str:
    """The axes that must not be mirrored, and why, in a few words.

    Example:
        >>> describe_forbidden({"left-right": ("left kidney", "right kidney")})
        'not left-right (the labels left kidney, right kidney name a side)'
    """
    return ", ".join(
        f"not {axis} (the {'labels' if len(names) > 1 else 'label'} {_some(names)} "
        f"{'name' if len(names) > 1 else 'names'} a side)"
        for axis, names in forbidden.items()
    )


def _names_side(axis: str, name: str, words: dict[str, tuple[str, ...]]) -> bool:
    own = words[name]
    if any(_full(_WORDS[axis], word) or _full(_JOINED[axis], word) for word in own):
        return True
    others = {each for other, each in words.items() if other != name}
    if axis == "left-right" and _has_letter(own) and not _is_listed(own, others, {"l", "r"}):
        return True
    return any(
        exchanged in others and not _is_listed(own, others, pair)
        for exchanged, pair in _exchanged(axis, own)
    )


def _full(pattern: str, word: str) -> bool:
    return re.fullmatch(pattern, word, re.VERBOSE) is not None


def _has_letter(words: tuple[str, ...]) -> bool:
    """Whether L or R stands first or last beside a whole word, as in "kidney L"; "L 1" does not."""
    return (
        len(words) > 1
        and any(len(word) > 2 and word.isalpha() for word in words)
        and (words[0] in ("l", "r") or words[-1] in ("l", "r"))
        and not any(
            {first, second} & {"l", "r"} and (first.isdigit() or second.isdigit())
            for first, second in pairwise(words)
        )
    )


def _is_listed(words: tuple[str, ...], others: Iterable[tuple[str, ...]], pair: set[str]) -> bool:
    """Whether a letter only counts: "type L" beside "type A" and "type B" is on no side."""
    for place, word in enumerate(words):
        if len(word) == 1 and word in pair:
            rest = words[:place], words[place + 1 :]
            for other in others:
                if (
                    len(other) == len(words)
                    and (other[:place], other[place + 1 :]) == rest
                    and len(other[place]) == 1
                    and other[place].isalpha()
                    and other[place] not in pair
                ):
                    return True
    return False


def _exchanged(axis: str, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The name with one side exchanged for the other, in every way, and the two texts."""
    for pair in _OPPOSITES[axis].split():
        ends = pair.split("/")
        for one, other in (ends, ends[::-1]):
            for place, word in enumerate(words):
                # A long text counts within a word too: "suprahyoid", "infrahyoid".
                if word == one or (len(one) > 3 and one in word):
                    changed = word.replace(one, other)
                    yield (*words[:place], changed, *words[place + 1 :]), {one, other}
    for place, word in enumerate(words):
        for changed in _other_letter(axis, word):
            yield (*words[:place], changed, *words[place + 1 :]), {word, changed}


def _other_letter(axis: str, word: str) -> Iterator[str]:
    """Abbreviations of the other side: RV of LV, LL of UL, rkidney of lkidney."""
    if axis == "front-back" or len(word) < 2 or not word.isalpha():
        return
    short = len(word) <= 4
    exchange = {"l": "r", "r": "l"} if axis == "left-right" else {"l": "u", "u": "l"}
    if not short and axis == "head-foot":
        return
    for place in range(len(word)) if short else (0, len(word) - 1):
        if other := exchange.get(word[place]):
            yield word[:place] + other + word[place + 1 :]


def _words(name: str) -> tuple[str, ...]:
    """The words and numbers of a name, without accents, in lower case.

    Example:
        >>> _words("KidneyLeft-2"), _words("Vänster_njure"), _words("LVWall")
        (('kidney', 'left', '2'), ('vanster', 'njure'), ('lv', 'wall'))
    """
    decomposed = unicodedata.normalize("NFKD", name)
    plain = "".join(each for each in decomposed if not unicodedata.combining(each))
    plain = unicodedata.normalize("NFC", plain)
    parts = re.findall(r"[^\W\d_]+|\d+", plain)
    return tuple(word.casefold() for part in parts for word in _camel_words(part))


def _camel_words(part: str) -> list[str]:
    spaced = "".join(
        f" {letter}"
        if place
        and letter.isupper()
        and (part[place - 1].islower() or part[place + 1 : place + 2].islower())
        else letter
        for place, letter in enumerate(part)
    )
    return spaced.split()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 3 else ""
    return ", ".join(names[:2] if more else names) + more
