"""Volumes and slices in NIfTI: their place, their units, their damage."""

import gzip
import itertools
import json
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from faults import fault
from lightm_unet.datasets.check import check_dataset
from lightm_unet.errors import DataError
from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.evaluation.tables import show_sizes, size_unit
from lightm_unet.imaging.image import read_image, read_labels
from lightm_unet.imaging.nifti import write_nifti
from lightm_unet.inference.predict import predict
from lightm_unet.models.model_folder import load_model, save_model
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.apply import preprocess_image
from lightm_unet.preprocessing.preprocessing import Preprocessing
from strategies import oriented_affine, rotated

OBLIQUE = (12.0, -9.0, 7.0)
PLANES = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}
CODES = [(1, 1), (0, 0), (1, 0), (0, 1), (1, 2), (1, 4), (2, 2), (3, 3), (4, 1), (0, 2), (5, 5)]
"""Pairs of qform_code and sform_code."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Untrained models, by spatial dimensions and mode."""
    made = {}
    for dims in (2, 3):
        for mode, grid in (
            ("whole", {"size": (16,) * dims}),
            ("patch", {"roi_size": (16,) * dims}),
        ):
            torch.manual_seed(0)
            network = build_network(
                "lightm-unet-tiny", spatial_dims=dims, in_channels=1, out_channels=2
            )
            folder = tmp_path_factory.mktemp(f"{mode}_{dims}")
            names = ("background", "organ")
            save_model(folder, network, Preprocessing(dims, 1, **grid), names, ("MR",), {}, {})
            made[dims, mode] = load_model(folder)
    return made


@pytest.fixture(scope="module")
def quick(models):
    """The same with a network that looks at each voxel alone and takes no time."""
    found = {}
    for (dims, mode), model in models.items():
        network = (torch.nn.Conv2d, torch.nn.Conv3d)[dims - 2](1, 2, 1)
        with torch.no_grad():
            network.weight.view(-1)[:] = torch.tensor([-1.0, 1.0])
            network.bias.zero_()
        found[dims, mode] = replace(model, network=network)
    return found


def stored_ways(array, affine):
    """The same voxels with every order and direction of the array's axes: `(array, affine)`."""
    dims = array.ndim
    for axes in itertools.permutations(range(dims)):
        for flips in itertools.product((False, True), repeat=dims):
            moved = affine.copy()
            moved[:3, :dims] = affine[:3, list(axes)]
            for axis, flip in enumerate(flips):
                if flip:
                    moved[:3, 3] += (array.shape[axes[axis]] - 1) * moved[:3, axis]
                    moved[:3, axis] *= -1
            flipped = tuple(axis for axis, flip in enumerate(flips) if flip)
            yield np.flip(np.transpose(array, axes), flipped), moved, (axes, flipped)


def back(array, way):
    """The array as it was before `stored_ways`."""
    axes, flipped = way
    return np.transpose(np.flip(array, flipped), np.argsort(axes))


def save(array, affine, path, *, qform=0, sform=1):
    """With any pair of codes; both forms hold the affine as well as they can."""
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform, strip_shears=True)
    nibabel.save(image, path)
    return path


