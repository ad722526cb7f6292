"""What is written beside masks, rules that change them, and DICOM on its way into data sets."""

import errno
import json
import os
import signal
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch

import dicom_files as dicom
from faults import fault
from lightm_unet.datasets.check import check_dataset
from lightm_unet.datasets.importers import import_dataset
from lightm_unet.errors import LightMUNetError
from lightm_unet.imaging.dicom.segment import Algorithm, Segment
from lightm_unet.imaging.dicom.write_segmentation import write_segmentation
from lightm_unet.imaging.dicom_source import DicomFile
from lightm_unet.imaging.image import read_image, read_labels
from lightm_unet.inference.isolated import IsolatedReader
from lightm_unet.inference.predict import predict
from lightm_unet.models import logits_memory
from lightm_unet.models.model_folder import load_model, save_model
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.reporting.text_tables import read_csv
from strategies import oriented_affine

SECTION = "Masks and reports"
GRID = oriented_affine((0, 1, 2), (-1, -1, 1), (1.0, 1.0, 2.0))
SHAPE = (9, 8, 7)
BLOCK = np.zeros(SHAPE, np.int16)
BLOCK[2:7, 2:6, 2:5] = 1000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Bright voxels are the label liver, each for itself."""
    network = build_network("lightm-unet-tiny", spatial_dims=3, in_channels=1, out_channels=2)
    folder = tmp_path_factory.mktemp("model")
    plan = Preprocessing(3, 1, roi_size=(8, 8, 8))
    save_model(folder, network, plan, ("background", "liver"), ("CT",), {}, {})
    quick = torch.nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        quick.weight.view(-1)[:] = torch.tensor([-1.0, 1.0])
        quick.bias.zero_()
    return replace(load_model(folder), network=quick)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "in" / "scan.nii"
    path.parent.mkdir()
    nibabel.Nifti1Image(BLOCK, GRID).to_filename(path)
    return path


def refused(call, *words):
    """Whether a call is refused in one line with these words."""
    try:
        call()
    except LightMUNetError as error:
        return "\n" not in str(error) and all(word in str(error) for word in words)
    return False


@fault(
    SECTION,
    "rules for a mask that cannot be: a label that the model does not have, the background, a size "
    "without a number, below 0, NaN, infinite, with a unit; rules with probabilities as the mask",
    "8 of 8 refused before any image is read; nothing written",
)
def test_rules_that_cannot_be(model, scan, tmp_path):
    given = [
        {"largest_component": "lung"},
        {"fill_holes": ["background"]},
        *({"minimum_size": f"liver{size}"} for size in ("", "=-1", "=nan", "=inf", "=1 ml")),
        {"fill_holes": "liver", "segmentation_type": "fractional"},
    ]
    out = tmp_path / "out"
    count = sum(
        refused(lambda each=each: predict(model, scan, out, device="cpu", **each), next(iter(each)))
        for each in given
    )
    left = "nothing written" if not out.exists() else "something written"
    return f"{count} of {len(given)} refused before any image is read; {left}"


@fault(
    SECTION,
    "an ensemble with a model of other labels, of other channels, of other dimensions, or one that "
    "is not there",
    "4 of 4 refused with the model's name",
)
def test_ensembles_that_cannot_be(model, scan, tmp_path):
    flat = replace(model.preprocessing, spatial_dims=2, roi_size=(8, 8))
    others = [
        replace(model, path=tmp_path / "other", label_names=("background", "spleen")),
        replace(model, path=tmp_path / "other", card={**model.card, "channels": ["MR"]}),
        replace(model, path=tmp_path / "other", preprocessing=flat),
        tmp_path / "other",
    ]
    count = sum(
        refused(
            lambda other=other: predict(model, scan, tmp_path, device="cpu", ensemble=[other]),
            "other",
        )
        for other in others
    )
    return f"{count} of {len(others)} refused with the model's name"


@fault(
    SECTION,
    "`--mirror` for a model whose labels name a left and a right, though it was trained with "
    "mirror images",
    "not mirrored, one line that names the label",
)
def test_mirroring_never_exchanges_sides(model, scan, tmp_path, listen):
    sided = replace(
        model,
        label_names=("background", "left kidney"),
        card={**model.card, "training": {"mirror_axes": ["left-right"]}},
    )
    seen, lines = [], []
    sided = replace(sided, network=torch.nn.Sequential(model.network))
    sided.network.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].clone()))
    predict(sided, scan, tmp_path / "out", device="cpu")
    windows = len(seen)
    with listen(lines.append):
        predict(sided, scan, tmp_path / "out", device="cpu", mirror=True)
    once = len(seen) == 2 * windows
    said = [line for line in lines if "left kidney" in line]
    return f"{'not ' if once else ''}mirrored, {'one line' if len(said) == 1 else said} " + (
        "that names the label"
    )


@fault(
    SECTION,
    "NaN and infinite voxels, without and with `--nan-as`, and with one that is NaN itself",
    "refused; taken as the number, one line counts them; refused",
)
def test_nan_voxels(model, scan, tmp_path, listen):
    values = BLOCK.astype(np.float32)
    values[0, 0, 0], values[4, 4, 3] = np.inf, np.nan
    nibabel.Nifti1Image(values, GRID).to_filename(scan)
    found = ["refused" if refused(lambda: predict(model, scan, tmp_path), "2 NaN") else "taken"]
    lines = []
    with listen(lines.append):
        predict(model, scan, tmp_path / "out", device="cpu", nan_as=-5)
    mask, _ = read_labels(tmp_path / "out" / "scan.nii")
    right = mask[4, 4, 3] == mask[0, 0, 0] == 0 and mask[3, 3, 3] == 1
    said = any("2 NaN or infinite voxels taken as -5" in line for line in lines)
    found.append(f"{'taken as the number' if right else 'lost'}, {'one' if said else 'no'} line")
    wrong = refused(lambda: predict(model, scan, tmp_path, nan_as=float("nan")), "nan_as")
    return f"{found[0]}; {found[1]} counts them; {'refused' if wrong else 'taken'}"


@fault(
    SECTION,
    "a report of a run on folders and files that are called after patients, some of which fail",
    "every case and its reason, no name",
)
def test_a_report_without_names(model, tmp_path):
    for name, gap in (("DOE_JANE_4711", False), ("ROE_RICHARD", True)):
        paths = dicom.save_series(tmp_path / "clinic" / name, BLOCK, GRID)
        if gap:
            paths[3].unlink()
    (tmp_path / "clinic" / "PATIENT_12.nii").write_bytes(b"no image")
    report = tmp_path / "run.json"
    inputs = sorted((tmp_path / "clinic").iterdir())
    predict(model, inputs, tmp_path / "out", device="cpu", report=report)
    text = report.read_text()
    cases = json.loads(text)["cases"]
    names = [n for n in ("DOE", "JANE", "4711", "ROE", "RICHARD", "PATIENT", "clinic") if n in text]
    told = len(cases) == 3 and sum(bool(case["error"]) for case in cases) == 2
    return f"{'every case and its reason' if told else cases}, {names or 'no name'}"


@fault(
    SECTION,
    "a report, a folder for previews or for a check that cannot be written: a folder, a file, "
    "below a file",
    "4 of 4 refused before any image is read",
)
def test_outputs_that_cannot_be_written(model, scan, tmp_path, make_dataset):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "out" / "previews").parent.mkdir()
    (tmp_path / "out" / "previews").write_text("a file")

    def run(**options):
        return lambda: predict(model, tmp_path / "in", tmp_path / "out", device="cpu", **options)

    calls = [
        run(report=tmp_path / "in"),
        run(report=tmp_path / "file" / "run.json"),
        run(preview=True),
        lambda: check_dataset(make_dataset(), output=tmp_path / "file"),
    ]
    count = sum(refused(call) for call in calls)
    masks = [path for path in (tmp_path / "out").iterdir() if path.suffix == ".nii"]
    when = "after a mask was written" if masks else "before any image is read"
    return f"{count} of {len(calls)} refused {when}"


@fault(
    SECTION,
    "statistics of a mask of thousands of specks",
    "the count of all, rows of the 20 largest",
)
def test_statistics_of_noise(model, tmp_path):
    values = np.zeros((40, 40, 40), np.float32)
    values[::2, ::2, ::2] = 1000
    values[0, 0, 1] = 1000
    nibabel.Nifti1Image(values, GRID).to_filename(tmp_path / "noise.nii")
    predict(model, tmp_path / "noise.nii", tmp_path / "out", device="cpu", statistics=True)
    whole, first, *rest = read_csv((tmp_path / "out" / "statistics.csv").read_text())
    counted = whole["components"] == "7999" and first["voxels"] == "3"
    return f"{'the count of all' if counted else whole}, rows of the {1 + len(rest)} largest"


@fault(
    SECTION,
    "a scan whose logits are too large for memory and for the folder of temporary files",
    "one line that names the folder and TMPDIR; no mask",
)
def test_no_space_for_large_logits(model, scan, tmp_path, monkeypatch):
    monkeypatch.setattr(logits_memory, "LARGEST_IN_MEMORY", 100)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    out = tmp_path / "out"
    named = refused(
        lambda: predict(model, scan, out, device="cpu"), "TMPDIR", "No space", "temporary files"
    )
    written = list(out.rglob("*.nii")) if out.exists() else []
    said = "one line that names the folder and TMPDIR" if named else "something else"
    return f"{said}; {written or 'no mask'}"


@fault(
    SECTION,
    "with `--isolate`, a DICOM decoder that crashes, takes too much memory, or never ends",
    "one line about the image, 3 times; the next image is read",
)
def test_decoders_that_fail(tmp_path):
    paths = dicom.save_series(tmp_path / "ct", BLOCK, GRID)
    large = dicom.save(dicom.radiograph(np.zeros((4000, 5000), np.uint16)), tmp_path / "a.dcm")
    files, count = [DicomFile(path) for path in paths], 0

    def fails(reader, given, words):
        return refused(lambda: reader.read(given, 1, None), *words)

    reader = IsolatedReader(most_bytes=50_000_000)
    reader.read(files, 1, None)
    os.kill(reader._child._process.pid, signal.SIGSEGV)
    count += fails(reader, files, ["signal 11", paths[0].name])
    count += fails(reader, [DicomFile(large)], ["memory", "a.dcm"])
    reader.most_seconds = 0.01
    count += fails(reader, files, ["not read within"])
    reader.most_seconds = 60
    good = reader.read(files, 1, None).array.shape == (1, *SHAPE)
    reader.close()
    return f"one line about the image, {count} times; the next image is {'read' if good else ''}"


@fault(
    "Data sets",
    "DICOM images to import whose mask is stored in other axes, lies 0.4 mm away, or belongs to "
    "another frame of reference; two studies in one folder; a missing slice",
    "imported as it lies; 4 refused by name, nothing written",
)
def test_importing_dicom(tmp_path):
    labels = (BLOCK > 0).astype(np.uint8)
    paths = dicom.save_series(tmp_path / "ct" / "one", BLOCK, GRID)
    masks = tmp_path / "masks"
    masks.mkdir()
    turn = np.zeros((4, 4))
    turn[[2, 0, 1, 3], range(4)] = 1

    def bring(name, stored, affine):
        nibabel.Nifti1Image(stored, affine).to_filename(masks / "one.nii")
        import_dataset(tmp_path / "ct", tmp_path / name, masks=masks)

    bring("new", labels.transpose(2, 0, 1), GRID @ turn)
    mask, grid = read_labels(tmp_path / "new" / "labelsTr" / "one.nii.gz")
    places = grid.affine[:3, :3] @ np.argwhere(mask).T + grid.affine[:3, 3:]
    wanted = GRID[:3, :3] @ np.argwhere(labels).T + GRID[:3, 3:]
    same = np.allclose(sorted(places.T.tolist()), sorted(wanted.T.tolist()), atol=1e-3)

    count = 0
    moved = GRID.copy()
    moved[0, 3] += 0.4
    count += refused(lambda: bring("a", labels, moved), "one.nii")
    (masks / "one.nii").unlink()
    for number, dataset in enumerate(dicom.slices(BLOCK, GRID)):
        dataset.FrameOfReferenceUID = "1.9.9"
        dicom.save(dataset, tmp_path / "other" / f"{number}.dcm")
    other = read_image(sorted((tmp_path / "other").iterdir()))
    write_segmentation(
        labels,
        other.geometry,
        masks / "one.dcm",
        (Segment("x", (1, 2, 3)),),
        Algorithm("t", "1", {}),
    )
    count += refused(
        lambda: import_dataset(tmp_path / "ct", tmp_path / "b", masks=masks), "frame of reference"
    )
    (masks / "one.dcm").unlink()
    for number, dataset in enumerate(dicom.slices(BLOCK, GRID, study="1.8", series="1.8.1")):
        dicom.save(dataset, tmp_path / "ct" / "one" / f"second{number}.dcm")
    count += refused(lambda: bring("c", labels, GRID), "several images")
    for path in (tmp_path / "ct" / "one").glob("second*"):
        path.unlink()
    paths[3].unlink()
    count += refused(lambda: bring("d", labels, GRID), "missing slice")
    left = [name for name in "abcd" if (tmp_path / name).exists()]
    return (
        f"imported {'as it lies' if same else 'elsewhere'}; {count} refused by name, "
        f"{left or 'nothing'} written"
    )


@fault(
    "Data sets",
    "a page of check-dataset whose cases and labels are called `<script>...`, on a computer "
    "without a network",
    "shown as text; nothing is loaded",
)
def test_a_page_with_markup_in_names(tmp_path, make_dataset):
    root = make_dataset(cases=2)
    for folder, end in (("imagesTr", "_0000"), ("labelsTr", "")):
        file = root / folder / f"case_0{end}.nii.gz"
        file.rename(root / folder / f"<script>alert(1)<_{end}.nii.gz")
    text = (root / "dataset.json").read_text().replace('"block"', '"<img src=x>"')
    (root / "dataset.json").write_text(text)
    check_dataset(root, output=tmp_path / "out")
    page = (tmp_path / "out" / "check.html").read_text()
    harmless = "<script>alert" not in page and "<img src=x" not in page and "alert(1)" in page
    loads = "http://" in page or "https://" in page
    return (
        f"{'shown as text' if harmless else 'run'}; {'something' if loads else 'nothing'} is "
        + ("loaded")
    )
