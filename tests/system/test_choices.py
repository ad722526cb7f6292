import pytest

from lightm_unet.errors import UsageError
from lightm_unet.system.choices import check_choice


def test_a_choice_is_taken_in_silence():
    check_choice("stem", "conv", {"dwconv": 1, "conv": 2})


@pytest.mark.parametrize("value", ["cnov", True, 4, None, ["conv"]], ids=repr)
def test_anything_else_is_answered_with_the_choices(value):
    with pytest.raises(UsageError, match=r"^order is one of 1, 2, conv; got "):
        check_choice("order", value, (1, 2, "conv"))
