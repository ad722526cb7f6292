"""Measurements that could say something else than what was measured."""

import pytest

from faults import fault
from lightm_unet.benchmark.bench import RoundRobin, with_limits
from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.process import environment
from lightm_unet.benchmark.results import Result
from lightm_unet.diagnosis import RESTRICTIONS, describe_instruction_sets, doctor

SECTION = "Measuring"


@pytest.fixture(autouse=True)
def _unrestricted(monkeypatch):
    for name in RESTRICTIONS:
        monkeypatch.delenv(name, raising=False)


@fault(
    SECTION,
    "`bench --what limits` with a network, with another --what, with --size, --batch, --device, "
    "--engine or --allocator, with no threads, with more than the machine has cores, no rounds",
    "one line for each, exit code 2, nothing is written",
)
def test_limits_with_what_they_do_not_take(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answers = set()
    for words in (
        ("nnu-net",),
        ("--what", "forward"),
        ("--what", "scan"),
        ("--size", "8x8"),
        ("--batch", "2"),
        ("--device", "cpu"),
        ("--engine", "torch"),
        ("--allocator", "default"),
        ("--threads", "0"),
        ("--threads", "two"),
        ("--threads", "1000000"),
        ("--rounds", "0"),
    ):
        code, printed, error = run("bench", "--what", "limits", *words, "--output", "out")
        one_line = error.count("\n") == 1 and not printed
        answers.add(f"{'one line' if one_line else error} for each, exit code {code}")
    left = "nothing" if not list(tmp_path.iterdir()) else "something"
    return f"{' and '.join(sorted(answers))}, {left} is written"


@fault(
    SECTION,
    "a benchmark while a variable of the environment keeps torch, oneDNN, MKL or the native "
    "kernels from using all instructions of the processor",
    "the measured processes are restricted too, and the report names the variables",
)
def test_a_restricted_instruction_set(monkeypatch):
    given = dict.fromkeys(RESTRICTIONS, "avx2")
    passed = environment(BenchCase("nnu-net", (8, 8)), given) == given
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    said = describe_instruction_sets(doctor().instruction_sets)
    told = all(f"{name}=avx2" in said for name in RESTRICTIONS)
    return (
        f"the measured processes are {'' if passed else 'not '}restricted too, and the report "
        f"{'names the variables' if told else said}"
    )


@fault(
    SECTION,
    "the share of the processor's limit where it is not known: a network on a GPU, one whose "
    "operations cannot be counted, an installation without native kernels",
    "times without a share, and the reason",
)
def test_a_share_that_is_not_known(monkeypatch):
    answers = set()
    for name, device, probe in (
        ("lightm-unet-nano", "cuda", lambda _: 1e9),
        ("lightm-unet-nano:width=0", "cpu", lambda _: 1e9),
        ("lightm-unet-nano", "cpu", None),
    ):
        case = BenchCase(name, (16, 16), device=device)
        done = RoundRobin(1, probe=probe)
        done.results[case] = Result(case, seconds=(1.0,))
        if probe is not None:
            done.limits[1] = 1e9
        (result,), notes = with_limits([case], done)
        share = "a share" if result.share_of_limit is not None else "times without a share"
        answers.add(f"{share}, and {'the reason' if notes else 'no word'}")
    return " and ".join(sorted(answers))
