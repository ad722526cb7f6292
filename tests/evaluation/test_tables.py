import io

import numpy as np
import pytest
from rich.console import Console

from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.evaluation.tables import print_evaluation, show_sizes, size_unit

LINE = {1: [(1, 1, 1), (1, 1, 2)]}


def printed(evaluation):
    console = Console(file=io.StringIO(), width=120, color_system=None)
    print_evaluation(evaluation, console)
    return console.file.getvalue()


def test_the_table_shows_means_and_what_they_leave_out(save_mask, tmp_path):
    for name, pred in (("a", LINE), ("b", LINE), ("c", {})):
        save_mask(f"pred/{name}.nii", pred)
        save_mask(f"ref/{name}.nii", LINE)
    text = printed(evaluate(tmp_path / "pred", tmp_path / "ref", labels=["[liver]", "tumour"]))
    assert "3 cases" in text
    assert "[liver]   0.667 ± 0.577" in text
    assert "HD95 (mm)" in text
    assert "NSD (2 mm)" in text
    assert "[liver]: in only one of the two masks of 1 case; " in text
    assert "HD95 is the mean of 2 of 3 cases" in text
    assert "tumour: does not occur in any mask" in text
    row = next(line for line in text.splitlines() if line.startswith(" tumour"))
    assert row.split() == ["tumour", "–", "–", "–", "–", "does", "not", "occur", "0", "of", "3"]


def test_sizes_are_in_ml_for_volumes_and_pixels_for_pictures(save_mask, tmp_path):
    # 2 voxels of 1 x 2 x 4 mm are 16 mm³ or 0.016 ml.
    volumes = evaluate(save_mask("a.nii", LINE), save_mask("b.nii", LINE))
    assert size_unit(volumes) == "ml"
    assert show_sizes(volumes, volumes.cases[0], volumes.cases[0].of(1)) == ("0.02", "0.02")
    flat = {1: [(1, 1), (1, 2), (2, 2)]}
    pictures = evaluate(
        save_mask("a.png", flat, shape=(4, 4)), save_mask("b.png", flat, shape=(4, 4))
    )
    assert size_unit(pictures) == "px"
    assert show_sizes(pictures, pictures.cases[0], pictures.cases[0].of(1)) == ("3", "3")


def test_a_slice_has_an_area_and_beside_volumes_a_number_of_voxels(save_mask, tmp_path):
    line = {1: [(0, 1, 1), (0, 1, 2)]}
    for folder in ("flat_pred", "flat_ref", "pred", "ref"):
        save_mask(f"{folder}/slice.nii", line, shape=(1, 6, 6))
    for folder in ("pred", "ref"):
        save_mask(f"{folder}/volume.nii", LINE)
    # 2 pixels of 2 x 4 mm are 16 mm² or 0.16 cm².
    flat = evaluate(tmp_path / "flat_pred", tmp_path / "flat_ref")
    assert size_unit(flat) == "cm²"
    assert show_sizes(flat, flat.cases[0], flat.cases[0].of(1)) == ("0.16", "0.16")
    both = evaluate(tmp_path / "pred", tmp_path / "ref")
    assert size_unit(both) == "voxels"
    assert show_sizes(both, both.cases[0], both.cases[0].of(1)) == ("2", "2")


def test_a_sheared_voxel_is_smaller_than_its_edges_say(save_mask):
    sheared = np.diag([1.0, 2.0, 4.0, 1.0])
    sheared[1, 2] = 3.0  # the edge along k is 5 mm long, the voxel still 1 x 2 x 4 mm³
    paths = [save_mask(name, LINE, affine=sheared) for name in ("a.nii", "b.nii")]
    case = evaluate(*paths).cases[0]
    assert case.spacing == pytest.approx((1, 2, 5))
    assert case.voxel_size == pytest.approx(8)
    flat = np.diag([1.0, 2.0, 4.0, 1.0])
    flat[0, 1] = 1.5
    voxels = {1: [(1, 1, 0)]}
    paths = [save_mask(name, voxels, (6, 6, 1), flat) for name in ("c.nii", "d.nii")]
    assert evaluate(*paths).cases[0].voxel_size == pytest.approx(2)
