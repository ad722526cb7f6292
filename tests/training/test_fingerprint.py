from lightm_unet.system.json_codec import from_json, to_json
from lightm_unet.training.fingerprint import Fingerprint

BEFORE = Fingerprint(
    {"labels": "1", "name": "2"},
    ("a", "b"),
    {"a": {"imagesTr/a.png": "10 x", "labelsTr/a.png": "9 y"}, "b": {"imagesTr/b.png": "1 z"}},
)


def test_a_fingerprint_survives_json_and_does_not_differ_from_itself():
    assert from_json(Fingerprint, to_json(BEFORE)) == BEFORE
    assert BEFORE.differences(BEFORE) == []


def test_each_difference_is_told_in_words():
    now = Fingerprint(
        {"labels": "3", "name": "2", "more": "4"},
        ("a", "c"),
        {"a": {"imagesTr/a.png": "10 w", "labelsTr/other.png": "9 y"}},
    )
    assert BEFORE.differences(now) == [
        "dataset.json with other labels, more",
        "missing case: b",
        "added case: c",
        "missing file: labelsTr/a.png",
        "added file: labelsTr/other.png",
        "changed file: imagesTr/a.png",
    ]


def test_of_many_names_a_few_are_told():
    names = tuple(f"case_{number}" for number in range(9))
    told = Fingerprint({}, names, {}).differences(Fingerprint({}, (), {}))
    assert told == ["missing cases: case_0, case_1, case_2, case_3, case_4 and 4 more"]
