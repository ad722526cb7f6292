"""Large tensors of the native kernels: kept when freed, used again, given back on request."""

import subprocess
import sys
import threading

import pytest
import torch

from lightm_unet.ops.dispatch import native
from lightm_unet.ops.memory import LARGE, empty, empty_like, release_memory

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


def test_release_gives_64_mb_of_freed_memory_back_to_the_system():
    # In a process of its own: malloc may have as much at hand in one that has done much.
    command = [sys.executable, "-c", HOLD_AND_RELEASE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, kept, after = map(int, done.stdout.split())
    assert kept > before + 50e6
    assert after < kept - 50e6


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
