"""Many cases: kills, shared folders, damaged ledgers, tables and parts that cannot be."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from faults import fault
from lightm_unet.errors import LightMUNetError
from lightm_unet.imaging.picture import write_picture
from lightm_unet.inference.cases import InputCase
from lightm_unet.inference.ledger import LEDGER_NAME, Ledger
from lightm_unet.inference.manifest import read_manifest
from lightm_unet.inference.predict import predict
from lightm_unet.inference.shards import choose_shard
from lightm_unet.models.model_folder import load_model
from small_models import random_network, write_model

SECTION = "Many cases"
COUNT = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return load_model(write_model(folder, random_network(channels=1)))


@pytest.fixture
def images(tmp_path):
    numbers = np.random.default_rng(0)
    for number in range(COUNT):
        picture = numbers.integers(0, 255, (16, 16), np.uint8)
        write_picture(picture, tmp_path / "in" / f"{number:02}.png")
    return tmp_path / "in"


def outcome(out, results):
    """Masks, cases with an end in the ledger, and what is left that should not be."""
    masks = len(list(out.glob("*.png")))
    ended = len(Ledger(out / LEDGER_NAME).ended)
    failed = sum(bool(result.error) for result in results)
    return (
        f"{masks} masks, {ended} in the ledger, {failed} failed, {len(list(out.rglob('.*')))} left"
    )


def begin(model, images, out, **settings):
    """Predict in a fork."""
    pid = os.fork()
    if not pid:
        predict(model, images, out, device="cpu", **settings)
        os._exit(0)
    return pid


def wait_for_lines(out, count):
    ledger = out / LEDGER_NAME
    while not ledger.exists() or ledger.read_bytes().count(b"\n") < count:
        time.sleep(0.001)


ALL = f"{COUNT} masks, {COUNT} in the ledger, 0 failed, 0 left"


@fault(SECTION, "4,000 other files in the folder of 12 pictures", ALL)
def test_a_crowded_folder(model, images, tmp_path):
    for number in range(4000):
        os.close(os.open(images / f"note {number}.txt", os.O_CREAT))
    return outcome(tmp_path / "out", predict(model, images, tmp_path / "out", device="cpu"))


@fault(SECTION, "SIGKILL five times, each a few lines of the ledger after the last", ALL)
def test_kills(model, images, tmp_path):
    out = tmp_path / "out"
    for kill in range(1, 6):
        pid = begin(model, images, out)
        wait_for_lines(out, 4 * kill)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return outcome(out, predict(model, images, out, device="cpu"))


@fault(
    SECTION,
    "two processes that predict the same pictures into one folder at the same time",
    f"exit codes 0 and 0; {ALL}; both in prediction.json",
)
def test_two_in_one_folder(model, images, tmp_path):
    out = tmp_path / "out"
    pids = [begin(model, images, out) for _ in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    found = outcome(out, [])
    recorded = len(json.loads((out / "prediction.json").read_text())["cases"])
    both = "both in prediction.json" if recorded == COUNT else f"{recorded} in prediction.json"
    return f"exit codes {codes[0]} and {codes[1]}; {found}; {both}"


@fault(
    SECTION,
    "three processes that share a folder and do one part each",
    f"{ALL}; all in prediction.json",
)
def test_parts_in_one_folder(model, images, tmp_path):
    out = tmp_path / "out"
    pids = [begin(model, images, out, shard=f"{part}/3") for part in (1, 2, 3)]
    for pid in pids:
        os.waitpid(pid, 0)
    recorded = len(json.loads((out / "prediction.json").read_text())["cases"])
    return f"{outcome(out, [])}; {'all' if recorded == COUNT else recorded} in prediction.json"


@fault(
    SECTION,
    "a picture that ends the process, three times",
    "set aside and named, 11 masks",
)
def test_a_deadly_case(model, images, tmp_path, monkeypatch):
    read, out = InputCase.read, tmp_path / "out"

    def deadly(case, *given):
        if case.name == "05":
            os.kill(os.getpid(), signal.SIGKILL)
        return read(case, *given)

    monkeypatch.setattr(InputCase, "read", deadly)
    for _ in range(3):
        os.waitpid(begin(model, images, out), 0)
    results = predict(model, images, out, device="cpu")
    named = [result.name for result in results if "ended the process" in str(result.error)]
    aside = "set aside and named" if named == ["05"] else f"named: {named}"
    return f"{aside}, {len(list(out.glob('*.png')))} masks"


@fault(
    SECTION,
    "a ledger with a torn last line, a line of zeros, a text, and lines of other JSON",
    f"5 lines told; {ALL}",
)
def test_a_damaged_ledger(model, images, tmp_path):
    out = tmp_path / "out"
    predict(model, images, out, device="cpu")
    with (out / LEDGER_NAME).open("ab") as file:
        file.write(bytes(40) + b"\ntext\n[1, 2]\n{}\n" + b'{"format":1,"event":"en')
    (out / "03.png").unlink()
    results = predict(model, images, out, device="cpu")  # its line follows the torn one
    return f"{len(Ledger(out / LEDGER_NAME).damaged)} lines told; {outcome(out, results)}"


@fault(
    SECTION,
    "the clock goes back by a year between two runs, and a picture is replaced by an older file",
    "11 reused, 1 done again",
)
def test_the_clock(model, images, tmp_path, monkeypatch):
    out, gmtime = tmp_path / "out", time.gmtime
    predict(model, images, out, device="cpu")
    write_picture(np.eye(16, dtype=np.uint8), images / "03.png")
    os.utime(images / "03.png", (0, 0))
    monkeypatch.setattr(time, "gmtime", lambda *_: gmtime(time.time() - 365 * 86400))
    reused = sum(each.reused for each in predict(model, images, out, device="cpu"))
    return f"{reused} reused, {COUNT - reused} done again"


@fault(
    SECTION,
    "a disk that does not answer while the next picture is read, then Ctrl-C",
    "ended; masks before it are whole and recorded",
)
def test_a_stalling_disk(model, images, tmp_path, monkeypatch):
    monkeypatch.setattr("lightm_unet.inference.pipeline._PATIENCE_SECONDS", 0.05)
    read, answer, out = InputCase.read, threading.Event(), tmp_path / "out"

    def stalling(case, *given):
        if case.name == "03":
            answer.wait(30)
        return read(case, *given)

    def stop(event):
        if event.item == "03":
            raise KeyboardInterrupt

    monkeypatch.setattr(InputCase, "read", stalling)
    with pytest.raises(KeyboardInterrupt):
        predict(model, images, out, device="cpu", progress=stop)
    recorded = json.loads((out / "prediction.json").read_text())["cases"]
    answer.set()
    whole = len(recorded) == len(list(out.glob("*.png"))) == 3
    return f"ended; masks before it are {'whole and recorded' if whole else 'lost'}"


@fault(
    SECTION,
    "a disk that is full when the ledger's next line is written, then space again",
    f"one line; then {ALL}",
)
def test_a_full_disk(model, images, tmp_path, monkeypatch):
    out, write = tmp_path / "out", os.write

    def full(descriptor, data):
        if b'"event":"end"' in data:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(LightMUNetError, match="No space left") as told:
        predict(model, images, out, device="cpu")
    monkeypatch.undo()
    lines = "one line" if "\n" not in str(told.value) else str(told.value)
    return f"{lines}; then {outcome(out, predict(model, images, out, device='cpu'))}"


@fault(
    SECTION,
    "tables of cases: empty, without rows, without a column of images, lines of other lengths, no "
    "text, names with folders in them, one image twice, one name twice, no Parquet",
    "9 of 9 refused in one line",
)
def test_tables(tmp_path):
    tables = {
        "a.csv": b"",
        "b.csv": b"image\n",
        "c.csv": b"file\nx.png\n",
        "d.csv": b"image\nx.png,y\n",
        "e.csv": b"\xff\xfe\xfa",
        "f.csv": b"image,name\nx.png,../x\n",
        "g.csv": b"image\nx.png\nx.png\n",
        "h.csv": b"image\nx.png\ny/x.png\n",
        "i.parquet": b"PAR1",
    }
    told = 0
    for name, data in tables.items():
        (tmp_path / name).write_bytes(data)
        try:
            read_manifest(tmp_path / name)
        except LightMUNetError as error:
            told += "\n" not in str(error)
    return f"{told} of {len(tables)} refused in one line"


@fault(
    SECTION,
    "parts 0/8, 9/8, 1/0, text; a SLURM array with gaps, a Kubernetes job that does not say how "
    "many there are, an index beyond the count",
    "7 of 7 refused in one line",
)
def test_parts():
    given = [(text, {}) for text in ("0/8", "9/8", "1/0", "first")]
    given += [
        (None, {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_COUNT": "3"}),
        (None, {"JOB_COMPLETION_INDEX": "0"}),
        (None, {"CLOUD_RUN_TASK_INDEX": "4", "CLOUD_RUN_TASK_COUNT": "4"}),
    ]
    told = 0
    for text, environment in given:
        try:
            choose_shard(text, environment)
        except LightMUNetError as error:
            told += "\n" not in str(error)
    return f"{told} of {len(given)} refused in one line"
