import pytest

from lightm_unet.comparison.subset import choose_cases, link_dataset
from lightm_unet.datasets.dataset import open_dataset
from lightm_unet.datasets.splits import Split, find_split
from lightm_unet.errors import UsageError

SPLIT = Split(tuple("abcdefgh"), ("v",), ("t", "u"), seed=0)


def test_fewer_cases_are_among_those_of_more_and_the_same_each_time():
    few, more = (set(choose_cases(SPLIT, n).training) for n in (3, 5))
    assert len(few) == 3
    assert few < more
    assert few == set(choose_cases(SPLIT, 3).training)
    assert few != set("abc")


def test_validation_and_test_stay_whole():
    chosen = choose_cases(SPLIT, 1)
    assert (chosen.validation, chosen.test) == (("v",), ("t", "u"))
    assert choose_cases(SPLIT, None) == SPLIT


@pytest.mark.parametrize("cases", [0, 9])
def test_more_cases_than_there_are_are_refused(cases):
    with pytest.raises(UsageError, match="1 to the 8 training cases"):
        choose_cases(SPLIT, cases)


def test_the_linked_data_set_has_the_chosen_cases_and_their_split(phantoms, tmp_path):
    data = open_dataset(phantoms)
    split = choose_cases(find_split(data), 2)
    linked = link_dataset(data, split, tmp_path / "data")
    assert find_split(linked, seed=5) == split
    assert {c.name for c in linked.training} == {*split.training, *split.validation, *split.test}
    for case in linked.training:
        assert case.images[0].read_bytes() == data.case(case.name).images[0].read_bytes()
    assert link_dataset(data, split, tmp_path / "data") == linked  # taken as it is


def test_files_are_copied_where_there_are_no_links(phantoms, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError

    monkeypatch.setattr("os.symlink", refuse)
    data = open_dataset(phantoms)
    linked = link_dataset(data, find_split(data), tmp_path / "data")
    assert not linked.training[0].images[0].is_symlink()
    assert linked.training[0].images[0].stat().st_size > 0
