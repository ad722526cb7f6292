"""Tables of cases, and the ledgers of those who did them as one table."""

import csv
import sys

import numpy as np
import pytest

from lightm_unet.cli import main
from lightm_unet.errors import DataError, UsageError
from lightm_unet.imaging.picture import write_picture
from lightm_unet.inference.manifest import read_manifest
from lightm_unet.inference.merge import DONE, FAILED, MASK_GONE, MISSING, merge
from lightm_unet.inference.predict import predict
from lightm_unet.models.model_folder import load_model
from small_models import random_network, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return load_model(write_model(folder, random_network(channels=1)))


@pytest.fixture
def folder(tmp_path):
    """Six pictures, of which one is broken, and their table."""
    for number in range(6):
        path = tmp_path / "in" / f"{number}.png"
        write_picture(np.full((16, 16), 40 * number, np.uint8) + np.eye(16, dtype=np.uint8), path)
    (tmp_path / "in" / "4.png").write_bytes(b"no picture")
    rows = "".join(f"in/{number}.png,mask {number},x\n" for number in range(6))
    (tmp_path / "cases.csv").write_text("image,name,other\n" + rows)
    return tmp_path


def test_a_table_names_images_and_masks(model, folder):
    results = predict(model, None, folder / "out", manifest=folder / "cases.csv", device="cpu")
    assert [result.name for result in results if result.error] == ["mask 4"]
    masks = sorted(path.name for path in (folder / "out").glob("*.png"))
    assert masks == [f"mask {number}.png" for number in (0, 1, 2, 3, 5)]


def test_parquet_and_csv_are_one_table(folder):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    with (folder / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "cases.parquet")
    assert read_manifest(folder / "cases.parquet") == read_manifest(folder / "cases.csv")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "empty file"),
        ("image\n", "no rows"),
        ("file\nin/1.png\n", "the columns file"),
        ("image\n\nin/1.png,more\n", "line of other length"),
        ("image,name\n,x\n", "no image in row 1"),
        ("image,name\nin/1.png,../x\n", "the name '../x'"),
        ("image,name\nin/1.png,a/b\n", "the name 'a/b'"),
        ("image,name\nin/1.png,.x\n", "the name '.x'"),
        ("image,name\nin/1.png,a\\b\n", "the name"),
        ("image,name\nin/1.png," + "x" * 300 + "\n", "the name"),
        ("image\nin/1.png\nin/1.png\n", "one image in the rows 1 and 2"),
        ("image\nin/1.png\nmore/1.png\n", "one name in the rows 1 and 2"),
        ("image,name\nin/1.png,a\nin/2.png,a\n", "one name in the rows 1 and 2"),
        ("SeriesInstanceUID\n../x\n", "the SeriesInstanceUID"),
        ('image\n"in/1.png\n', "no table"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line(folder, text, found):
    (folder / "wrong.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_manifest(folder / "wrong.csv")
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00image", b"PAR1 no table"])
def test_bytes_that_are_no_table_are_one_line(folder, data):
    pytest.importorskip("pyarrow")
    for name in ("wrong.csv", "wrong.parquet"):
        (folder / name).write_bytes(data)
        with pytest.raises(DataError):
            read_manifest(folder / name)


def test_a_row_without_an_image_does_not_stop_the_others(model, folder):
    (folder / "cases.csv").write_text("path\nin/1.png\nin/gone.png\n")
    results = predict(model, None, folder / "out", manifest=folder / "cases.csv", device="cpu")
    assert [result.error is None for result in results] == [True, False]


def test_a_table_and_inputs_are_one_too_many(model, folder):
    for given in ((None, None), (folder / "in", folder / "cases.csv")):
        with pytest.raises(UsageError, match="either inputs or a manifest"):
            predict(model, given[0], folder / "out", manifest=given[1])


def test_a_listing_of_idc_index_finds_what_it_has_downloaded(folder):
    uid = "1.3.6.1.4.1.14519.5.2.1.1"
    series = folder / "nlst" / "100" / "1.2.3" / f"CT_{uid}"
    series.mkdir(parents=True)
    (folder / "idc.csv").write_text(
        "collection_id,PatientID,StudyInstanceUID,SeriesInstanceUID,Modality\n"
        f"nlst,100,1.2.3,{uid},CT\nnlst,../..,1.2.3,{uid}.2,CT\n"
    )
    first, second = read_manifest(folder / "idc.csv")
    assert (first.path, first.series) == (series, uid)
    assert second.path == folder / f"{uid}.2"  # nothing of the listing leads out of its folder
    assert uid not in first.name


def test_parts_are_joined_and_what_is_wrong_is_named(model, folder):
    parts = [folder / "part1", folder / "part2"]
    for number, part in enumerate(parts, start=1):
        given = {"manifest": folder / "cases.csv", "shard": f"{number}/2", "statistics": True}
        predict(model, None, part, device="cpu", **given)
    merged = merge(parts, folder / "table.csv", folder / "cases.csv")
    assert merged.with_outcome(FAILED) == ["mask 4"]
    assert sorted(merged.with_outcome(DONE)) == [f"mask {number}" for number in (0, 1, 2, 3, 5)]
    assert len(merged.rows) == 6
    with (folder / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {row["name"] for row in table if row["label 1_voxels"]} == set(merged.with_outcome(DONE))

    with (folder / "cases.csv").open("a") as file:
        file.write("in/new.png,new,x\n")
    gone = next(parts[0].glob("*.png"))
    gone.unlink()
    predict(model, [folder / "in" / "5.png"], folder / "again", device="cpu")
    (folder / "again" / "5.png").rename(folder / "again" / "mask 5.png")
    merged = merge(parts, folder / "table.csv", folder / "cases.csv")
    assert merged.with_outcome(MISSING) == ["new"]
    assert merged.with_outcome(MASK_GONE) == [gone.stem]


def test_a_case_that_two_folders_have_done_is_doubled(model, folder):
    for name in ("one", "two"):
        predict(model, [folder / "in" / "1.png"], folder / name, device="cpu")
    merged = merge([folder / "one", folder / "two"], folder / "table.csv")
    assert (len(merged.rows), list(merged.doubled)) == (1, ["1"])


def test_a_folder_without_a_ledger_is_named(folder):
    with pytest.raises(DataError, match=r"no ledger\.jsonl"):
        merge([folder / "in"], folder / "table.csv")


def test_the_command_says_how_many_are_done_and_ends_with_1_if_not_all(model, folder, capsys):
    manifest = ("--manifest", str(folder / "cases.csv"))
    for words, code in (
        (("predict", str(model.path), *manifest, "--output", str(folder / "out")), 1),
        (("merge", str(folder / "out"), *manifest, "--output", str(folder / "t.csv")), 1),
    ):
        sys.argv = ["lightm-unet", *words]
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
    captured = capsys.readouterr()
    assert "5 of 6 cases are done; table written to" in captured.out
    assert "1 failed: mask 4" in captured.err


def test_one_image_in_an_array_job_is_not_left_out(model, folder, monkeypatch):
    monkeypatch.setenv("CLOUD_RUN_TASK_COUNT", "50")
    for index in range(3):
        monkeypatch.setenv("CLOUD_RUN_TASK_INDEX", str(index))
        (result,) = predict(model, [folder / "in" / "1.png"], folder / f"o{index}", device="cpu")
        assert result.output is not None