def set_field(path, offset, form, *values):
    """Overwrite bytes of the header of an uncompressed file."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(bytes(data))


def one_line(function, *arguments):
    """What an error says, or what came instead."""
    try:
        result = function(*arguments)
    except DataError as error:
        return str(error) if "\n" not in str(error) else "several lines"
    return f"no error but {result!r}"


@pytest.mark.slow
@fault(
    "Volumes",
    "an axial, coronal, sagittal or oblique slice, each stored in 8 ways with an affine that says "
    "so, as (i, j), (i, j, 1), (i, 1, k) and (1, j, k)",
    "1 input to the network and 1 mask for each slice",
)
def test_a_slice_is_the_same_however_it_is_stored(quick, tmp_path):
    worst = 0
    voxels = np.random.default_rng(0).normal(size=(9, 13)).astype(np.float32)
    for (first, second), degrees in itertools.product(PLANES.values(), ((0, 0, 0), OBLIQUE)):
        grid = rotated(oriented_affine((first, second, 3 - first - second), (1, 1, 1)), degrees)
        inputs, masks = [], []
        for array, affine, way in stored_ways(voxels, grid):
            for thin in (None, 0, 1, 2):
                path, shaped, moved = tmp_path / "a.nii", array, affine
                if thin is not None:
                    shaped = np.expand_dims(array, thin)
                    moved = affine[:, [*np.insert([0, 1], thin, 2), 3]]
                save(shaped, moved, path)
                tensor, _ = preprocess_image(read_image(path), quick[2, "whole"].preprocessing)
                inputs.append(tensor.numpy())
                predict(quick[2, "whole"], [path], tmp_path / "out", device="cpu")
                mask = np.asarray(nibabel.load(tmp_path / "out" / "a.nii").dataobj)
                assert mask.shape == shaped.shape
                masks.append(back(mask.reshape(array.shape), way))
        np.testing.assert_allclose(inputs, np.broadcast_to(inputs[0], np.shape(inputs)), atol=1e-5)
        worst = max(worst, len({mask.tobytes() for mask in masks}))
    return f"1 input to the network and {worst} mask for each slice"


@fault(
    "Volumes",
    "an oblique volume stored in 48 ways with an affine that says so",
    "1 input to the network and 1 mask",
)
def test_a_volume_is_the_same_however_it_is_stored(quick, tmp_path):
    voxels = np.random.default_rng(0).normal(size=(9, 11, 13)).astype(np.float32)
    inputs, masks = set(), set()
    grid = rotated(oriented_affine((0, 1, 2), (1, 1, 1)), OBLIQUE)
    for array, affine, way in stored_ways(voxels, grid):
        path = save(array, affine, tmp_path / "a.nii")
        tensor, _ = preprocess_image(read_image(path), quick[3, "whole"].preprocessing)
        inputs.add(tensor.numpy().tobytes())
        predict(quick[3, "whole"], [path], tmp_path / "out", device="cpu")
        mask, _ = read_labels(tmp_path / "out" / "a.nii")
        masks.add(back(mask, way).tobytes())
    return f"{len(inputs)} input to the network and {len(masks)} mask"


def two_masks():
    """A block, and the same block two slices up and three rows back."""
    ref = np.zeros((40, 40, 24), np.uint8)
    ref[10:20, 10:20, 6:12] = 1
    return np.roll(ref, (-3, 2), (1, 2)), ref


def describe(pred, ref, tolerance_mm):
    evaluation = evaluate(pred, ref, tolerance_mm=tolerance_mm)
    case = evaluation.cases[0]
    scores = case.of(1)
    size = show_sizes(evaluation, case, scores)[1]
    return (
        f"HD95 {scores.hd95:.2f} mm, surface Dice {scores.nsd:.3f}, {size} {size_unit(evaluation)}"
    )


@fault(
    "Volumes",
    "two masks of a CT whose gantry was tilted by 30 degrees (a sheared affine), stored in 48 ways",
    "HD95 6.02 mm, surface Dice 1.000, 1.80 ml",
)
def test_a_tilted_gantry_is_measured(tmp_path):
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[1, 2] = 3 * np.tan(np.radians(30))
    pred, ref = two_masks()
    found = set()
    for one, other in zip(stored_ways(pred, affine), stored_ways(ref, affine), strict=True):
        for name, (array, moved, _) in (("p.nii", one), ("r.nii", other)):
            save(array, moved, tmp_path / name)
        found.add(describe(tmp_path / "p.nii", tmp_path / "r.nii", 6.5))
    return "; ".join(sorted(found))


@fault(
    "Volumes",
    "two masks with voxels of 1 x 2 x 4 mm, also oblique, stored in 48 ways",
    "HD95 8.94 mm, surface Dice 0.558, 4.80 ml",
)
def test_uneven_voxels_are_measured_in_every_orientation(tmp_path):
    pred, ref = two_masks()
    found = set()
    for degrees in ((0, 0, 0), OBLIQUE):
        grid = rotated(oriented_affine((0, 1, 2), (1, 1, 1), (1.0, 2.0, 4.0)), degrees)
        for one, other in zip(stored_ways(pred, grid), stored_ways(ref, grid), strict=True):
            for name, (array, moved, _) in (("p.nii", one), ("r.nii", other)):
                save(array, moved, tmp_path / name)
            found.add(describe(tmp_path / "p.nii", tmp_path / "r.nii", 4.5))
    return "; ".join(sorted(found))


@fault(
    "Volumes",
    "two masks of one slice, the thin axis stored first, second, third or not at all",
    "HD95 4.05 mm, surface Dice 0.833, 0.24 cm²",
)
def test_one_slice_is_measured_wherever_its_thin_axis_is(tmp_path):
    ref = np.zeros((20, 30), np.uint8)
    ref[4:8, 4:10] = 1  # 24 pixels of 1 mm², 16 of them the outline
    pred = ref.copy()
    pred[8:13, 6] = (
        1  # a tail: of the outline's 20 pixels 5 lie 1 to 5 mm away, and 1 the other way
    )
    found = set()
    for thin in (None, 0, 1, 2):
        for name, array in (("p.nii", pred), ("r.nii", ref)):
            shaped, affine = array, np.diag([1.0, 1.0, 5.0, 1.0])
            if thin is not None:
                shaped = np.expand_dims(array, thin)
                affine = affine[:, [*np.insert([0, 1], thin, 2), 3]]
            save(shaped, affine, tmp_path / name)
        found.add(describe(tmp_path / "p.nii", tmp_path / "r.nii", 0.5))
    return "; ".join(sorted(found))


@fault(
    "Volumes",
    "voxels of 5 units whose header counts in mm, microns, metres or says nothing; two masks two "
    "voxels apart",
    "HD95 10, 0.01, 10000 and 10 mm; ITK finds image and mask at one place",
)
def test_the_headers_unit_is_honoured(quick, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    ref = np.zeros((20, 20, 20), np.uint8)
    ref[5:10, 5:10, 5:10] = 1
    distances, apart = [], []
    for unit in ("mm", "micron", "meter", "unknown"):
        for name, array in (("r", ref), ("p", np.roll(ref, 2, 0)), ("image", ref * 100)):
            image = nibabel.Nifti1Image(array, np.diag([5.0, 5, 5, 1]))
            image.header.set_xyzt_units(unit)
            nibabel.save(image, tmp_path / f"{name}.nii")
        hd95 = evaluate(tmp_path / "p.nii", tmp_path / "r.nii").cases[0].of(1).hd95
        distances.append(f"{hd95:.6g}")
        predict(quick[3, "whole"], [tmp_path / "image.nii"], tmp_path / "out", device="cpu")
        files = (tmp_path / "image.nii", tmp_path / "out" / "image.nii")
        image, mask = (sitk.ReadImage(str(file)) for file in files)
        if place(image) != place(mask):
            apart.append(unit)
    where = "at one place" if not apart else f"apart for {apart}"
    *first, last = distances
    return f"HD95 {', '.join(first)} and {last} mm; ITK finds image and mask {where}"


def place(image):
    """Where ITK puts an image."""
    return image.GetOrigin(), image.GetSpacing(), image.GetDirection(), image.GetSize()


def itk_place(path):
    """The same of a file; None where ITK refuses it, as it does shears and NIfTI-2."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        return place(sitk.ReadImage(str(path)))
    except RuntimeError:
        return None


