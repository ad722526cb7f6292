"""What a case's process is started with, and what it is asked."""

import sys

import pytest

from lightm_unet.benchmark.bench_case import BenchCase
from lightm_unet.benchmark.process import BenchCaseProcess, environment
from lightm_unet.system.subprocesses import ChildError

WHO = BenchCase("lightm-unet", (8, 8), threads=2)


def play(code):
    """A case's process that runs this code instead."""
    return BenchCaseProcess(WHO, (sys.executable, "-c", code))


def test_kept_memory_is_set_for_it_alone_and_nothing_that_spins_is_passed_on():
    shell = {"PATH": "/bin", "OMP_WAIT_POLICY": "active", "MALLOC_TRIM_THRESHOLD_": "7"}
    assert environment(WHO, shell) == {"PATH": "/bin"}
    kept = environment(BenchCase("lightm-unet", (8, 8), allocator="kept"), shell)
    assert int(kept["MALLOC_TRIM_THRESHOLD_"]) > 2**32
    assert kept["MALLOC_MMAP_MAX_"] == "0"


def test_what_restricts_the_instruction_set_is_passed_on():
    shell = {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_VERBOSE": "1"}
    assert environment(WHO, shell) == {
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
    }


def test_it_is_asked_to_build_and_then_for_turns():
    echo = (
        "import json\n"
        "while True:\n"
        "    print(json.dumps({'asked': json.loads(input())}), flush=True)"
    )
    with play(echo) as process:
        built, turn = process.build()["asked"], process.turn(0.5)["asked"]
    assert built["do"] == "build"
    assert built["case"]["network"] == "lightm-unet"
    assert turn == {"do": "turn", "seconds": 0.5}


def test_it_runs_with_its_threads():
    code = "import json, os; input(); print(json.dumps({k: os.environ[k] for k in %r}))"
    with play(code % (["OMP_NUM_THREADS", "MKL_NUM_THREADS"],)) as process:
        assert process.build() == {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}


def test_the_reason_that_it_answers_is_raised():
    with (
        play("""input(); print('{"error": "why"}')""") as it,
        pytest.raises(ChildError, match=r"^why$"),
    ):
        it.build()
