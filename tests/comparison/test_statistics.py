import pytest

from lightm_unet.comparison.statistics import holm, paired_tests, signed_rank_p, smallest_p


def test_holm_multiplies_by_the_number_of_tests_left_and_never_falls():
    # smallest: 3 x 0.01; next: 2 x 0.03; last: 1 x 0.04, raised to the one before
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_holm_stops_at_one_and_takes_no_test():
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_signed_rank_by_hand():
    # Ranks 1 to 4, the smallest negative: W- = 1. Of 2^4 signs two have a sum of at most 1.
    assert signed_rank_p([-0.1, 0.2, 0.3, 0.4]) == pytest.approx(2 * 2 / 16)


def test_pairs_without_a_difference_are_left_out():
    values = [-0.1, 0.2, 0.3, 0.4]
    assert signed_rank_p([*values, 0.0, 1e-16]) == signed_rank_p(values)
    assert signed_rank_p([0.0, 0.0]) == 1.0


def test_the_smallest_p_is_what_the_test_gives_when_all_cases_agree():
    assert signed_rank_p([0.1, 0.2, 0.3, 0.4, 0.5]) == smallest_p(5) == 0.0625


def test_networks_are_paired_by_case():
    first = {"a": 0.5, "b": 0.6, "c": 0.7}
    tests = paired_tests(
        {"better": {"c": 0.9, "b": 0.7, "other": 0.0}, "elsewhere": {"z": 1.0}},
        {"better": first, "elsewhere": first},
    )
    assert set(tests) == {"better"}
    assert tests["better"].cases == 2
    assert tests["better"].difference == pytest.approx(0.15)
    assert tests["better"].p == tests["better"].p_holm == 0.5


def test_a_case_with_nothing_to_find_is_not_part_of_the_test():
    nan = float("nan")
    tests = paired_tests(
        {"a": {"x": 0.5, "y": nan, "z": 0.75}, "b": {"x": nan}},
        {"a": {"x": 0.25, "y": 0.5, "z": 0.25}, "b": {"x": 0.5}},
    )
    assert (tests["a"].cases, tests["a"].difference) == (2, 0.375)
    assert "b" not in tests
