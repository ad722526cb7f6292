"""Which combinations are measured, and which requests are refused."""

import pytest

from lightm_unet.benchmark.contestants import ALLOCATORS, make_contestants
from lightm_unet.errors import UsageError

REQUEST = {
    "sizes": [(8, 8)],
    "engines": ["torch"],
    "devices": ["cpu"],
    "threads": [1],
    "allocators": ["default"],
    "job": "forward",
    "batch": 1,
    "in_channels": None,
    "out_channels": None,
}


@pytest.fixture(autouse=True)
def glibc(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))


def test_contestants_that_take_turns_stand_together_engine_by_engine():
    found = make_contestants(
        ["a", "b"],
        **REQUEST | {"sizes": [(8, 8), (16, 16)], "engines": ["torch", "onnxruntime"]},
    )
    assert [(c.size[0], c.engine, str(c.network)) for c in found] == [
        (size, engine, network)
        for size in (8, 16)
        for engine in ("torch", "onnxruntime")
        for network in ("a", "b")
    ]
    assert len({c.group for c in found}) == 2


def test_channels_default_to_the_papers_rgb_in_2d_and_ct_in_3d():
    flat, deep = make_contestants(["a"], **REQUEST | {"sizes": [(8, 8), (8, 8, 8)]})
    assert (flat.in_channels, flat.out_channels) == (3, 2)
    assert (deep.in_channels, deep.out_channels) == (1, 3)


def test_the_allocator_is_varied_on_the_cpu_alone():
    found = make_contestants(
        ["a"], **REQUEST | {"devices": ["cpu", "cuda"], "allocators": ALLOCATORS}
    )
    assert [(c.device, c.allocator) for c in found] == [
        ("cpu", "default"),
        ("cpu", "kept"),
        ("cuda", "default"),
    ]


def test_a_contestant_named_twice_is_measured_once():
    assert len(make_contestants(["a", "a"], **REQUEST)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engines": ["tensorrt"]}, "engine is one of torch, onnxruntime; got 'tensorrt'"),
        ({"devices": ["tpu"]}, "device is one of cpu, cuda, mps; got 'tpu'"),
        ({"allocators": ["jemalloc"]}, "allocator on this system is one of default, kept"),
        ({"job": "sleep"}, "what to measure is one of forward, train; got 'sleep'"),
        ({"sizes": [(8,)]}, "2 or 3 positive numbers"),
        ({"sizes": [(8, 0)]}, "2 or 3 positive numbers"),
        ({"sizes": []}, "sizes at least, got none"),
        ({"threads": [0]}, "threads needs positive"),
        ({"batch": 0}, "batch needs positive"),
    ],
)
def test_a_request_that_cannot_be_measured_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        make_contestants(["a"], **REQUEST | change)


def test_kept_memory_is_refused_where_the_c_library_cannot_be_told(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    with pytest.raises(UsageError, match="on this system is one of default; got 'kept'"):
        make_contestants(["a"], **REQUEST | {"allocators": ["kept"]})
