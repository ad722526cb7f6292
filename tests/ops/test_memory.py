"""Large tensors of the native kernels: kept when freed, used again, given back on request."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from lightm_unet.errors import UsageError
from lightm_unet.networks.rvm import RVMLayer
from lightm_unet.ops.dispatch import native
from lightm_unet.ops.memory import (
    LARGE,
    empty,
    empty_like,
    kept_bytes,
    kept_limit,
    limit_kept_memory,
    release_memory,
)
from lightm_unet.system.memory import machine_bytes

pytestmark = pytest.mark.skipif(native is None, reason="the extension is not built")


@pytest.fixture(autouse=True)
def _nothing_kept():
    release_memory()
    yield
    release_memory()


def test_a_freed_tensors_memory_goes_to_the_next_of_its_size():
    first = empty((4, LARGE))
    place = first.data_ptr()
    assert empty((4, LARGE)).data_ptr() != place  # not while it is in use
    del first
    assert empty((LARGE, 4)).data_ptr() == place


def test_a_view_keeps_the_memory_in_use():
    first = empty((2, LARGE))
    place, view = first.data_ptr(), first[1]
    del first
    assert empty((2, LARGE)).data_ptr() != place
    view.fill_(1.0)
    assert view.sum() == LARGE


def test_a_much_smaller_tensor_does_not_take_a_large_block():
    place = empty((8, LARGE)).data_ptr()
    assert empty((LARGE,)).data_ptr() != place


def test_tensors_are_dense_float32_aligned_and_of_the_shape_asked_for():
    t = empty_like(torch.empty(LARGE, 3).transpose(0, 1))
    assert t.shape == (3, LARGE)
    assert t.is_contiguous()
    assert t.dtype == torch.float32
    assert t.data_ptr() % 64 == 0
    assert empty((0, 5)).shape == (0, 5)


HOLD_AND_RELEASE = """
import psutil
from lightm_unet.ops.memory import LARGE, empty, release_memory

held = psutil.Process().memory_info
print(held().rss)
empty((64, LARGE)).fill_(1.0)
print(held().rss)
release_memory()
print(held().rss)
"""


@pytest.mark.slow
def test_release_gives_64_mb_of_freed_memory_back_to_the_system():
    # In a process of its own: malloc may have as much at hand in one that has done much.
    command = [sys.executable, "-c", HOLD_AND_RELEASE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, kept, after = map(int, done.stdout.split())
    assert kept > before + 50e6
    assert after < kept - 50e6


@pytest.fixture
def limit():
    """Sets the limit of kept memory, for one test."""
    before = limit_kept_memory(0)
    yield limit_kept_memory
    limit_kept_memory(before)


def test_no_more_is_kept_than_the_limit_and_the_oldest_goes_first(limit):
    each = 4 * LARGE
    limit(int(2.5 * each))
    tensors = [empty((LARGE + 64 * i,)) for i in range(3)]  # of different sizes
    places = [t.data_ptr() for t in tensors]
    while tensors:
        del tensors[0]
    assert 2 * each <= kept_bytes() <= 2.5 * each
    assert {empty((LARGE + 64 * i,)).data_ptr() for i in (1, 2)} == set(places[1:])


def test_a_buffer_above_the_limit_is_not_kept_and_drops_no_other(limit):
    limit(8 * LARGE)
    del (small := [empty((LARGE,))])[0]
    kept = kept_bytes()
    assert small == []
    assert kept >= 4 * LARGE
    empty((4 * LARGE,))
    assert kept_bytes() == kept


def test_a_lower_limit_takes_effect_at_once_and_one_below_zero_is_refused(limit):
    limit(2**30)
    empty((LARGE,))
    assert kept_bytes() > 0
    limit(0)
    assert kept_bytes() == 0
    with pytest.raises(UsageError, match="limit_bytes needs 0 or a positive number, got -1"):
        limit_kept_memory(-1)


def test_the_limit_is_a_quarter_of_the_machines_memory_unless_it_is_set(limit):
    limit(3 * 2**20)
    assert kept_limit() == 3 * 2**20
    code = "from lightm_unet.ops.memory import kept_limit; print(kept_limit())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == pytest.approx(machine_bytes() / 4, rel=0.01)


def test_release_frees_the_working_memory_of_layers_too(limit):
    layer = RVMLayer(2, 16, 16, expand=2, d_state=4, conv="causal", d_conv=4, directions=1)
    with torch.inference_mode():
        layer(torch.zeros(1, 64, 16), (8, 8))
    assert kept_limit() == 0  # so what is kept is no tensor's
    assert kept_bytes() > 0
    release_memory()
    assert kept_bytes() == 0


TRAIN_ON_MANY_SIZES = """
import random
import psutil
import torch
from lightm_unet.ops import selective_scan
from lightm_unet.ops.memory import kept_bytes, limit_kept_memory

