"""The format of numbers, the same in every table, page and figure.

Numbers for programs (CSV, JSON) are in full; the last two functions here write those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

NO_VALUE = "–"
"""Shown in place of a number that was not measured or is not defined."""
INFINITE = "∞"


def three_digits(value: float) -> str:
    """A number with three digits that count, without an exponent.

    Example:
        >>> [three_digits(value) for value in (0.012345, 1.5, 12.345, 1804.2, 0, math.nan)]
        ['0.0123', '1.50', '12.3', '1804', '0', '–']
    """
    if not math.isfinite(value):
        return _not_finite(value)
    if value == 0:
        return "0"
    # Of the rounded number: 9.999 is 10.0 and has one decimal.
    exponent = int(f"{value:.2e}".split("e")[1])
    return f"{value:.{max(0, 2 - exponent)}f}"


def share(value: float) -> str:
    """A score from 0 to 1, or a difference of two, with three decimals.

    Example:
        >>> share(0.95123), share(math.nan)
        ('0.951', '–')
    """
    return f"{value:.3f}" if math.isfinite(value) else _not_finite(value)


def length(value: float) -> str:
    """A distance in mm or pixels: two decimals, and none from 100 on.

    Example:
        >>> length(3.14159), length(123.4), length(math.inf)
        ('3.14', '123', '∞')
    """
    if not math.isfinite(value):
        return _not_finite(value)
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def amount(value: float) -> str:
    """A volume or an area, with fewer decimals the larger it is.

    Example:
        >>> amount(3.14159), amount(31.4159), amount(314.159)
        ('3.14', '31.4', '314')
    """
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def mean_and_std(mean: float, std: float, write: Callable[[float], str] = share) -> str:
    """A mean, and its standard deviation where there is one.

    Example:
        >>> mean_and_std(0.6, 0.1414), mean_and_std(0.5, math.nan)
        ('0.600 ± 0.141', '0.500')
    """
    return write(mean) if math.isnan(std) else f"{write(mean)} ± {write(std)}"


def middle_and_range(middle: float, low: float, high: float) -> str:
    """A median and how far the values reach, with two decimals.

    Example:
        >>> middle_and_range(2.5, 2.4, 2.75)
        '2.50 (2.40 to 2.75)'
    """
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def p_value(p: float) -> str:
    """A p-value with as many digits as it deserves.

    Example:
        >>> p_value(0.0312), p_value(0.00001), p_value(1.0)
        ('0.031', '< 0.001', '1')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}".rstrip("0").rstrip(".")


def millions(value: float) -> str:
    """Millions, to the thousand or with three digits that count.

    Example:
        >>> millions(2533469), millions(2307)
        ('2.533', '0.00231')
    """
    return f"{value / 1e6:.3f}" if value >= 1e5 else three_digits(value / 1e6)


def billions(value: float) -> str:
    """Billions, with two decimals or with three digits that count.

    Example:
        >>> billions(119.492e9), billions(12.5e6), billions(0)
        ('119.49', '0.0125', '0')
    """
    return f"{value / 1e9:.2f}" if value >= 1e9 else three_digits(value / 1e9)


def milliseconds(seconds: float) -> str:
    """A time in ms with three digits that count.

    Example:
        >>> milliseconds(0.0123)
        '12.3'
    """
    return three_digits(seconds * 1e3)


def minutes(seconds: float) -> str:
    """A time in minutes with one decimal.

    Example:
        >>> minutes(90.0), minutes(math.nan)
        ('1.5', '–')
    """
    return f"{seconds / 60:.1f}" if math.isfinite(seconds) else _not_finite(seconds)


def megabytes(size: float) -> str:
    """Bytes as whole MB, a million bytes each.

    Example:
        >>> megabytes(17_400_000)
        '17'
    """
    return f"{size / 1e6:.0f}"


def times(ratio: float) -> str:
    """A ratio, such as "3.14x", with three significant digits.

    Example:
        >>> times(116.11), times(18.285), times(0.9717)
        ('116x', '18.3x', '0.972x')
    """
    return f"{three_digits(ratio)}x"


def size(shape: Sequence[int]) -> str:
    """The size of an image.

    Example:
        >>> size((128, 96))
        '128×96'
    """
    return "×".join(map(str, shape))


def noun(count: int, thing: str) -> str:
    """The singular or plural of a noun whose plural ends in s.

    Example:
        >>> noun(1, "seed"), noun(3, "seed")
        ('seed', 'seeds')
    """
    return thing if count == 1 else f"{thing}s"


def plural(count: int, thing: str) -> str:
    """A number of things.

    Example:
        >>> plural(1, "case"), plural(3, "case")
        ('1 case', '3 cases')
    """
    return f"{count} {noun(count, thing)}"


def six_digits(value: float) -> str:
    """A number for a CSV file, with six digits that count; `nan` and `inf` by these names.

    Example:
        >>> six_digits(2 / 3), six_digits(math.inf)
        ('0.666667', 'inf')
    """
    return f"{value:.6g}"


def six_digits_or_none(value: float) -> str | None:
    """The same, and None, which is an empty cell, for a number that does not exist.

    Example:
        >>> six_digits_or_none(2 / 3), six_digits_or_none(math.nan)
        ('0.666667', None)
    """
    return six_digits(value) if math.isfinite(value) else None


def finite_or_none(value: float) -> float | None:
    """A number for a JSON file, which knows neither `nan` nor `inf`.

    Example:
        >>> finite_or_none(0.5), finite_or_none(math.nan)
        (0.5, None)
    """
    return value if math.isfinite(value) else None


def _not_finite(value: float) -> str:
    return NO_VALUE if math.isnan(value) else INFINITE if value > 0 else f"-{INFINITE}"
