"""Predictions: batches with bad inputs, images in memory, probabilities, model cards."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image as Picture

from faults import fault
from lightm_unet.errors import LightMUNetError
from lightm_unet.imaging.picture import write_picture
from lightm_unet.inference.predict import predict
from lightm_unet.models.model_folder import ModelFolder, load_model, save_model
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.preprocessing.preprocessing import Preprocessing

BATCHES = "Batches of images"
MEMORY = "Images in memory"
CARDS = "Model folders"


def network(spatial_dims, channels, labels):
    torch.manual_seed(0)
    options = {"width": 4, "encoder_layers": (1,), "bottleneck_layers": 1}
    return LightMUNet(spatial_dims, channels, labels, **options).eval()


def model(spatial_dims=2, channels=1, labels=2, network_=None, **grid):
    preprocessing = Preprocessing(
        spatial_dims=spatial_dims, channels=channels, **(grid or {"size": (8,) * spatial_dims})
    )
    names = ("background", "liver", "tumour")[:labels]
    network_ = network_ or network(spatial_dims, channels, labels)
    return ModelFolder(network_, preprocessing, names, ((0, 0, 0),) * labels, {}, Path("model"))


@pytest.fixture
def folder(tmp_path):
    """A folder with the good pictures a.png and z.png."""
    folder = tmp_path / "in"
    for name in ("a", "z"):
        write_picture(np.eye(8, dtype=np.uint8), folder / f"{name}.png")
    return folder


def outcome(results, out):
    """How many masks, how many named failures, how many cases in the record."""
    written = sum(result.output is not None and result.output.is_file() for result in results)
    failed = sum(bool(result.error) and "\n" not in result.error for result in results)
    cases = len(json.loads((out / "prediction.json").read_text())["cases"])
    return f"{written} masks, {failed} failed and named, {cases} recorded"


@fault(
    BATCHES,
    "two good pictures beside a named pipe, a device, a link to nothing, a link to itself, an "
    "empty file and a text with the names of pictures",
    "2 masks, 6 failed and named, 8 recorded",
)
def test_what_is_no_picture(folder, tmp_path):
    os.mkfifo(folder / "pipe.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("text")
    return outcome(predict(model(), folder, tmp_path / "out", device="cpu"), tmp_path / "out")


@fault(
    BATCHES,
    "names with bytes that are no UTF-8, a line break, a leading dash, spaces, quotes, the colours "
    "of a terminal, accents in both forms, and 250 and 255 bytes",
    "12 masks, 0 failed and named, 12 recorded",
)
def test_odd_names(folder, tmp_path):
    names = [b"caf\xe9\xff", b"two\nlines", b"-o", b" a  b ", b"'\"$(x);", b"\x1b[31mred"]
    names += ["caf\u00e9".encode(), "cafe\u0301".encode(), b"x" * 246, b"y" * 251]
    for name in names:
        data = (folder / "a.png").read_bytes()
        (folder / os.fsdecode(name + b".png")).write_bytes(data)
    return outcome(predict(model(), folder, tmp_path / "out", device="cpu"), tmp_path / "out")


@fault(
    BATCHES,
    "one of the files named is missing, one is no image, one folder is empty",
    "2 masks, 3 failed and named, 5 recorded",
)
def test_missing_inputs(folder, tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    inputs = [folder / "gone.png", tmp_path / "notes.txt", tmp_path / "empty", folder]
    return outcome(predict(model(), inputs, tmp_path / "out", device="cpu"), tmp_path / "out")


@fault(
    BATCHES,
    "a picture is deleted after the work has begun",
    "1 masks, 1 failed and named, 2 recorded",
)
def test_a_vanished_file(folder, tmp_path):
    def remove(event):
        (folder / "z.png").unlink(missing_ok=True)

    results = predict(model(), folder, tmp_path / "out", device="cpu", progress=remove)
    return outcome(results, tmp_path / "out")


@fault(
    BATCHES,
    "the memory does not suffice for one image",
    "1 masks, 1 failed and named, 2 recorded",
)
def test_no_memory(folder, tmp_path):
    class TooLargeOnce(torch.nn.Module):
        def forward(self, images):
            self.forward = lambda images: torch.cat([images, -images], dim=1)
            raise MemoryError

    results = predict(model(network_=TooLargeOnce()), folder, tmp_path / "out", device="cpu")
    return outcome(results, tmp_path / "out")


@fault(
    BATCHES,
    "Ctrl-C in the second of two images",
    "KeyboardInterrupt; in the folder: a.png, prediction.json; recorded: a",
)
def test_ctrl_c(folder, tmp_path):
    def stop(event):
        if event.item == "z":
            raise KeyboardInterrupt

    out = tmp_path / "out"
    try:
        predict(model(), folder, out, device="cpu", progress=stop)
    except KeyboardInterrupt:
        names = ", ".join(sorted(file.name for file in out.iterdir()))
        cases = json.loads((out / "prediction.json").read_text())["cases"]
        recorded = ", ".join(case["name"] for case in cases)
        return f"KeyboardInterrupt; in the folder: {names}; recorded: {recorded}"
    return "no interrupt"


@fault(
    BATCHES,
    "the disk is full when the masks of an earlier call are replaced",
    "exit code 3; the earlier files are unchanged",
)
def test_a_full_disk(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    predict(model(), folder, out, device="cpu")
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Picture.Image, "save", full)
    try:
        predict(model(), folder, out, device="cpu")
    except LightMUNetError as error:
        same = {file.name: file.read_bytes() for file in out.iterdir()} == before
        kept = "unchanged" if same else "changed"
        return f"exit code {error.exit_code}; the earlier files are {kept}"
    return "no error"


@fault(
    BATCHES,
    "an output folder that is a file, lies below a file, or cannot be written",
    "exit code 2, 2, 3 before any image is read",
)
def test_output_folders(folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("lightm_unet.inference.cases.InputCase.read", None)
    codes = []
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/out")):
        with pytest.raises(LightMUNetError) as raised:
            predict(model(), folder, out, device="cpu")
        codes.append(str(raised.value.exit_code))
    return f"exit code {', '.join(codes)} before any image is read"


@fault(
    BATCHES,
    "every case of several failed",
    "exit code 3, both named in one line, since they fail alike",
)
def test_all_failed(run, tmp_path):
    save_model(
        tmp_path / "model",
        network(2, 1, 2),
        Preprocessing(spatial_dims=2, channels=1, size=(8, 8)),
        ("background", "liver"),
        ("CT",),
        {},
        {},
    )
    for name in ("a.png", "b.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    code, _, error = run(
        "predict", tmp_path / "model", tmp_path / "in", "--output", tmp_path / "out"
    )
    named = error.count("\n") == 1 and "a.png" in error and "b.png" in error
    return (
        f"exit code {code}, {'both named in one line, since they fail alike' if named else error}"
    )


@fault(
    BATCHES,
    "a path given as text where a list of paths is usual",
    "1 masks, 0 failed and named, 1 recorded",
)
def test_a_text(folder, tmp_path):
    results = predict(model(), str(folder / "a.png"), str(tmp_path / "out"), device="cpu")
    return outcome(results, tmp_path / "out")


@fault(
    BATCHES,
    "a network whose output is NaN",
    "refused for NaN; no mask",
)
def test_nan_logits(folder, tmp_path):
    class NotANumber(torch.nn.Module):
        def forward(self, images):
            return torch.cat([images, images * torch.nan], dim=1)

    out = tmp_path / "out"
    results = predict(model(network_=NotANumber()), folder, out, device="cpu")
    refused = all("gives NaN or infinite values" in result.error for result in results)
    return f"{'refused for NaN' if refused else 'accepted'}; {'a' if out.exists() else 'no'} mask"


@fault(
    MEMORY,
    "the same volume as a file and in memory, with axes to the back, down and right",
    "0 voxels differ",
)
def test_orientation(tmp_path):
    affine = np.array([[0, 0, 2.5, -7], [-0.7, 0, 0, 30], [0, -1.1, 0, 4], [0, 0, 0, 1]])
    values = np.random.default_rng(0).normal(size=(9, 7, 11)).astype(np.float32)
    image = nibabel.Nifti1Image(values, affine)
    image.to_filename(tmp_path / "a.nii.gz")
    one = model(3, 1, 3, roi_size=(8, 8, 8), spacing_mm=(1.5, 1.0, 2.0))
    predict(one, tmp_path / "a.nii.gz", tmp_path / "out", device="cpu")
    written = np.asarray(nibabel.load(tmp_path / "out" / "a.nii.gz").dataobj)
    labels = one.predict(image, device="cpu")
    assert len(np.unique(labels)) > 1
    return f"{(labels != written).sum()} voxels differ"


@fault(
    MEMORY,
    "arrays in which the channels could be the first or the last axis, without a voxel size for a "
    "model that needs one, with hidden values, of complex numbers, of objects, with NaN, or empty",
    "7 of 7 refused",
)
def test_arrays_that_leave_questions():
    values, grey, colour = np.ones((8, 8)), model(), model(2, 3)
    resampling = model(3, 1, roi_size=(8, 8, 8), spacing_mm=(1.0, 1.0, 1.0))
    tries = [
        (colour, np.ones((3, 8, 3))),
        (resampling, np.ones((8, 8, 8))),
        (grey, np.ma.masked_array(values, values > 0)),
        (grey, values * 1j),
        (grey, values.astype(object)),
        (grey, values * np.nan),
        (grey, np.ones((0, 8))),
    ]
    refused = 0
    for one, array in tries:
        with pytest.raises(LightMUNetError):
            one.predict(array, device="cpu")
        refused += 1
    return f"{refused} of {len(tries)} refused"


@fault(
    MEMORY,
    "probabilities of a resized volume, and of labels that differ by less than float32 holds",
    "the largest is the mask's label in every voxel; the sums are 1",
)
def test_probabilities():
    class NearlyEqual(torch.nn.Module):
        def forward(self, images):
            return torch.cat([images * 0, images * 0 + 1e-9], dim=1)

    values = np.random.default_rng(0).normal(size=(9, 7, 11))
    right = True
    for one in (model(3, 1, 3), model(3, 1, network_=NearlyEqual())):
        labels, maps = one.predict(values, device="cpu", return_probabilities=True)
        right &= bool((maps.argmax(axis=0) == labels).all())
        right &= bool(np.allclose(maps.sum(axis=0), 1, atol=1e-6))
    right &= bool((labels == 1).all())
    return "the largest is the mask's label in every voxel; the sums are 1" if right else "not so"


@pytest.mark.slow
@fault(
    MEMORY,
    "inference in threads, and then the scan in a child that is forked",
    "the child's result is the parent's",
)
def test_fork():
    # Of the scan alone: torch's own layers hang in a forked child where OpenMP is GNU's.
    code = """
        import multiprocessing, threading, torch
        from lightm_unet import selective_scan

        torch.set_num_threads(2)
        sizes = [(1, 999, 64)] * 2 + [(64, 16)] + [(1, 999, 16)] * 2
        u, delta, A, B, C = (torch.rand(size) for size in sizes)

        def work(results):
            results.append(bytes(selective_scan(u, delta, -A, B, C).numpy()))

        def child(queue):
            results = []
            work(results)
            queue.put(results[0])

        found = []
        threads = [threading.Thread(target=work, args=(found,)) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        process = context.Process(target=child, args=(queue,))
        process.start()
        same = queue.get(timeout=60) == found[0] == found[1]
        print("the child's result is the parent's" if same else "another result")
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    return done.stdout.strip() or done.stderr


@fault(
    CARDS,
    "a model.json with NaN, negative, infinite or huge numbers, or nested 100,000 deep",
    "11 of 11 refused, each naming the field",
)
def test_cards(tmp_path):
    preprocessing = Preprocessing(spatial_dims=2, channels=1, size=(8, 8))
    labels = ("background", "liver")
    save_model(tmp_path, network(2, 1, 2), preprocessing, labels, ("CT",), {}, {})
    card = (tmp_path / "model.json").read_text()
    deep = "[" * 100_000 + "]" * 100_000
    tries = [
        ('"width": 4', '"width": NaN', "width"),
        ('"width": 4', '"width": -4', "width"),
        ('"width": 4', '"width": 1e300', "width"),
        ('"bottleneck_layers": 1', '"bottleneck_layers": 1000000', "bottleneck_layers"),
        ('"d_state": 16', '"d_state": Infinity', "d_state"),
        ('"intensity_mean": null', '"intensity_mean": NaN', "intensity_mean"),
        ('"intensity_std": null', '"intensity_std": -1.0', "intensity_std"),
        ('"channels": 1', '"channels": 1' + "0" * 400, "channels"),
        ('"spatial_dims": 2', '"spatial_dims": -2', "spatial_dims"),
        ('"value": 1', '"value": 7', "value"),
        ('"width": 4', f'"width": {deep}', "deep"),
    ]
    named = 0
    for old, new, field in tries:
        assert old in card, old
        (tmp_path / "model.json").write_text(card.replace(old, new))
        with pytest.raises(LightMUNetError) as raised:
            load_model(tmp_path)
        named += field in str(raised.value)
    return f"{named} of {len(tries)} refused, each naming the field"


@fault(
    MEMORY,
    "nibabel images stored (10, 12), (10, 12, 1), (10, 1, 12), (1, 10, 12), (1, 1, 12), each for a "
    "2D and a 3D model",
    "labels of the stored shape, 10 times",
)
def test_slices_in_memory():
    same = 0
    for shape in ((10, 12), (10, 12, 1), (10, 1, 12), (1, 10, 12), (1, 1, 12)):
        image = nibabel.Nifti1Image(np.random.default_rng(0).random(shape), np.eye(4))
        same += sum(model(dims).predict(image, device="cpu").shape == shape for dims in (2, 3))
    return f"labels of the stored shape, {same} times"


@fault(
    MEMORY,
    "sparse, quantised, meta and float8 tensors; voxel sizes '12', True, {1, 2}, 1e300; the "
    "channel axis -1.0",
    "refused by name, 9 times",
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch gives quantised tensors up
def test_misuse_in_memory():
    good, volume = np.zeros((8, 8)), np.zeros((8, 8, 8))
    eye = torch.eye(8)
    tries = [
        (2, eye.to_sparse(), {}),
        (2, torch.quantize_per_tensor(eye, 0.1, 0, torch.quint8), {}),
        (2, torch.empty(8, 8, device="meta"), {}),
        (2, eye.to(torch.float8_e5m2), {}),
        *((3, volume, {"spacing_mm": size}) for size in ("12", True, {1, 2}, 1e300)),
        (2, good[None], {"channel_axis": -1.0}),
    ]
    refused = 0
    for dims, image, arguments in tries:
        try:
            model(dims).predict(image, device="cpu", **arguments)
        except LightMUNetError:
            refused += 1
    return f"refused by name, {refused} times"


@fault(
    CARDS,
    "a model.json that holds null, 1, NaN, true or 1e999",
    "exit code 3 and one line that names the file, 5 times",
)
def test_cards_that_are_no_object(run, folder, tmp_path):
    good = 0
    for text in ("null", "1", "NaN", "true", "1e999"):
        (tmp_path / "model.json").write_text(text)
        code, _, error = run("predict", tmp_path, folder, "--output", tmp_path / "out")
        good += code == 3 and error.count("\n") == 1 and "model.json" in error
    return f"exit code 3 and one line that names the file, {good} times"