def step(length):
    u, delta = (torch.randn(1, length, 64, requires_grad=True) for _ in range(2))
    B, C = (torch.randn(1, length, 8) for _ in range(2))
    selective_scan(u, delta, -torch.ones(64, 8), B, C).sum().backward()

torch.set_num_threads(2)
limit_kept_memory(16 * 2**20)
held = psutil.Process().memory_info
for _ in range(3):
    step(60_000)
first, most_kept, most_held = held().rss, 0, 0
sizes = random.Random(0)
for _ in range(24):
    step(sizes.randrange(5_000, 60_000))
    most_kept, most_held = max(most_kept, kept_bytes()), max(most_held, held().rss)
print(most_kept, most_held - first)
"""


@pytest.mark.slow
def test_a_training_on_images_of_many_sizes_holds_no_more_than_its_limit():
    # Without a limit these steps would keep some 100 MB, the buffers of every size; with a leak
    # they would hold 500 MB more in the end than at first.
    command = [sys.executable, "-c", TRAIN_ON_MANY_SIZES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    most_kept, more_held = map(int, done.stdout.split())
    working_memory = 8 * 2**20
    assert most_kept <= 16 * 2**20 + working_memory
    assert more_held < 64 * 2**20


FORK_WHILE_THREADS_WORK = """
import os, signal, threading
import torch
from lightm_unet.networks.rvm import RVMLayer
from lightm_unet.ops import release_memory

torch.manual_seed(0)
torch.set_num_threads(2)
options = {"expand": 2, "d_state": 16, "conv": "causal", "d_conv": 4, "directions": 1}
layer = RVMLayer(2, 64, 64, **options)
tokens = torch.randn(1, 8192, 64)

def work():
    # It holds workspace, threads and, for its result, a buffer nearly all the time.
    with torch.no_grad():
        return layer(tokens, (64, 128))

expected = work().numpy()
stop = threading.Event()

def work_on():
    while not stop.is_set():
        work()

def release_on():
    while not stop.is_set():
        release_memory()

threads = [threading.Thread(target=target) for target in (work_on, work_on, release_on)]
for thread in threads:
    thread.start()
failed = 0
for _ in range(12):
    child = os.fork()
    if child == 0:
        # A lock that was held at the fork would stop the child here for ever.
        signal.alarm(20)
        release_memory()
        # numpy compares: torch's own threads do not survive a fork.
        right = (work().numpy() == expected).all()
        release_memory()
        os._exit(0 if right else 1)
    failed += os.waitpid(child, 0)[1] != 0
stop.set()
for thread in threads:
    thread.join()
print(failed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_can_use_and_release_memory_whatever_its_parent_was_doing():
    command = [sys.executable, "-W", "ignore", "-c", FORK_WHILE_THREADS_WORK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_threads_never_share_a_block():
    wrong = []

    def work(value: float) -> None:
        for _ in range(50):
            t = empty((LARGE,)).fill_(value)
            if t.min() != value or t.max() != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
