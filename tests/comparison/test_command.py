"""The verb `compare` from the outside."""

import shutil

import pytest

from lightm_unet.comparison.plan import read_plan
from lightm_unet.comparison.results import FAILED, RunResult, write_result


@pytest.fixture
def folder(stopped_and_resumed, tmp_path):
    """A copy of the finished comparison, to be changed."""
    _, _, done = stopped_and_resumed
    return shutil.copytree(done.folder, tmp_path / "out", symlinks=True)


@pytest.fixture
def same_command(folder, phantoms):
    """The words that go on with it."""
    first, *others = read_plan(folder).networks
    words = [
        phantoms,
        "--output",
        folder,
        "--networks",
        first,
        "--network",
        ",".join(map(str, others)),
    ]
    words += ["--recipe", "default", "--epochs", 2, "--cases", 4, "--size", "32x32"]
    return [*words, "--device", "cpu", "--no-bench"]


def test_the_same_command_trains_nothing_again_and_prints_the_table(run, same_command, folder):
    code, out, err = run("compare", *same_command)
    assert code == 0
    assert err.count("kept, test Dice") == 3
    assert err.count("\n") == 3
    assert "segresnet:init_filters=8" in out
    assert str(folder / "report.html") in out


def test_a_failed_run_is_named_and_gives_exit_code_1(run, same_command, folder):
    write_result(RunResult(read_plan(folder).runs[-1], FAILED, "out of memory"), folder)
    code, _, err = run("compare", *same_command, "--report-only")
    assert code == 1
    assert err.strip() == "segresnet:init_filters=8, seed 0: failed: out of memory"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--networks", "unet"], "got 'unet'"),
        (["--seeds", "one"], "--seeds needs whole numbers, such as 0,1,2, got 'one'"),
        (["--part", "3/2"], "part needs i/N"),
        (["--epochs", 5], "this comparison has epochs 2, not 5"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, same_command, words, message):
    code, _, err = run("compare", *same_command, *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
