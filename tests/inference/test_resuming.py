"""A second prediction does what is missing or changed, and nothing else."""

import json
import os

import numpy as np
import pytest

from lightm_unet.imaging.dicom_source import DicomFile
from lightm_unet.imaging.image import read_image
from lightm_unet.imaging.picture import write_picture
from lightm_unet.inference.cases import InputCase
from lightm_unet.inference.ledger import LEDGER_NAME, MOST_BEGINS
from lightm_unet.inference.predict import predict
from lightm_unet.inference.record import RECORD_NAME
from lightm_unet.models.model_folder import load_model
from small_models import random_network, write_model

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models that differ in their weights alone."""
    folder, made = tmp_path_factory.mktemp("models"), []
    for name in ("one", "two"):
        network = random_network(channels=1)
        network.state_dict()[next(iter(network.state_dict()))].add_(name == "two")
        made.append(load_model(write_model(folder / name, network)))
    return made


@pytest.fixture
def images(tmp_path):
    numbers = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "in" / f"{name}.png"
        write_picture(numbers.integers(0, 255, (16, 16), np.uint8), path)
    return tmp_path / "in"


def reused(results):
    return {result.name for result in results if result.reused}


def test_nothing_is_done_twice(models, images, tmp_path, monkeypatch):
    first = predict(models[0], images, tmp_path / "out", device="cpu", statistics=True)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr("lightm_unet.inference.job.prepared_logits", None)
    second = predict(models[0], images, tmp_path / "out", device="cpu", statistics=True)
    assert reused(second) == set(NAMES)
    assert [result.statistics for result in second] == [result.statistics for result in first]
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {RECORD_NAME}  # its duration


def change_image(images, out):
    path = images / "b.png"
    stat = path.stat()
    array = np.array(read_image([path], 1).array[0], np.uint8)
    write_picture(255 - array, path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its time does not tell


CHANGES = {
    "an image with the same time": change_image,
    "a mask that is gone": lambda images, out: (out / "b.png").unlink(),
    "a mask that was changed": lambda images, out: (out / "b.png").write_bytes(b"other"),
    "a mask that was cut": lambda images, out: os.truncate(out / "b.png", 20),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_that_has_changed_is_done_again(models, images, tmp_path, change):
    out = tmp_path / "out"
    predict(models[0], images, out, device="cpu")
    CHANGES[change](images, out)
    results = predict(models[0], images, out, device="cpu")
    assert reused(results) == {"a", "c"}
    fresh = tmp_path / "fresh"
    predict(models[0], images, fresh, device="cpu")
    for name in NAMES:
        assert (out / f"{name}.png").read_bytes() == (fresh / f"{name}.png").read_bytes()


@pytest.mark.parametrize(
    "settings", [{"minimum_size": "label 1=3"}, {"probabilities": True}, {"statistics": True}]
)
def test_another_setting_does_all_again(models, images, tmp_path, settings):
    predict(models[0], images, tmp_path / "out", device="cpu")
    assert not reused(predict(models[0], images, tmp_path / "out", device="cpu", **settings))


def test_another_model_does_all_again(models, images, tmp_path):
    predict(models[0], images, tmp_path / "out", device="cpu")
    assert not reused(predict(models[1], images, tmp_path / "out", device="cpu"))


def test_a_failed_case_is_tried_again(models, images, tmp_path):
    good = (images / "b.png").read_bytes()
    (images / "b.png").write_bytes(good[:30])
    predict(models[0], images, tmp_path / "out", device="cpu")
    (images / "b.png").write_bytes(good)
    results = predict(models[0], images, tmp_path / "out", device="cpu")
    assert reused(results) == {"a", "c"}
    assert results[1].error is None


def test_a_second_folder_of_images_does_not_lose_the_record_of_the_first(models, images, tmp_path):
    write_picture(np.eye(16, dtype=np.uint8), tmp_path / "more" / "d.png")
    out = tmp_path / "out"
    predict(models[0], images, out, device="cpu")
    predict(models[1], tmp_path / "more", out, device="cpu")
    record = json.loads((out / RECORD_NAME).read_text())
    assert record["model"] == str(models[1].path)
    assert {case["name"]: case.get("model") for case in record["cases"]} == {
        **dict.fromkeys(NAMES, str(models[0].path)),
        "d": None,
    }


def test_the_ledger_holds_no_names_unless_they_are_asked_for(models, images, tmp_path):
    (images / "a.png").rename(images / "DOE_JANE_1.2.840.99.png")
    (images / "b.png").rename(images / "ROE_RICHARD.png")
    (images / "ROE_RICHARD.png").write_bytes(b"broken")
    predict(models[0], images, tmp_path / "out", device="cpu")
    text = (tmp_path / "out" / LEDGER_NAME).read_text()
    assert not any(word in text for word in ("DOE", "JANE", "1.2.840.99", "ROE", str(tmp_path)))
    predict(models[0], images, tmp_path / "kept", device="cpu", keep_ids=True)
    text = (tmp_path / "kept" / LEDGER_NAME).read_text()
    assert all(word in text for word in ("DOE_JANE_1.2.840.99.png", "ROE_RICHARD"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_case_that_ends_its_process_three_times_is_set_aside_and_the_others_are_done(
    models, images, tmp_path, monkeypatch
):
    read, out = InputCase.read, tmp_path / "out"

    def deadly(case, *given):
        if case.name == "b":
            os._exit(9)
        return read(case, *given)

    monkeypatch.setattr(InputCase, "read", deadly)
    for _ in range(MOST_BEGINS):
        pid = os.fork()
        if not pid:
            predict(models[0], images, out, device="cpu")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    results = predict(models[0], images, out, device="cpu")  # which would end the tests
    assert [result.error is None for result in results] == [True, False, True]
    assert f"begun {MOST_BEGINS} times" in results[1].error
    assert predict(models[0], images, out, device="cpu")[1].error == results[1].error
    monkeypatch.undo()
    write_picture(np.eye(16, dtype=np.uint8), images / "b.png")  # another image: it is tried
    assert predict(models[0], images, out, device="cpu")[1].error is None


def test_temporary_files_of_killed_runs_are_removed(models, images, tmp_path, caplog):
    caplog.set_level("INFO")
    out = tmp_path / "out"
    for folder in (out, out / "probabilities", out / "previews"):
        folder.mkdir(parents=True)
        (folder / ".lightm-unet-0123456789abcdef.tmp").touch()
        (folder / ".another-file.tmp").touch()
    predict(models[0], images, out, device="cpu")
    assert {path.name for path in out.rglob(".*")} == {".another-file.tmp"}
    assert "removed 1 temporary files" in caplog.text


def test_temporary_files_stay_while_another_process_is_there(models, images, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out"
    out.mkdir()
    (out / ".lightm-unet-0123456789abcdef.tmp").touch()
    descriptor = os.open(out, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    predict(models[0], images, out, device="cpu")
    os.close(descriptor)
    assert (out / ".lightm-unet-0123456789abcdef.tmp").exists()


def test_the_key_of_a_dicom_image_is_that_of_its_files(tmp_path):
    from lightm_unet.inference.case_keys import case_key

    for name in ("1", "2"):
        (tmp_path / name).write_bytes(name.encode())
    files = [DicomFile(tmp_path / name) for name in ("1", "2")]
    case = InputCase("x", (tmp_path,), tmp_path / "x.dcm", dicom=tuple(files))
    before = case_key(case, "s")
    assert case_key(case, "other settings") != before
    (tmp_path / "2").write_bytes(b"3")
    assert case_key(case, "s") != before
