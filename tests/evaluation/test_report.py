import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image as Picture

from lightm_unet.evaluation.evaluate import evaluate
from lightm_unet.inference.record import RECORD_NAME

WHOLE = [(1, 1, k) for k in range(5)]


class Page(HTMLParser):
    """The text of a page, and everything it would load."""

    def __init__(self, html):
        super().__init__()
        self.text, self.loads, self.pictures = "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data"):
                self.loads.append(value)
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_data(self, data):
        self.text += data + " "


@pytest.fixture
def evaluate_cases(save_mask, tmp_path):
    """Cases whose prediction holds the first `n` of the reference's five voxels."""

    def run(**voxels):
        for name, n in voxels.items():
            save_mask(f"ref/{name}.nii.gz", {1: WHOLE})
            save_mask(f"pred/{name}.nii.gz", {1: WHOLE[:n]})
        evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out", labels=["liver"])
        return Page((tmp_path / "out" / "report.html").read_text())

    return run


def test_best_median_and_worst_case_are_shown_in_three_planes(evaluate_cases):
    page = evaluate_cases(a=3, b=5, c=1, d=2, e=4)
    assert re.findall(r"(Best|Median|Worst): (\w)", page.text) == [
        ("Best", "b"),
        ("Median", "a"),
        ("Worst", "c"),
    ]
    assert len(page.pictures) == 9
    for picture in page.pictures:
        png = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
        with Picture.open(io.BytesIO(png)) as opened:
            assert opened.size == (int(picture["width"]), int(picture["height"]))


@pytest.mark.parametrize(
    ("voxels", "titles"),
    [({"a": 2}, ["The only case: a"]), ({"a": 2, "b": 3}, ["Best: b", "Worst: a"])],
)
def test_few_cases_are_each_shown_once(evaluate_cases, voxels, titles):
    text = evaluate_cases(**voxels).text
    assert re.findall(r"(?:Best|Median|Worst|The only case): \w", text) == titles


def test_the_page_loads_nothing(evaluate_cases):
    page = evaluate_cases(a=5, b=3)
    assert page.loads
    assert all(address.startswith("data:image/png;base64,") for address in page.loads)


def test_means_are_shown_as_in_the_table(evaluate_cases):
    page = evaluate_cases(a=5, b=5, c=0)
    words = " ".join(page.text.split())
    assert "liver 0.667 ± 0.577 3 of 3 cases" in words
    assert "liver: in only one of the two masks of 1 case;" in words
    assert "HD95 is the mean of 2 of 3 cases" in words


def test_names_from_files_are_shown_as_text(save_mask, tmp_path):
    name = "<img src=x onerror=alert(1)>"
    save_mask(f"ref/{name}.nii", {1: WHOLE})
    save_mask(f"pred/{name}.nii", {1: WHOLE})
    evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out", labels=["<b>liver"])
    html = (tmp_path / "out" / "report.html").read_text()
    assert name not in html
    assert "<b>liver" not in html
    assert f"The only case: {name}" in Page(html).text


def test_an_image_that_cannot_be_shown_does_not_spoil_the_report(save_mask, tmp_path):
    save_mask("ref/a.nii", {1: WHOLE})
    save_mask("pred/a.nii", {1: WHOLE})
    broken = tmp_path / "images" / "a.nii"
    broken.parent.mkdir()
    broken.write_bytes(b"broken")
    result = evaluate(
        tmp_path / "pred", tmp_path / "ref", tmp_path / "out", images=tmp_path / "images"
    )
    assert result.failed == ()
    assert "The image is not shown" in (tmp_path / "out" / "report.html").read_text()


def test_a_2d_report_draws_on_the_image(tmp_path, save_mask):
    save_mask("ref/a.png", {1: [(2, 2)]}, shape=(8, 8))
    save_mask("pred/a.png", {1: [(2, 2)]}, shape=(8, 8))
    image = np.zeros((8, 8), dtype=np.uint8)
    image[6:] = 255
    Picture.fromarray(image).save(tmp_path / "a.png")
    evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out", images=tmp_path / "a.png")
    page = Page((tmp_path / "out" / "report.html").read_text())
    (picture,) = page.pictures
    png = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
    with Picture.open(io.BytesIO(png)) as opened:
        shown = np.asarray(opened)
    assert shown[-10, 10].tolist() == [255, 255, 255]
    assert shown[10, 10].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("record", "expected"),
    [({"label_colours": [[0, 0, 0], [250, 240, 230]]}, (250, 240, 230)), ({}, (230, 159, 0))],
)
def test_a_label_has_the_colour_of_the_model_that_predicted_it(
    save_mask, tmp_path, record, expected
):
    save_mask("ref/a.png", {1: [(2, 2)]}, shape=(8, 8))
    save_mask("pred/a.png", {}, shape=(8, 8))
    (tmp_path / "pred" / RECORD_NAME).write_text(json.dumps(record))
    evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    (picture,) = Page(html).pictures
    png = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
    with Picture.open(io.BytesIO(png)) as opened:
        shown = np.asarray(opened)
    assert tuple(shown[121, 150]) == expected  # 60 pixels a voxel: the outline's upper edge
    assert "--colour: #{:02x}{:02x}{:02x}".format(*expected) in html


def test_masks_without_any_label_have_a_report_without_pictures(save_mask, tmp_path):
    save_mask("ref/a.nii", {})
    save_mask("pred/a.nii", {})
    evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert "1 case compared with its reference" in " ".join(page.text.split())
    assert page.pictures == []


def test_long_lists_are_cut_and_the_page_says_so(save_mask, tmp_path, monkeypatch):
    monkeypatch.setattr("lightm_unet.evaluation.report.MOST_ROWS", 3)
    monkeypatch.setattr("lightm_unet.evaluation.report.MOST_FAILED", 1)
    monkeypatch.setattr("lightm_unet.evaluation.report.MOST_CHARTED", 1)
    for number in range(3):
        voxels = {1: WHOLE[: number + 2], 2: [(4, 4, 4)]}
        save_mask(f"ref/{number}.nii", {1: WHOLE, 2: [(4, 4, 4)]})
        save_mask(f"pred/{number}.nii", voxels)
        save_mask(f"pred/extra {number}.nii", voxels)
    evaluate(tmp_path / "pred", tmp_path / "ref", tmp_path / "out")
    words = " ".join(Page((tmp_path / "out" / "report.html").read_text()).text.split())
    assert "The 3 of 6 rows with the lowest DSC." in words
    assert "The other 2 are in cases.csv." in words
    assert "Shown: 1 of 2 classes, those with the lowest mean DSC." in words


def test_a_page_is_for_every_reader(evaluate_cases, tmp_path):
    page = evaluate_cases(a=5, b=3)
    html = (tmp_path / "out" / "report.html").read_text()
    assert '<html lang="en">' in html
    assert "prefers-color-scheme: dark" in html
    assert "width=device-width" in html
    assert [int(level) for level in re.findall(r"<h(\d)", html)][:3] == [1, 2, 2]
    for picture in page.pictures:
        assert "reference and prediction; DSC" in picture["alt"]
    for words in ("missed, in the reference only", "added, in the prediction only"):
        assert words in page.text