@pytest.mark.slow
@fault(
    "Volumes",
    f"images with qform and sform of the codes {', '.join(map(str, CODES))}, the forms equal or "
    "25 mm apart; oblique, left-handed and sheared; NIfTI-1 and 2, both byte orders, .nii and "
    ".nii.gz; as (i, j, k), (i, j, 1), (i, 1, k) and (i, j)",
    "ITK and nibabel find every mask where its image is, with the same codes and voxel sizes",
)
def test_a_mask_lies_where_its_image_lies(quick, tmp_path):
    pytest.importorskip("SimpleITK")
    wrong = []
    grids = {
        "upright": oriented_affine((0, 1, 2), (1, 1, 1)),
        "oblique": rotated(oriented_affine((0, 1, 2), (1, 1, 1)), OBLIQUE),
        "left-handed": rotated(oriented_affine((2, 0, 1), (-1, 1, 1)), OBLIQUE),
        "sheared": oriented_affine((0, 1, 2), (1, 1, 1)),
    }
    grids["sheared"][1, 2] = 1.5
    shapes = [(7, 8, 9), (7, 8, 1), (7, 1, 9), (7, 8)]
    forms = itertools.product(CODES, (0.0, -25.0), grids, shapes)
    generator = np.random.default_rng(0)
    for (qform, sform), moved, grid, shape in forms:
        version = generator.choice([1, 1, 1, 2])
        image_class = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
        order = generator.choice(["<", ">"])
        array = np.random.default_rng(0).integers(-100, 200, shape).astype(f"{order}i2")
        header = image_class.header_class(endianness=order)
        header.set_data_dtype(f"{order}i2")
        image = image_class(array, grids[grid], header)
        image.set_qform(grids[grid], 1, strip_shears=True)
        image.set_sform(grids[grid], 1)
        image.header["qform_code"], image.header["sform_code"] = qform, sform
        image.header["srow_x"][3] += moved
        path = tmp_path / generator.choice(["a.nii", "a.nii.gz"])
        data = image.to_bytes()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        predict(quick[3, "whole"], [path], tmp_path / "out", device="cpu")
        mask = tmp_path / "out" / path.name
        before, after = nibabel.load(path), nibabel.load(mask)
        same = (
            itk_place(path) == itk_place(mask)
            and np.array_equal(before.affine, after.affine)
            and before.shape == after.shape
            and all(
                before.header[field].tolist() == after.header[field].tolist()
                for field in ("pixdim", "qform_code", "sform_code", "srow_x", "quatern_b", "dim")
            )
        )
        if version == 1 and grid != "sheared" and itk_place(path) is None:
            wrong.append(f"ITK refuses {grid} {shape} ({qform}, {sform})")
        if not same:
            wrong.append(f"{grid} {shape} ({qform}, {sform})")
    if wrong:
        return f"other places: {', '.join(wrong)}"
    return "ITK and nibabel find every mask where its image is, with the same codes and voxel sizes"


