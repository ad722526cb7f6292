import io

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
