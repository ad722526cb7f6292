"""Which cases to show: the best, the median and the worst."""

from __future__ import annotations

import math
from collections.abc import Mapping


def pick_examples(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """The best, the median and the worst case, each case once, with a title.

    Equal scores are ordered by name, so the choice is the same every time. Two cases are the best
    and the worst; one is the only one. A case without a score (`nan`) is none of them.

    Args:
        scores: case to score, higher is better.

    Returns:
        Title and case, up to three.

    Example:
        >>> pick_examples({"x": 0.5, "y": 0.9, "z": math.nan, "w": 0.7})
        [('Best', 'y'), ('Median', 'w'), ('Worst', 'x')]
    """
    scored = [case for case, score in scores.items() if not math.isnan(score)]
    ranked = sorted(scored, key=lambda case: (-scores[case], case))
    if len(ranked) < 2:
        title = "The only case" if len(scores) == 1 else "The only case with a score"
        return [(title, case) for case in ranked]
    median = [("Median", ranked[len(ranked) // 2])] if len(ranked) > 2 else []
    return [("Best", ranked[0]), *median, ("Worst", ranked[-1])]