@fault(
    "Volumes",
    "a qform and an sform that lie 25 mm apart, or neither of them",
    "a warning that names both and says that the sform is used; a warning that left and right are "
    "unknown; none where they agree",
)
def test_doubtful_forms_are_a_warning(tmp_path, listen):
    lines = []
    affine = rotated(oriented_affine((0, 1, 2), (1, 1, 1)), OBLIQUE)
    with listen(lines.append):
        for codes in ((1, 1), (0, 2), (1, 0)):
            read_image(
                save(np.ones((4, 5, 6)), affine, tmp_path / "a.nii", qform=codes[0], sform=codes[1])
            )
        agreeing = list(lines)
        path = save(np.ones((4, 5, 6)), affine, tmp_path / "a.nii", qform=1, sform=2)
        set_field(path, 292, "<f", 500.0)  # the last number of srow_x
        read_image(path)
        set_field(path, 252, "<2h", 0, 0)
        read_image(path)
    apart, unknown = lines[len(agreeing) :]
    found = []
    if "qform (code 1)" in apart and "sform (code 2)" in apart and "the sform is used" in apart:
        found.append("a warning that names both and says that the sform is used")
    if "left and right are unknown" in unknown:
        found.append("a warning that left and right are unknown")
    found.append("none where they agree" if not agreeing else str(agreeing))
    return "; ".join(found)


@fault(
    "Volumes",
    "a voxel size (pixdim) of 0, NaN, infinity or -1, with a qform or without any form; and with "
    "an sform",
    "one line that names the voxel size; with an sform, the sform's own",
)
def test_a_voxel_size_that_is_none_is_refused(tmp_path):
    found = set()
    for value, axis, codes in itertools.product(
        (0.0, np.nan, np.inf, -1.0), range(3), ((1, 0), (0, 0), (0, 1), (1, 1))
    ):
        affine = np.diag([1.0, 2.0, 3.0, 1.0])
        path = save(np.ones((4, 5, 6)), affine, tmp_path / "a.nii", qform=codes[0], sform=codes[1])
        set_field(path, 80 + 4 * axis, "<f", value)
        if codes[1]:
            found.add(f"sform {read_image(path).geometry.spacing_mm}")
        else:
            found.add("named" if "voxel size" in one_line(read_image, path) else "not named")
    if found == {"named", "sform (1.0, 2.0, 3.0)"}:
        return "one line that names the voxel size; with an sform, the sform's own"
    return str(found)


