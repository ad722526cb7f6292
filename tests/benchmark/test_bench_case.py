"""Which combinations are measured, and which requests are refused."""

import pytest

from lightm_unet.benchmark.bench_case import make_cases
from lightm_unet.benchmark.settings import ALLOCATORS, BenchSettings
from lightm_unet.errors import UsageError

USUAL = {
    "sizes": [(8, 8)],
    "engines": ["torch"],
    "devices": ["cpu"],
    "threads": [1],
    "allocators": ["default"],
}


def made(networks, **settings):
    return make_cases(networks, BenchSettings(**USUAL | settings))


@pytest.fixture(autouse=True)
def glibc(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))


def test_contestants_that_take_turns_stand_together_engine_by_engine():
    found = made(["a", "b"], sizes=[(8, 8), (16, 16)], engines=["torch", "onnxruntime"])
    assert [(c.size[0], c.engine, str(c.network)) for c in found] == [
        (size, engine, network)
        for size in (8, 16)
        for engine in ("torch", "onnxruntime")
        for network in ("a", "b")
    ]
    assert len({c.group for c in found}) == 2


def test_inferences_and_training_steps_take_turns_apart():
    found = made(["a", "b"], what=["forward", "train"])
    assert [c.job for c in found] == ["forward", "forward", "train", "train"]
    assert len({c.group for c in found}) == 2
    assert len({c.series for c in found}) == 4
    assert [c.job for c in made(["a"], what="train")] == ["train"]


def test_channels_default_to_the_papers_rgb_in_2d_and_ct_in_3d():
    flat, deep = made(["a"], sizes=[(8, 8), (8, 8, 8)])
    assert (flat.in_channels, flat.out_channels) == (3, 2)
    assert (deep.in_channels, deep.out_channels) == (1, 3)


def test_the_allocator_is_varied_on_the_cpu_alone():
    found = made(["a"], devices=["cpu", "cuda"], allocators=ALLOCATORS)
    assert [(c.device, c.allocator) for c in found] == [
        ("cpu", "default"),
        ("cpu", "kept"),
        ("cuda", "default"),
    ]


def test_a_contestant_named_twice_is_measured_once():
    assert len(made(["a", "a"])) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"engines": ["tensorrt"]},
            "engine must be one of torch, onnxruntime, onnxruntime-basic; got 'tensorrt'",
        ),
        ({"allocators": ["jemalloc"]}, "allocator must be one of default, kept; got 'jemalloc'"),
        ({"what": "sleep"}, "what must be one of forward, train; got 'sleep'"),
        ({"sizes": [(8,)]}, "2 or 3 positive numbers"),
        ({"sizes": [(8, 0)]}, "sizes needs a whole number from 1 up, got 0"),
        ({"sizes": []}, "sizes needs a list such as"),
        ({"sizes": (512, 512)}, "sizes needs a list such as .*, got 512"),
        ({"engines": "torch"}, "engines needs a list such as"),
        ({"devices": [None]}, "devices needs a text"),
        ({"in_channels": 0}, "in_channels needs a whole number from 1 up"),
        ({"threads": [0]}, "threads needs a whole number from 1 up"),
        ({"batch": 0}, "batch needs a whole number from 1 up"),
        ({"rounds": 0}, "rounds needs a whole number from 1 up"),
    ],
)
def test_a_request_that_cannot_be_measured_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        made(["a"], **change)


def test_kept_memory_is_refused_where_the_c_library_cannot_be_told(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    with pytest.raises(UsageError, match="allocator must be one of default; got 'kept'"):
        made(["a"], allocators=["kept"])
