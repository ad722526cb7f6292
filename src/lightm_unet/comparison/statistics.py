"""Paired tests over the cases: can chance alone explain the difference of two networks?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Network = TypeVar("Network")
"""What stands for a network: its spec, or its name."""


@dataclass(frozen=True)
class PairedTest:
    """One network against the reference network, over the cases for which both have scores."""

    cases: int
    """Number of these cases."""
    difference: float
    """Mean over the cases of this network's score minus the reference network's."""
    p: float
    """p-value of the two-sided Wilcoxon signed-rank test."""
    p_holm: float
    """The p-value after Holm's correction for all networks that were tested."""


def paired_tests(
    scores: Mapping[Network, Mapping[str, float]], reference: Mapping[Network, Mapping[str, float]]
) -> dict[Network, PairedTest]:
    """Test every network against the reference network.

    Args:
        scores: for each network, one number for each case; cases may be missing, or `nan` where
            there was nothing to find and nothing was found.
        reference: for each of these networks, the scores of the reference network, averaged over
            the seeds that both have.

    Returns:
        A test for each network that shares a case with the reference.

    Example:
        >>> first = {f"case {i}": 0.5 for i in range(6)}
        >>> better = {case: 0.5 + 0.01 * i for i, case in enumerate(first, 1)}
        >>> paired_tests({"better": better}, {"better": first})["better"].p  # 2 / 2^6
        0.03125
    """
    differences = {}
    for network, own in scores.items():
        first = reference[network]
        both = [own[case] - first[case] for case in first if case in own]
        if known := [value for value in both if not math.isnan(value)]:
            differences[network] = known
    p_values = {network: signed_rank_p(values) for network, values in differences.items()}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return {
        network: PairedTest(
            len(values), float(np.mean(values)), p_values[network], corrected[network]
        )
        for network, values in differences.items()
    }


def signed_rank_p(differences: Sequence[float]) -> float:
    """Two-sided p of the Wilcoxon signed-rank test; equal pairs are left out, as in the original.

    Args:
        differences: one difference for each pair.

    Returns:
        The p-value; 1.0 if all pairs are equal.

    Example:
        >>> signed_rank_p([0.1, 0.2, 0.3, 0.4]), signed_rank_p([0.0, 0.0])
        (0.125, 1.0)
    """
    from scipy.stats import wilcoxon

    # Sums in another order differ in their last digits; such differences count as zero.
    values = np.round(np.asarray(differences, dtype=float), 12)
    values = values[values != 0]
    return float(wilcoxon(values).pvalue) if values.size else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values for multiple tests.

    The k-th smallest of m p-values is multiplied by m - k + 1. The result is at least as large as
    that of the smaller p-values, and at most 1.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def smallest_p(cases: int) -> float:
    """The smallest p that the two-sided test can give for so many unequal pairs: 2 / 2^cases.

    Example:
        >>> smallest_p(4)
        0.125
    """
    return min(1.0, 2.0 ** (1 - cases))