@fault(
    "Volumes",
    "an sform with a column of zeros, with two equal columns, with NaN or infinity; a quaternion "
    "that is no rotation",
    "exit code 3 and one line, each time",
)
def test_a_place_that_cannot_be_is_refused(run, tmp_path):
    bad = []
    columns = [np.zeros(3), np.array([1.0, 0, 0]), np.full(3, np.nan), np.array([0, 0, np.inf])]
    for number, column in enumerate(columns):
        path = save(np.ones((4, 5, 6), np.uint8), np.eye(4), tmp_path / f"{number}.nii")
        for row in range(3):
            set_field(path, 280 + 16 * row + 8, "<f", column[row])
        bad.append(path)
    path = save(np.ones((4, 5, 6), np.uint8), np.eye(4), tmp_path / "q.nii", qform=1, sform=0)
    set_field(path, 256, "<3f", 0.9, 0.9, 0.9)
    bad.append(path)
    found = set()
    for path in bad:
        code, _, error = run("evaluate", path, path)
        found.add(f"exit code {code} and {'one line' if error.count(chr(10)) == 1 else error}")
    return f"{'; '.join(sorted(found))}, each time"


@pytest.mark.slow
@fault(
    "Volumes",
    "a slice or a voxel, (i, j, 1), (1, j, k), (i, 1, k), (1, 1, k), (1, 1, 1), (i, j) and "
    "(i, j, k, 1), to a 3D and, but for the last, a 2D model, on whole images and on patches",
    "a mask of the file's own shape, each time",
)
def test_slices_and_single_voxels_are_segmented(models, tmp_path):
    wrong = []
    shapes = [(20, 24, 1), (1, 24, 18), (20, 1, 18), (1, 1, 18), (1, 1, 1), (20, 24)]
    for (dims, mode), model in models.items():
        for shape in shapes if dims == 2 else [*shapes, (9, 8, 7, 1)]:
            array = np.random.default_rng(0).integers(-100, 200, shape).astype(np.int16)
            path = save(array, np.eye(4), tmp_path / "a.nii")
            predict(model, [path], tmp_path / "out", device="cpu")
            mask = nibabel.load(tmp_path / "out" / "a.nii")
            if mask.shape != shape:
                wrong.append(f"{mask.shape} for {shape}, {dims}D, {mode}")
    return f"{', '.join(wrong) or 'a mask of the file' + chr(39) + 's own shape'}, each time"


@fault(
    "Volumes",
    "a volume of several slices to a 2D model, a picture to a 3D model",
    "one line that names the dimensions, each time",
)
def test_dimensions_that_do_not_fit_are_refused(models, tmp_path):
    from PIL import Image

    volume = save(np.ones((4, 5, 6), np.uint8), np.eye(4), tmp_path / "a.nii")
    Image.fromarray(np.ones((8, 8), np.uint8)).save(tmp_path / "a.png")
    tries = ((volume, 2, "a 3D image"), (tmp_path / "a.png", 3, "a 2D image"))
    named = [
        text in one_line(predict, models[dims, "whole"], [path], tmp_path / "out")
        for path, dims, text in tries
    ]
    return "one line that names the dimensions, each time" if all(named) else str(named)


@fault(
    "Volumes",
    "a data set of volumes in which one case has a single slice, (i, j, 1) or (1, j, k)",
    "no problem: the slice is a volume",
)
def test_a_slice_among_volumes_is_no_mixture(make_dataset):
    root = make_dataset(cases=3)
    labels = np.eye(6, 7, dtype=np.uint8)
    for case, thin in (("case_0", 2), ("case_1", 0)):
        for name in (f"imagesTr/{case}_0000", f"labelsTr/{case}"):
            write_nifti(np.expand_dims(labels, thin), np.eye(4), root / f"{name}.nii.gz")
    report = check_dataset(root)
    problems = "; ".join(problem.message for problem in report.problems) or "no problem"
    return f"{problems}: the slice is {'a volume' if len(report.shapes.min) == 3 else 'flat'}"


