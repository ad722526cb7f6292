"""DICOM that is incomplete, mixed up, damaged or made to do harm."""

import zipfile
from dataclasses import replace

import imagecodecs
import nibabel
import numpy as np
import pydicom
import pytest
import torch
from pydicom import uid

import dicom_files as dicom
from faults import fault
from lightm_unet.errors import DataError
from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.imaging.image import read_image, read_labels
from lightm_unet.inference.predict import predict
from lightm_unet.models.model_folder import load_model, save_model
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.preprocessing import Preprocessing
from lightm_unet.system.memory import forget_peak, peak_bytes
from strategies import ALL_ORIENTATIONS, oriented_affine, rotated

GRID = oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5))
RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 999, (9, 7, 6), dtype=np.int16)
CHEST = RNG.integers(0, 4096, (9, 11), dtype=np.uint16)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A 3D network that looks at each voxel alone."""
    network = build_network("lightm-unet-tiny", spatial_dims=3, in_channels=1, out_channels=2)
    folder = tmp_path_factory.mktemp("model")
    names = ("background", "bright")
    save_model(folder, network, Preprocessing(3, 1, size=(9, 9, 9)), names, ("CT",), {}, {})
    quick = torch.nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        quick.weight.view(-1)[:] = torch.tensor([-1.0, 1.0])
        quick.bias.zero_()
    return replace(load_model(folder), network=quick)


def one_line(path, model, tmp_path):
    """What predicting found wrong; "a mask" if it wrote something, or said more than a line."""
    out = tmp_path / "out"
    found = None
    try:
        predict(model, path, out, device="cpu")
    except DataError as error:
        found = error
    if found is None or "\n" in str(found) or (out.exists() and any(out.iterdir())):
        return "a mask"
    return f"found {found.found}"


def changed(folder, change):
    """A series of which `change(number, dataset)` alters data sets; those it gives False to are
    left out."""
    for number, dataset in enumerate(dicom.slices(VOLUME, GRID)):
        if change(number, dataset) is not False:
            dicom.save(dataset, folder / f"{number}.dcm")
    return folder


def shifted(number, dataset, axis, mm):
    if number == 3:
        position = list(dataset.ImagePositionPatient)
        position[axis] += mm
        dataset.ImagePositionPatient = position


def altered(number, dataset, name, value):
    if number == 3:
        setattr(dataset, name, value)


@pytest.mark.slow
@fault(
    "DICOM",
    "the slices of a volume in any order, with names that say another one, in 24 orientations, "
    "half of them oblique",
    "the mask of the same volume in NIfTI, 24 times of 24",
)
def test_order_and_orientation_of_slices(model, tmp_path):
    same = 0
    for number, (axes, signs) in enumerate(ALL_ORIENTATIONS[::2]):
        folder = tmp_path / str(number)
        turned = (12, -9, 7) if number % 2 else (0, 0, 0)
        affine = rotated(oriented_affine(axes, signs, (0.7, 0.8, 2.5)), turned)
        dicom.save_series(folder / "in", VOLUME, affine, RNG.permutation(6))
        nibabel.Nifti1Image(VOLUME, affine).to_filename(folder / "a.nii")
        predict(model, [folder / "in", folder / "a.nii"], folder / "out", device="cpu")
        expected, grid = read_labels(folder / "out" / "a.nii")
        found, place = read_labels(folder / "out" / "in.dcm")
        to_volume = np.linalg.inv(grid.affine) @ place.affine
        where = np.indices(found.shape).reshape(3, -1)
        where = np.rint(to_volume[:3, :3] @ where + to_volume[:3, 3:]).astype(int)
        same += np.array_equal(expected[tuple(where)], found.ravel())
    return f"the mask of the same volume in NIfTI, {same} times of 24"


@fault(
    "DICOM",
    "a series from which a slice is missing, of which one is there twice, lies 1 mm too high, or 2 "
    "mm beside the others",
    "refused in one line with the positions: 1 missing slice: 5 mm from 2.dcm; two slices at 35.00 "
    "mm; uneven slices: 3.5 mm from 2.dcm; slices that lie beside each other: 3.dcm by 2 mm",
)
def test_slices_that_are_not_even(model, tmp_path):
    changes = (
        lambda number, _: number != 3,
        lambda number, dataset: shifted(number, dataset, 2, -2.5),
        lambda number, dataset: shifted(number, dataset, 2, 1.0),
        lambda number, dataset: shifted(number, dataset, 0, 2.0),
    )
    starts = (
        "1 missing slice: 5 mm from 2.dcm",
        "two slices at",
        "uneven slices: 3.5 mm from 2.dcm",
        "slices that lie beside each other: 3.dcm by 2 mm",
    )
    said = []
    for number, (change, start) in enumerate(zip(changes, starts, strict=True)):
        text = one_line(changed(tmp_path / str(number), change), model, tmp_path)
        text = text.removeprefix("found ")
        length = len(start) if "two" not in start else text.index(" along")
        said.append(text[:length])
    return "refused in one line with the positions: " + "; ".join(said)


@fault(
    "DICOM",
    "a series in which one slice has another size, orientation, pixel size, or no position",
    "refused in one line that names the slice, 4 times of 4",
)
def test_slices_that_do_not_belong_together(model, tmp_path):
    good = 0
    for number, (name, value) in enumerate(
        (
            ("Rows", 5),
            ("ImageOrientationPatient", [1, 0, 0, 0, 0, 1]),
            ("PixelSpacing", [0.8, 0.9]),
            ("ImagePositionPatient", None),
        )
    ):
        folder = changed(
            tmp_path / str(number),
            lambda place, dataset, name=name, value=value: altered(place, dataset, name, value),
        )
        try:
            predict(model, folder, tmp_path / "out", device="cpu")
        except DataError as error:
            good += "3.dcm" in str(error) and "\n" not in str(error)
    return f"refused in one line that names the slice, {good} times of 4"


@fault(
    "DICOM",
    "a folder with a scout, two series and a report; asked for the number of one, for another "
    "number",
    "6 slices of the largest, one line lists the others; 4 slices; one line lists what there is",
)
def test_several_series(model, tmp_path, listen):
    folder = tmp_path / "in"
    for name, slices, number in (("a", 6, 5), ("b", 4, 3), ("c", 1, 1)):
        for file in dicom.save_series(
            tmp_path / name, VOLUME[:, :, :slices], GRID, series=f"1.{number}", number=number
        ):
            folder.mkdir(exist_ok=True)
            file.rename(folder / f"{name}{file.name}")
    report = dicom.header("CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    dicom.save(report, folder / "report.dcm")
    lines = []
    with listen(lines.append):
        predict(model, folder, tmp_path / "out", device="cpu")
    largest = read_labels(tmp_path / "out" / "in.dcm")[0].shape[2]
    listed = [line for line in lines if "series 3" in line and "series 1" in line]
    predict(model, folder, tmp_path / "out", device="cpu", series="3")
    other = read_labels(tmp_path / "out" / "in.dcm")[0].shape[2]
    try:
        predict(model, folder, tmp_path / "none", device="cpu", series="9")
        said = "a mask"
    except DataError as error:
        lists = all(f"series {number}" in str(error) for number in (1, 3, 5))
        said = "one line lists what there is" if lists else str(error)
    told = "one line lists the others" if len(listed) == 1 else f"{len(listed)} lines"
    return f"{largest} slices of the largest, {told}; {other} slices; {said}"


@fault(
    "DICOM",
    "files of two series, or of two frames of reference, given to Python as one image",
    "refused in one line, 2 times of 2",
)
def test_files_of_two_series_as_one(tmp_path):
    good = 0
    for name in ("SeriesInstanceUID", "FrameOfReferenceUID"):
        folder = changed(tmp_path / name, lambda n, d, name=name: altered(n, d, name, "1.9"))
        try:
            read_image(sorted(folder.iterdir()))
        except DataError as error:
            good += f"another {name}" in str(error) and "\n" not in str(error)
    return f"refused in one line, {good} times of 2"


@fault(
    "DICOM",
    "an RT plan, a report, a segmentation, an RT dose, an image without pixels",
    "RT Plan Storage, Basic Text SR Storage, Segmentation Storage and RT Dose Storage named as no "
    "image; no pixels",
)
def test_objects_that_are_no_images(model, tmp_path):
    made = []
    for number, suffix in enumerate(("481.5", "88.11", "66.4", "481.2")):
        dataset = dicom.radiograph(CHEST) if number > 1 else dicom.header("CT")
        dataset.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{suffix}"
        text = one_line(dicom.save(dataset, tmp_path / f"{number}.dcm"), model, tmp_path)
        made.append(text.partition("(1 ")[2].rstrip(")") if "no images" in text else text)
    dataset = dicom.slices(VOLUME, GRID)[0]
    del dataset.PixelData
    text = one_line(dicom.save(dataset, tmp_path / "5.dcm"), model, tmp_path)
    found = "no pixels" if "no pixels" in text else text
    return f"{', '.join(made[:3])} and {made[3]} named as no image; {found}"


@fault(
    "DICOM",
    "an unknown transfer syntax, a video, one that names JPEG 2000 for plain pixels",
    "refused in one line, 3 times of 3",
)
def test_transfer_syntaxes(model, tmp_path):
    good = 0
    for number, syntax in enumerate(("1.2.3.4", uid.MPEG2MPML, uid.JPEG2000Lossless)):
        dataset = dicom.slices(VOLUME, GRID)[0]
        if syntax == uid.JPEG2000Lossless:
            dicom.compressed(dataset, [bytes(100)], syntax)
        path = dicom.save(dataset, tmp_path / f"{number}.dcm", uid.ExplicitVRLittleEndian)
        data = path.read_bytes()
        old = f"{uid.ExplicitVRLittleEndian}\0".encode()
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        text = syntax + "\0" * (len(syntax) % 2)
        place = data.index(old) - 2
        data = (
            data[:place]
            + len(text).to_bytes(2, "little")
            + text.encode()
            + data[place + 2 + len(old) :]
        )
        path.write_bytes(data)
        good += one_line(path, model, tmp_path) != "a mask"
    return f"refused in one line, {good} times of 3"


@fault(
    "DICOM",
    "pixels that end too early, of one frame and of many; compressed frames of which one is "
    "missing; files cut off at 40 places",
    "refused in one line, 43 times of 43",
)
def test_truncated_frames(model, tmp_path):
    stream = imagecodecs.jpeg2k_encode(CHEST, codecformat="j2k", reversible=True)
    volume = RNG.integers(0, 999, (11, 9, 3), dtype=np.int16)
    short, frames = dicom.slices(VOLUME, GRID)[0], dicom.enhanced(volume, GRID)
    short.PixelData, frames.PixelData = short.PixelData[:-2], frames.PixelData[:-2]
    missing = dicom.compressed(dicom.enhanced(volume, GRID), [stream, stream], uid.JPEG2000Lossless)
    files = [
        dicom.save(short, tmp_path / "a.dcm"),
        dicom.save(frames, tmp_path / "b.dcm"),
        dicom.save(missing, tmp_path / "c.dcm", uid.JPEG2000Lossless),
    ]
    whole = dicom.to_bytes(dicom.slices(VOLUME, GRID)[0])
    for number, length in enumerate(np.linspace(140, len(whole) - 1, 40).astype(int)):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(whole[:length])
    good = sum(one_line(file, model, tmp_path) != "a mask" for file in files)
    return f"refused in one line, {good} times of {len(files)}"


@fault(
    "DICOM",
    "headers that state 60000x60000 pixels or 2 billion frames, and a JPEG 2000 stream of 200 "
    "bytes that states 60000x60000",
    "refused in one line, 3 times of 3, with less than 100 MB",
)
def test_headers_that_ask_for_all_memory(model, tmp_path):
    stream = bytearray(imagecodecs.jpeg2k_encode(CHEST, codecformat="j2k", reversible=True))
    stream[8:16] = (60000).to_bytes(4, "big") * 2
    large = dicom.slices(VOLUME, GRID)[0]
    large.Rows = large.Columns = 60000
    many = dicom.enhanced(VOLUME, GRID)
    many.NumberOfFrames = 2_000_000_000
    bomb = dicom.compressed(dicom.radiograph(CHEST), [bytes(stream)], uid.JPEG2000Lossless)
    files = [
        dicom.save(large, tmp_path / "a.dcm"),
        dicom.save(many, tmp_path / "b.dcm"),
        dicom.save(bomb, tmp_path / "c.dcm", uid.JPEG2000Lossless),
    ]
    forget_peak()
    before = peak_bytes()
    good = sum(one_line(file, model, tmp_path) != "a mask" for file in files)
    little = "less than 100 MB" if peak_bytes() - before < 100e6 else "more"
    return f"refused in one line, {good} times of 3, with {little}"


@fault(
    "DICOM",
    "zip archives with ../ in a name, an absolute path, a drive, a link, a password; one that "
    "becomes 3 GB, one that is damaged, one without DICOM",
    "refused in one line, 9 times of 9; nothing is written",
)
def test_archives(model, tmp_path):
    data = dicom.to_bytes(dicom.slices(VOLUME, GRID)[0])
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(("../a.dcm", "/a.dcm", "C:\\a.dcm", "a\\..\\..\\b.dcm")):
        with zipfile.ZipFile(folder / f"{number}.zip", "w") as file:
            file.writestr(name, data)
    with zipfile.ZipFile(folder / "link.zip", "w") as file:
        info = zipfile.ZipInfo("a.dcm")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.dcm", bytes(2**20))
    listed = (folder / "bomb.zip").read_bytes()
    size, claimed = (2**20).to_bytes(4, "little"), (3 * 2**30).to_bytes(4, "little")
    (folder / "bomb.zip").write_bytes(listed.replace(size, claimed))
    with zipfile.ZipFile(folder / "plain.zip", "w") as file:
        file.writestr("a.dcm", data)
    plain = (folder / "plain.zip").read_bytes()
    (folder / "damaged.zip").write_bytes(plain[: len(plain) // 2])
    secret = bytearray(plain)
    secret[6] |= 1
    secret[plain.rindex(b"PK\x01\x02") + 8] |= 1
    (folder / "secret.zip").write_bytes(bytes(secret))
    with zipfile.ZipFile(folder / "none.zip", "w") as file:
        file.writestr("a.txt", "no DICOM")
    (folder / "plain.zip").unlink()
    before = {path for path in tmp_path.rglob("*")}
    files = sorted(folder.iterdir())
    good = sum(one_line(file, model, tmp_path) != "a mask" for file in files)
    written = {path for path in tmp_path.rglob("*")} - before
    nothing = "nothing is written" if not written else f"{written} is written"
    return f"refused in one line, {good} times of {len(files)}; {nothing}"


@fault(
    "DICOM",
    "patients' folders with names such as ../../x in the tags and in an archive, and links that "
    "lead round in a circle",
    "masks named after folders and the archive: a.dcm, study.dcm",
)
def test_names_come_from_folders_alone(model, tmp_path):
    evil = "../../x"
    dicom.save_series(tmp_path / "in" / "a", VOLUME, GRID, PatientID=evil, SeriesDescription=evil)
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as file:
        for path in (tmp_path / "in" / "a").iterdir():
            file.write(path, f"DOE^JANE/{path.name}")
    predict(model, [tmp_path / "in", tmp_path / "study.zip"], tmp_path / "out", device="cpu")
    names = sorted(path.name for path in (tmp_path / "out").glob("*.dcm"))
    return f"masks named after folders and the archive: {', '.join(names)}"


@fault(
    "DICOM",
    "a patient's name and number in every file, with files that are refused among them",
    "neither in prediction.json nor in a line",
)
def test_no_patient_in_records_and_lines(model, tmp_path, listen):
    dicom.save_series(tmp_path / "in" / "a", VOLUME, GRID)
    changed(tmp_path / "in" / "b", lambda number, _: number != 3)
    dicom.save(dicom.header("CT", SOPClassUID="1.2.3"), tmp_path / "in" / "c" / "plan.dcm")
    lines = []
    with listen(lines.append):
        predict(model, tmp_path / "in", tmp_path / "out", device="cpu")
    text = (tmp_path / "out" / "prediction.json").read_text() + "\n".join(lines)
    there = [word for word in ("DOE", "JANE", "4711", "19700101") if word in text]
    return f"{there} found" if there else "neither in prediction.json nor in a line"


@fault(
    "DICOM",
    "a mask and its reference as DICOM segmentations of two frames of reference",
    "not compared, in one line",
)
def test_segmentations_of_other_frames_of_reference(model, tmp_path):
    for name in ("one", "other"):
        changed(
            tmp_path / name / "in",
            lambda _, dataset, name=name: setattr(
                dataset, "FrameOfReferenceUID", f"1.2.{len(name)}"
            ),
        )
        predict(model, tmp_path / name / "in", tmp_path / name / "out", device="cpu")
    try:
        evaluate(tmp_path / "one" / "out" / "in.dcm", tmp_path / "other" / "out" / "in.dcm")
    except DataError as error:
        known = "another DICOM frame of reference" in str(error) and "\n" not in str(error)
        return "not compared, in one line" if known else str(error)
    return "compared"


@fault(
    "DICOM",
    "a CT whose gantry was tilted by 20 degrees",
    "a line says so; the segmentation lies at the slices' own positions",
)
def test_a_tilted_gantry(model, tmp_path, listen):
    affine = GRID.copy()
    affine[1, 2] = np.tan(np.radians(20)) * GRID[2, 2]
    files = dicom.save_series(tmp_path / "in", VOLUME, affine)
    lines = []
    with listen(lines.append):
        predict(model, tmp_path / "in", tmp_path / "out", device="cpu")
    made = pydicom.dcmread(tmp_path / "out" / "in.dcm")
    positions = {
        tuple(group.PlanePositionSequence[0].ImagePositionPatient)
        for group in made.PerFrameFunctionalGroupsSequence
    }
    expected = {tuple(pydicom.dcmread(file).ImagePositionPatient) for file in files}
    said = "a line says so" if any("20.0 degrees" in line for line in lines) else "no line"
    where = "at the slices' own positions" if positions == expected else f"at {positions}"
    return f"{said}; the segmentation lies {where}"


@fault(
    "DICOM",
    "MONOCHROME1 (white is 0), a window that hides most levels, an overlay in unused bits, a pixel "
    "size at the detector only",
    "levels turned, one line; levels kept; levels kept; size used, one line",
)
def test_radiographs(tmp_path, listen):
    lines = []

    def read(name, **attributes):
        lines.clear()
        samples = attributes.pop("samples", CHEST)
        path = dicom.save(
            dicom.radiograph(samples, bits_stored=12, PixelSpacing=[1, 1], **attributes),
            tmp_path / name / "a.dcm",
        )
        if "ImagerPixelSpacing" in attributes:
            dataset = pydicom.dcmread(path)
            del dataset.PixelSpacing
            dataset.save_as(path)
        with listen(lines.append):
            image = read_image(path)
        return image.array[0], image.geometry, len(lines)

    turned, _, said = read("a", PhotometricInterpretation="MONOCHROME1")
    found = [f"levels turned, {'one line' if said == 1 else said}"]
    assert np.array_equal(turned, 4095 - CHEST)
    for name, attributes in (
        ("b", {"WindowCenter": 10, "WindowWidth": 2}),
        ("c", {"samples": CHEST | 0xF000}),
    ):
        kept = np.array_equal(read(name, **attributes)[0], CHEST)
        found.append("levels kept" if kept else "levels changed")
    _, geometry, said = read("d", ImagerPixelSpacing=[0.2, 0.1])
    used = "size used" if np.allclose(geometry.spacing_mm, (0.2, 0.1)) else geometry.spacing_mm
    return "; ".join([*found, f"{used}, {'one line' if said == 1 else said}"])
