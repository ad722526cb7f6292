"""Labels that name a side, such as "left kidney", and the axes that must not be mirrored for them.

A mirrored image shows the left kidney where the right one was, still under the name "left kidney".
So an axis is not mirrored if a label's name says on which side of it a structure lies, with or
without its counterpart: "left atrium" alone would be learnt on both sides too.

    "left", "rechts", "左", "rt", "dx" ...     a side by itself, see `side_words`
    "L", "R" as a word of its own: "kidneyL"   a side by itself, but not before a digit: "L1" is a
                                               vertebra
    "li", "g", "LV" ...                        a side only if another label differs in this alone:
                                               "rein G" beside "rein D", "LV" beside "RV"

In doubt a name says a side: to mirror less costs little, to mirror wrongly spoils the model. But
a word that only holds one, as "bright", "cleft" or "ventricle", is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lightm_unet.datasets.side_words import OPPOSITES, is_side, plain

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

_OTHER_LETTER = {
    "left-right": {"l": "r", "r": "l"},
    "front-back": {"a": "p", "p": "a"},
    "head-foot": {"l": "u", "u": "l", "s": "i", "i": "s"},
}
"""Letters that stand for a side within an abbreviation: LV and RV, ACL and PCL, UL and LL."""


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
    if is_side(axis, own, name):
        return True
    others = {each for other, each in words.items() if other != name}
    if axis == "left-right" and _has_letter(own) and not _is_listed(own, others, {"l", "r"}):
        return True
    return any(
        exchanged in others and not _is_listed(own, others, pair)
        for exchanged, pair in _exchanged(axis, own)
    )


def _has_letter(words: tuple[str, ...]) -> bool:
    """Whether L or R is the name or stands beside a whole word, as in "kidney L"; "L 1" does not.

    Other short words that are a side only where they are the first or the last of a name: "Lunge
    re", but "Kopf der Niere".
    """
    if len(words) == 1:
        return words[0] in ("l", "r")
    if not any(len(word) > 2 and word.isalpha() for word in words):
        return False
    ends = {words[0], words[-1]}
    return bool(ends & {"li", "re", "sn", "der", "dir", "dt", "lf"}) or any(
        word in ("l", "r") and not (place + 1 < len(words) and words[place + 1].isdigit())
        for place, word in enumerate(words)
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
    for one, other in OPPOSITES[axis]:
        for place, word in enumerate(words):
            for changed in _replaced(word, one, other):
                yield (*words[:place], changed, *words[place + 1 :]), {one, other}
    for place, word in enumerate(words):
        for changed in _other_letter(axis, word):
            yield (*words[:place], changed, *words[place + 1 :]), {word, changed}


def _replaced(word: str, one: str, other: str) -> Iterator[str]:
    """A word with another side: the whole of it, at either end, or a long text anywhere in it.

    Example:
        >>> list(_replaced("kidneylt", "lt", "rt")), list(_replaced("suprahyoid", "supra", "infra"))
        (['kidneyrt'], ['infrahyoid'])
    """
    if word == one:
        yield other
    elif len(one) > 3 and one in word:
        yield word.replace(one, other)
    elif len(one) > 1 and len(word) > len(one) + 1:
        if word.startswith(one):
            yield other + word.removeprefix(one)
        if word.endswith(one):
            yield word.removesuffix(one) + other


def _other_letter(axis: str, word: str) -> Iterator[str]:
    """Abbreviations of the other side: RV of LV, LL of UL, rkidney of lkidney."""
    if len(word) < 2 or not word.isalpha():
        return
    short = len(word) <= 4
    if not short and axis != "left-right":
        return
    for place in range(len(word)) if short else (0, len(word) - 1):
        if other := _OTHER_LETTER[axis].get(word[place]):
            yield word[:place] + other + word[place + 1 :]


def _words(name: str) -> tuple[str, ...]:
    """The words and numbers of a name, without accents, in lower case.

    Example:
        >>> _words("KidneyLeft-2"), _words("Vänster_njure"), _words("LVWall")
        (('kidney', 'left', '2'), ('vanster', 'njure'), ('lv', 'wall'))
    """
    parts = re.findall(r"[^\W\d_]+|\d+", plain(name))
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
