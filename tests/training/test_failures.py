import errno
import os

import pytest
import torch

from lightm_unet.errors import DataError, MissingPartError, UsageError
from lightm_unet.training.failures import explained_failures


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_files_that_cannot_be_written_are_bad_data_with_the_way_to_go_on(number, tmp_path):
    with (
        pytest.raises(DataError, match=rf"{os.strerror(number)}; .* then go on with --resume"),
        explained_failures(tmp_path),
    ):
        raise OSError(
            number, os.strerror(number), str(tmp_path / ".lightm-unet-0123456789abcdef.tmp")
        )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nallocate memory"),
    ],
    ids=str,
)
def test_too_little_memory_is_a_missing_part_with_settings_that_need_less(error, tmp_path):
    with (
        pytest.raises(MissingPartError, match=r"the memory does not suffice .* smaller --batch"),
        explained_failures(tmp_path),
    ):
        raise error


@pytest.mark.parametrize(
    "text",
    [
        "DataLoader worker (pid 7) is killed by signal: Killed. ",
        "DataLoader worker (pid(s) 7) exited unexpectedly",
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that shared",
    ],
)
def test_a_lost_process_that_prepares_samples_is_a_missing_part(text, tmp_path):
    with (
        pytest.raises(MissingPartError, match="a process that prepares samples was ended"),
        explained_failures(tmp_path),
    ):
        raise RuntimeError(text)


@pytest.mark.parametrize("error", [RuntimeError("a fault of ours"), UsageError("size"), KeyError()])
def test_other_errors_stay_what_they_are(error, tmp_path):
    with pytest.raises(type(error)) as caught, explained_failures(tmp_path):
        raise error
    assert caught.value is error


def test_the_explanation_is_one_line(tmp_path):
    with pytest.raises(MissingPartError) as caught, explained_failures(tmp_path):
        raise RuntimeError("out of memory\nTraceback\n  many lines\nRuntimeError: out of memory")
    assert "\n" not in str(caught.value)
