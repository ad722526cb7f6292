"""Which part of the cases a process does, from an option or from its scheduler."""

import pytest

from lightm_unet.errors import UsageError
from lightm_unet.inference.shards import Shard, choose_shard

NAMES = [f"case_{number}" for number in range(1000)]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 64])
def test_every_case_is_in_one_part_and_parts_are_alike(count):
    shards = [Shard(number, count) for number in range(1, count + 1)]
    parts = [[name for name in NAMES if shard.holds(name)] for shard in shards]
    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    assert max(map(len, parts)) < 2 * len(NAMES) / count + 10


def test_a_cases_part_does_not_depend_on_others_or_on_the_process():
    assert [number for number in range(1, 9) if Shard(number, 8).holds("case_7")] == [5]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "8"}, (1, 8)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "12",
                "SLURM_ARRAY_TASK_MIN": "4",
                "SLURM_ARRAY_TASK_MAX": "16",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_STEP": "4",
            },
            (3, 4),
        ),
        ({"JOB_COMPLETION_INDEX": "7", "JOB_COMPLETIONS": "8"}, (8, 8)),
        ({"CLOUD_RUN_TASK_INDEX": "0", "CLOUD_RUN_TASK_COUNT": "3"}, (1, 3)),
        ({"CLOUD_RUN_TASK_INDEX": "0", "CLOUD_RUN_TASK_COUNT": "1"}, None),
    ],
)
def test_schedulers_are_understood(environment, expected):
    shard = choose_shard(None, environment)
    assert (shard and (shard.number, shard.count)) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_ARRAY_TASK_ID": "3"},
        {"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "8"},
        {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "8"},
        {
            "SLURM_ARRAY_TASK_ID": "5",
            "SLURM_ARRAY_TASK_MIN": "4",
            "SLURM_ARRAY_TASK_COUNT": "4",
            "SLURM_ARRAY_TASK_STEP": "4",
        },
        {"JOB_COMPLETION_INDEX": "1"},
        {"JOB_COMPLETION_INDEX": "8", "JOB_COMPLETIONS": "8"},
        {"JOB_COMPLETION_INDEX": "-1", "JOB_COMPLETIONS": "8"},
        {"CLOUD_RUN_TASK_INDEX": "0", "CLOUD_RUN_TASK_COUNT": "0"},
        {"CLOUD_RUN_TASK_INDEX": "", "CLOUD_RUN_TASK_COUNT": "4"},
    ],
)
def test_an_environment_that_cannot_be_is_refused_and_can_be_turned_off(environment):
    with pytest.raises(UsageError):
        choose_shard(None, environment)
    assert choose_shard("none", environment) is None


@pytest.mark.parametrize("text", ["", "3", "0/8", "9/8", "1/0", "a/b", "1/2/3", "-1/8", "1 / 8"])
def test_a_part_that_cannot_be_is_refused(text):
    with pytest.raises(UsageError, match="shard needs"):
        choose_shard(text, {})


def test_an_option_goes_before_the_environment():
    environment = {"CLOUD_RUN_TASK_INDEX": "0", "CLOUD_RUN_TASK_COUNT": "3"}
    assert choose_shard("2/5", environment) == Shard(2, 5)
