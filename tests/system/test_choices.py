import pytest

from lightm_unet.errors import UsageError
from lightm_unet.system.choices import check_choice


def test_a_choice_is_accepted():
    check_choice("recipe", "paper", ["default", "paper"])
    check_choice("directions", 2, (1, 2))


@pytest.mark.parametrize(
    ("value", "choices", "message"),
    [
        ("x", ("paper", "default"), "name must be one of paper, default; got 'x'"),
        ("papre", ("paper", "default"), "got 'papre'; did you mean 'paper'?"),
        ("PAPER", ("paper", "default"), "got 'PAPER'; did you mean 'paper'?"),
        (3, (1, 2), "name must be one of 1, 2; got 3"),
        (True, (1, 2), "name must be one of 1, 2; got True"),
        ([], ("paper",), "name must be one of paper; got []"),
    ],
)
def test_anything_else_is_refused_with_all_choices_and_the_nearest(value, choices, message):
    with pytest.raises(UsageError) as caught:
        check_choice("name", value, choices)
    assert str(caught.value).endswith(message)