@fault(
    "Volumes",
    "a flat NIfTI image to a model that an earlier version trained on the file's own axes",
    "the file's own axes, as in training",
)
def test_an_earlier_model_keeps_the_axes_it_was_trained_on(models, tmp_path):
    path = save(np.arange(256.0).reshape(16, 16, 1), np.eye(4), tmp_path / "a.nii")
    card = json.loads((models[2, "whole"].path / "model.json").read_text())
    del card["preprocessing"]["flat_axes"]
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    (folder / "model.json").write_text(json.dumps(card))
    weights = models[2, "whole"].path / "model.safetensors"
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    image = read_image(path)
    earlier, _ = preprocess_image(image, load_model(folder).preprocessing)
    picture = replace(image, geometry=replace(image.geometry, header=None, stored_shape=(16, 16)))
    kept, _ = preprocess_image(picture, models[2, "whole"].preprocessing)
    same = torch.equal(earlier, kept)
    return "the file's own axes, as in training" if same else "other axes"


@fault(
    "Volumes",
    "headers that claim 64 TB, a negative or no length of an axis, 0 or 9 axes, a wrong offset, "
    "type, mark or scaling; a .hdr without its .img; a file cut off anywhere",
    "one line that names the file, each time, before memory is taken",
)
def test_impossible_headers_are_refused(tmp_path):
    changes = [
        (40, "<4h", 3, 32000, 32000, 32000),
        (42, "<h", -4),
        (42, "<h", 0),
        (40, "<h", 0),
        (40, "<h", 9),
        (40, "<h", -1),
        (108, "<f", 100.0),
        (108, "<f", -352.0),
        (108, "<f", np.nan),
        (108, "<f", 1e30),
        (108, "<f", 352.5),
        (70, "<h", 3),
        (70, "<h", 1792),
        (70, "<h", 128),
        (344, "<4s", b"ni1\0"),
        (344, "<4s", b"\0\0\0\0"),
        (112, "<2f", np.inf, 0),
        (112, "<2f", 1, np.nan),
    ]
    whole = save(np.ones((4, 5, 6), np.int16), np.eye(4), tmp_path / "whole.nii").read_bytes()
    damaged = []
    for offset, form, *values in changes:
        data = bytearray(whole)
        struct.pack_into(form, data, offset, *values)
        damaged.append(bytes(data))
    damaged += [whole[:kept] for kept in (1, 3, 100, 347, 348, 352, 400, len(whole) - 1)]
    unnamed = []
    for number, (data, packed) in enumerate(itertools.product(damaged, (False, True))):
        path = tmp_path / f"{number}.nii{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(data) if packed else data)
        if not one_line(read_image, path).startswith(f"{path}: found "):
            unnamed.append(path.name)
    return f"{unnamed or 'one line that names the file'}, each time, before memory is taken"


@pytest.mark.slow
@fault(
    "Volumes",
    "a compressed file of 2 MB that becomes 2 GB, with a small header, with one that asks for "
    "all of it, and with one that asks for more",
    "one line that names the file, each time",
)
def test_a_gzip_bomb_is_refused(tmp_path):
    header = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_bytes()[:352]
    found = set()
    for number, shape in enumerate([(4, 5, 6), (2048, 1024, 1000), (30000, 30000, 30000)]):
        data = bytearray(header)
        struct.pack_into("<4h", data, 40, 3, *shape)
        path = tmp_path / f"{number}.nii.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(bytes(data))
        zeros = gzip.compress(bytes(2**26), compresslevel=9)
        with path.open("ab") as file:  # gzip streams may follow one another
            file.write(zeros * 32)
        found.add(one_line(read_image, path).startswith(f"{path}: found "))
    return f"{'one line that names the file' if found == {True} else found}, each time"
