"""The page and the JSON file of `check-dataset`."""

import json
import re

import numpy as np

import dicom_files as dicom
from lightm_unet.datasets.check import check_dataset
from strategies import oriented_affine

VOLUME = np.arange(7 * 8 * 5, dtype=np.int16).reshape(7, 8, 5)
GRID = oriented_affine((0, 1, 2), (-1, -1, 1), (0.7, 0.8, 2.5))


def test_all_problems_and_all_cases_are_on_the_page_which_loads_nothing(make_dataset, tmp_path):
    root = make_dataset(cases=4)
    (root / "imagesTr" / "case_1_0000.nii.gz").write_bytes(b"<script>")
    (root / "labelsTr" / "case_2.nii.gz").unlink()
    report = check_dataset(root, output=tmp_path / "out")
    page = (tmp_path / "out" / "check.html").read_text()
    assert len(report.problems) == 2
    assert page.count("<li><b>case_") == 2
    assert page.count("<img") == 2  # the cases that can be read
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    assert (content["ok"], content["cases"]) == (False, 4)
    assert [each["case"] for each in content["fingerprints"]] == ["case_0", "case_3"]
    assert content["fingerprints"][0]["label_voxels"] == [309, 27]


def test_a_folder_of_dicom_is_checked_as_images_without_labels(tmp_path, run):
    root = tmp_path / "archive"
    dicom.save_series(root / "good", VOLUME, GRID)
    for path in dicom.save_series(root / "gap", VOLUME, GRID)[2:3]:
        path.unlink()
    code, out, error = run("check-dataset", root, "--output", tmp_path / "out")
    assert code == 3
    assert "missing slice" in error
    assert "2 cases, 1 problem" in out
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    assert content["fingerprints"][0]["shape"] == [7, 8, 5]
    assert content["fingerprints"][0]["spacing_mm"] == [0.7, 0.8, 2.5]
    assert "missing slice" in (tmp_path / "out" / "check.html").read_text()


def test_the_output_is_tried_before_anything_is_read(make_dataset, tmp_path, run):
    (tmp_path / "out").write_text("a file")
    code, _, error = run("check-dataset", make_dataset(), "--output", tmp_path / "out")
    assert code == 2
    assert "is a file" in error
