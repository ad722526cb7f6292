"""Training runs that are stopped, damaged, disturbed or asked for what cannot be."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from faults import fault
from lightm_unet.training.run_folder import read_run, write_run
from lightm_unet.training.run_lock import this_process
from lightm_unet.training.train import train
from run_checks import log_of

SECTION = "Training runs"
SETTINGS = {
    "size": (16,),
    "epochs": 3,
    "batch_size": 2,
    "device": "cpu",
    "recipe": "released",
    "learning_rate": 0.02,
    "network": "lightm-unet:width=4:encoder_layers=[1]:bottleneck_layers=1",
}
REFUSED = "exit code 3, one line"


class Stop(Exception):
    """Ends a run from within."""


@pytest.fixture(scope="module")
def data(xray_phantoms) -> Path:
    """Six X-ray phantoms; read only."""
    return xray_phantoms


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """A run that nothing has disturbed; read only."""
    return train(data, tmp_path_factory.mktemp("runs") / "whole", **SETTINGS).folder


def interrupted(data, run, listen, epoch=3):
    """A run that was stopped at the end of an epoch, before its checkpoint."""

    def stop(line):
        if line.startswith(f"epoch {epoch}/"):
            raise Stop

    with pytest.raises(Stop), listen(stop):
        train(data, run, **SETTINGS)
    return run


def same(run, whole):
    """Whether two runs have learnt the same, in words."""
    bits = [(each / "model" / "model.safetensors").read_bytes() for each in (run, whole)]
    dice = [[row["val_dice"] for row in log_of(each)] for each in (run, whole)]
    return "the same bits" if bits[0] == bits[1] and dice[0] == dice[1] else f"others: {dice}"


def told(found, *names):
    """Exit code and message of a command that has to end in one line with these names."""
    code, _, error = found
    lines = [line for line in error.splitlines() if line.startswith("lightm-unet: ")]
    fine = len(lines) == 1 and error.endswith(lines[0] + "\n") and all(n in error for n in names)
    return f"exit code {code}, {'one line' if fine else error}"


def resume(run, data, folder, *words):
    return run("train", data, "--output", folder, "--resume", *words)


@fault(
    SECTION,
    "SIGKILL at random moments and between file operations, a full disk at any of them, and files "
    "cut, changed, emptied or deleted",
    "each resumes to the same bits, or says in one line why not",
)
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the trial forks")
def test_the_fault_trial(tmp_path):
    code = (
        "import sys, pathlib, fault_trial\n"
        "found = fault_trial.try_faults(pathlib.Path(sys.argv[1]), 1, 2, 0,"
        " ['checkpoints/last.ckpt', 'model/model.json'])\n"
        "print(*(each for each in found if not each.right), sep='\\n')"
    )
    source = Path(__file__).parents[2]
    path = os.pathsep.join([str(source / "src"), str(source / "experiments")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "trial")],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    wrong = done.stdout.strip() or done.stderr if done.returncode else done.stdout.strip()
    return wrong or "each resumes to the same bits, or says in one line why not"


@fault(SECTION, "a run stopped in its first epoch, `--resume`", "exit code 0, the same bits")
def test_stopped_in_the_first_epoch(run, data, whole, listen, tmp_path):
    folder = interrupted(data, tmp_path / "run", listen, epoch=1)
    code, _, _ = resume(run, data, folder)
    return f"exit code {code}, {same(folder, whole)}"


@fault(
    SECTION,
    "last.ckpt cut, changed by one bit, emptied or deleted, `--resume`",
    "exit code 0, the older checkpoint is named, the same bits",
)
@pytest.mark.slow
def test_a_damaged_checkpoint(run, data, whole, listen, tmp_path):
    source = interrupted(data, tmp_path / "run", listen)
    found = set()
    for change in (
        lambda content: content[:-300],
        lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
        lambda content: b"",
        None,
    ):
        folder = shutil.copytree(source, tmp_path / f"run{change}")
        last = folder / "checkpoints" / "last.ckpt"
        last.write_bytes(change(last.read_bytes())) if change else last.unlink()
        code, _, error = resume(run, data, folder)
        named = "the older checkpoint is named" if "goes on from" in error else error
        found.add(f"exit code {code}, {named}, {same(folder, whole)}")
    return " / ".join(sorted(found))


@fault(
    SECTION,
    "log.csv cut, garbled or with rows of repeated epochs, `--resume`",
    "exit code 0, one row for each epoch, the same bits",
)
@pytest.mark.slow
def test_a_damaged_log(run, data, whole, listen, tmp_path):
    source = interrupted(data, tmp_path / "run", listen)
    text = (source / "log.csv").read_bytes()
    found = set()
    for number, content in enumerate((text[:70], b"\x00\xff\n,,", text + text, b"")):
        folder = shutil.copytree(source, tmp_path / f"run{number}")
        (folder / "log.csv").write_bytes(content)
        code, _, _ = resume(run, data, folder)
        rows = [row["epoch"] for row in log_of(folder)]
        each = "one row for each epoch" if rows == ["1", "2", "3"] else rows
        found.add(f"exit code {code}, {each}, {same(folder, whole)}")
    return " / ".join(sorted(found))


@fault(SECTION, "run.json changed by hand or damaged, `--resume`", f"{REFUSED} that names the file")
def test_a_changed_record(run, data, whole, tmp_path):
    record = json.loads((whole / "run.json").read_text())
    record["settings"]["seed"] = 7
    found = set()
    for number, content in enumerate((json.dumps(record), "{", "", "[]", "[" * 100_000)):
        folder = shutil.copytree(whole, tmp_path / f"run{number}")
        (folder / "run.json").write_text(content)
        found.add(told(resume(run, data, folder), "run.json") + " that names the file")
    return " / ".join(sorted(found))


def copy_of(data, folder):
    return Path(shutil.copytree(data, folder))


def change_pixel(file):
    """Change a pixel, and not the file's time."""
    times = file.stat()
    array = np.array(PIL.Image.open(file))
    array[3, 3] ^= 1
    PIL.Image.fromarray(array).save(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@fault(
    SECTION,
    "a pixel of an image or label map changed since the run began (at the same time of the file), "
    "a case added or removed, or dataset.json changed, `--resume`",
    f"{REFUSED} that names what changed; with `--resume-anyway` exit code 0 and the same line",
)
@pytest.mark.slow
def test_changed_data(run, data, listen, tmp_path):
    def add(root, name):
        for file in (f"imagesTr/{name}_0000.png", f"labelsTr/{name}.png"):
            shutil.copy(root / file, root / file.replace(name, "another"))

    def describe(root, _):
        content = json.loads((root / "dataset.json").read_text())
        (root / "dataset.json").write_text(json.dumps(content | {"channel_names": {"0": "CT"}}))

    own = copy_of(data, tmp_path / "data")
    source = interrupted(own, tmp_path / "run", listen)
    split = json.loads((source / "split.json").read_text())
    name = split["training"][0]
    found = set()
    for change, what in (
        (lambda root, name: change_pixel(root / f"labelsTr/{name}.png"), f"{name}.png"),
        (lambda root, name: change_pixel(root / f"imagesTr/{name}_0000.png"), f"{name}_0000.png"),
        (add, "added case: another"),
        (describe, "dataset.json with other channel_names"),
    ):
        change(own, name)
        first = told(resume(run, own, shutil.copytree(source, tmp_path / "copy")), what)
        code, _, error = resume(run, own, tmp_path / "copy", "--resume-anyway")
        again = "the same line" if what in error else error
        found.add(
            f"{first} that names what changed; with `--resume-anyway` exit code {code} and {again}"
        )
        for folder in (own, tmp_path / "copy"):
            shutil.rmtree(folder)
        copy_of(data, own)
    return " / ".join(sorted(found))


@fault(
    SECTION,
    "the data set's folder has been moved, `--resume` with the old and with the new folder",
    f"{REFUSED} that says how to go on; then exit code 0, the same bits",
)
def test_moved_data(run, data, whole, listen, tmp_path):
    own = copy_of(data, tmp_path / "data")
    folder = interrupted(own, tmp_path / "run", listen)
    moved = own.rename(tmp_path / "moved")
    first = told(resume(run, own, folder), "give its new folder together with --resume")
    code, _, _ = resume(run, moved, folder)
    return f"{first} that says how to go on; then exit code {code}, {same(folder, whole)}"


@fault(
    SECTION,
    "`--resume` where no run is: a missing, an empty, another folder",
    "exit code 2, one line, and nothing is made",
)
def test_no_run(run, data, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    found = {
        told(resume(run, data, tmp_path / name), "no run to resume from")
        for name in ("missing", "empty", "other")
    }
    made = "nothing is made" if sorted(tmp_path.rglob("*")) == before else "something is made"
    return f"{' / '.join(sorted(found))}, and {made}"


@fault(SECTION, "`--resume` with the network's options in another order", "exit code 0")
def test_another_order_of_options(run, data, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    network = "lightm-unet:bottleneck_layers=1:encoder_layers=[1]:width=4"
    code, _, _ = resume(run, data, folder, "--network", network)
    return f"exit code {code}"


@fault(
    SECTION,
    "a second training in the folder of one that runs: here, and on another machine",
    "exit code 2, one line that names process and machine",
)
def test_a_second_writer(run, data, whole, tmp_path):
    found = set()
    for host in (this_process().host, "elsewhere"):
        folder = shutil.copytree(whole, tmp_path / host)
        owner = this_process()._replace(host=host)._asdict()
        (folder / "lock.json").write_text(json.dumps(owner))
        names = (f"process {os.getpid()}", host)
        found.add(told(resume(run, data, folder), *names) + " that names process and machine")
    return " / ".join(sorted(found))


@fault(
    SECTION,
    "the lock of a training that was killed, `--resume`",
    "exit code 0, one line says so, no lock is left",
)
def test_the_lock_of_a_killed_run(run, data, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    owner = this_process()._replace(pid=child.pid, started="before")._asdict()
    (folder / "lock.json").write_text(json.dumps(owner))
    code, _, error = resume(run, data, folder)
    says = "one line says so" if "has ended without a word" in error else error
    left = "a" if (folder / "lock.json").exists() else "no"
    return f"exit code {code}, {says}, {left} lock is left"


@fault(
    SECTION,
    "temporary files that a killed training left in its folders, `--resume`",
    "exit code 0, they are removed, the user's own files are kept",
)
def test_temporary_files(run, data, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    left = [
        folder / name
        for name in (
            ".lightm-unet-0123456789abcdef.tmp",
            "checkpoints/.lightm-unet-0123456789abcdef.tmp",
            "model/.lightm-unet-0123456789abcdef.tmp",
            "prepared/.lightm-unet-0123456789abcdef.tmp",
        )
    ]
    own = [folder / "notes.tmp", folder / "model" / ".hidden"]
    for file in [*left, *own]:
        file.write_text("half")
    code, _, _ = resume(run, data, folder)
    removed = "are" if not any(file.exists() for file in left) else "are not"
    kept = "are" if all(file.exists() for file in own) else "are not"
    return f"exit code {code}, they {removed} removed, the user's own files {kept} kept"


@fault(
    SECTION,
    "the disk is full (or the quota, or a write-protected disk) in any write of an epoch",
    f"{REFUSED}; after `--resume` the same bits",
)
@pytest.mark.slow
def test_a_full_disk(run, data, whole, listen, tmp_path, monkeypatch):
    source = interrupted(data, tmp_path / "source", listen, epoch=2)
    found, fsync = set(), os.fsync
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        for last in (1, 3, 5):
            folder = shutil.copytree(source, tmp_path / f"run{number}{last}")
            calls = []

            def full(descriptor, calls=calls, last=last, number=number):
                calls.append(1)
                if len(calls) >= last + 2:  # the lock's own write and its folder come first
                    raise OSError(number, os.strerror(number))
                fsync(descriptor)

            monkeypatch.setattr(os, "fsync", full)
            first = told(resume(run, data, folder), os.strerror(number), "--resume")
            monkeypatch.setattr(os, "fsync", fsync)
            resume(run, data, folder)
            found.add(f"{first}; after `--resume` {same(folder, whole)}")
    return " / ".join(sorted(found))


@fault(
    SECTION,
    "an output that cannot be: below a file, a name too long, a device; with data that are missing",
    "one line about the output, before the data are looked at",
)
def test_an_impossible_output(run, tmp_path):
    (tmp_path / "file").write_text("")
    found = set()
    for output in (tmp_path / "file" / "run", tmp_path / ("x" * 300), Path(os.devnull)):
        code, _, error = run("train", tmp_path / "nowhere", "--output", output)
        about = "the output" if str(output)[:250] in error or "file" in error else error
        one = "one line" if error.count("\n") == 1 and code in (2, 3) else error
        found.add(f"{one} about {about}, before the data are looked at")
    return " / ".join(sorted(found))


@fault(
    SECTION,
    "too little memory: on the CPU, on the GPU, in Python; or a process that prepares samples is "
    "killed",
    "exit code 4, one line with smaller settings",
)
def test_too_little_memory(run, data, tmp_path, monkeypatch):
    import torch

    from lightm_unet.training.lightning_module import SegmentationModule

    found = set()
    for number, error in enumerate(
        (
            MemoryError(),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "),
        )
    ):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(SegmentationModule, "training_step", fail)
        words = ("--size", 16, "--epochs", 1, "--network", SETTINGS["network"], "--device", "cpu")
        ended = run("train", data, "--output", tmp_path / f"run{number}", *words)
        found.add(told(ended, "--workers") + " with smaller settings")
    return " / ".join(sorted(found))


@fault(
    SECTION,
    "settings that cannot be: a size of 0, -3x4 or four axes, a spacing of nan, inf or -1, "
    "a learning rate of nan or 0, no epochs, batches or samples, workers below 0, a seed below 0 "
    "or beyond 64 bits",
    "exit code 2, one line that names the option as typed; in Python the setting",
)
def test_impossible_settings(run, data, tmp_path):
    import lightm_unet
    from lightm_unet.errors import UsageError

    found = set()
    for option, text, name, value in (
        ("--size", "0", "size", 0),
        ("--size", "-3x4", "size", (-3, 4)),
        ("--size", "8x8x8x8", "size", (8, 8, 8, 8)),
        ("--size", "16x16x16", "size", (16, 16, 16)),
        ("--patch", "0x8", "patch", (0, 8)),
        ("--patch", "8x8x8", "patch", (8, 8, 8)),
        ("--spacing", "nan", "spacing_mm", float("nan")),
        ("--spacing", "inf", "spacing_mm", (float("inf"),)),
        ("--spacing", "-1", "spacing_mm", -1.0),
        ("--learning-rate", "nan", "learning_rate", float("nan")),
        ("--learning-rate", "0", "learning_rate", 0),
        ("--epochs", "0", "epochs", 0),
        ("--batch-size", "0", "batch_size", 0),
        ("--samples-per-case", "-1", "samples_per_case", -1),
        ("--workers", "-1", "workers", -1),
        ("--seed", "-1", "seed", -1),
        ("--seed", str(2**64), "seed", 2**64),
    ):
        start = told(run("train", data, "--output", tmp_path / "run", option, text), option)
        with pytest.raises(UsageError) as caught:
            lightm_unet.train(data, tmp_path / "run", **{name: value})
        named = "the setting" if str(caught.value).startswith(name) else str(caught.value)
        found.add(f"{start} that names the option as typed; in Python {named}")
    assert not (tmp_path / "run").exists()
    return " / ".join(sorted(found))


@fault(
    SECTION,
    "a run that was started by another version of the algorithm, `--resume`",
    f"{REFUSED} that names both versions",
)
def test_another_algorithm(run, data, whole, tmp_path):
    from dataclasses import replace

    folder = shutil.copytree(whole, tmp_path / "run")
    write_run(replace(read_run(folder), algorithm=99), folder)
    return told(resume(run, data, folder), "algorithm 99", "run.json") + " that names both versions"
