"""A picture in, its lungs drawn over it, the same labels as `predict` gives."""

import io

import numpy as np
import pytest
from PIL import Image as Picture

import lightm_unet
from browser import COLOURED, VIEW, needs_chromium, needs_page, png_file

pytestmark = [needs_chromium, needs_page, pytest.mark.slow]

ALIKE = 0.9995


def predicted(model, paths, folder):
    """`predict`'s masks by the image's name."""
    results = lightm_unet.predict(model.path, paths, folder)
    return {result.input.name: np.asarray(Picture.open(result.output)) for result in results}


def shares_alike(page, paths, expected):
    page.open(paths)
    shares = {}
    for path in paths:
        page.show(path.name)
        shares[path.name] = float((page.labels() == expected[path.name]).mean())
    return shares


def test_labels_are_those_of_predict(page, lungs, xray_phantoms, tmp_path):
    paths = sorted((xray_phantoms / "imagesTr").glob("*.png"))[:3]
    shares = shares_alike(page, paths, predicted(lungs, paths, tmp_path))
    assert min(shares.values()) >= ALIKE, shares
    assert page.errors == []


@pytest.mark.slow
def test_twenty_xrays_get_the_labels_that_predict_gives(page, lungs, shared_data, tmp_path):
    paths = sorted((shared_data / "montgomery_shenzhen" / "CXR_png").glob("*.png"))[:20]
    assert len(paths) == 20
    shares = shares_alike(page, paths, predicted(lungs, paths, tmp_path))
    assert min(shares.values()) >= ALIKE, shares


def test_the_overlay_shows_where_the_labels_are(page, xray):
    page.open([xray])
    labels = page.labels()
    assert labels.any()
    assert not labels.all()
    name, png = page.download(VIEW)
    assert name == f"{xray.stem}_view.png"
    shown = np.asarray(Picture.open(io.BytesIO(png)).convert("RGB")).astype(int)
    orange = (shown[..., 0] - shown[..., 2] > 60).mean()  # (230, 159, 0) over grey
    page.page.get_by_label("Overlay").fill("0")
    page.page.wait_for_timeout(100)
    bare = np.asarray(Picture.open(io.BytesIO(page.download(VIEW)[1])).convert("RGB"))
    bare = bare.astype(int)
    assert orange > 0.05 > (bare[..., 0] - bare[..., 2] > 60).mean()


def test_a_coloured_mask_has_the_same_numbers_and_the_models_colours(page, xray):
    page.open([xray])
    coloured = Picture.open(io.BytesIO(page.download(COLOURED)[1]))
    np.testing.assert_array_equal(np.asarray(coloured), page.labels())
    assert coloured.getpalette()[3:6] == [230, 159, 0]


def test_masks_and_views_are_named_after_their_image(page, xray):
    page.open([xray])
    assert page.download("Mask, label numbers (PNG)")[0] == f"{xray.stem}_mask.png"
    assert page.download(COLOURED)[0] == f"{xray.stem}_coloured.png"


def test_sixteen_bits_are_used_whole(page, lungs, tmp_path):
    """Its high bytes alone are another image."""
    generator = np.random.default_rng(0)
    image = (generator.normal(500, 60, (64, 64)).clip(256, 767)).astype(np.uint16)
    path = tmp_path / "deep.png"
    Picture.fromarray(image).save(path)
    shares = shares_alike(page, [path], predicted(lungs, [path], tmp_path / "masks"))
    assert shares[path.name] >= ALIKE


def test_the_table_holds_every_case_and_goes_into_a_spreadsheet(page, xray_phantoms):
    paths = sorted((xray_phantoms / "imagesTr").glob("*.png"))[:3]
    page.open(paths)
    rows = page.page.locator(".cases tbody tr")
    assert rows.count() == 3
    assert "px (" in rows.first.inner_text()
    name, csv = page.download("Download table (CSV)")
    lines = csv.decode().splitlines()
    assert name == "measurements.csv"
    assert lines[0].startswith("case,state,lung (cm2),lung (pixels),lung (share of the image)")
    page.show(paths[0].name)
    labels = page.labels()
    assert lines[1].split(",")[:4] == [paths[0].name, "done", "", str(int(labels.sum()))] or (
        lines[1].split(",")[1] == "check"
    )


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_files_are_dropped_and_pasted(page, xray, kind):
    page.page.evaluate(
        """([bytes, name, kind]) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
            const event = kind === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
            document.body.dispatchEvent(event);
        }""",
        [list(xray.read_bytes()), xray.name, kind],
    )
    page.wait(1)
    assert page.labels().any()


def test_a_case_can_be_removed_and_the_page_is_as_at_first(page, xray):
    page.open([xray])
    page.page.get_by_role("button", name=f"Remove {xray.name}").click()
    page.page.locator(".welcome").wait_for()
    assert page.page.locator(".cases tbody tr").count() == 0


def test_an_image_unlike_the_training_images_gets_a_warning(page):
    image = np.zeros((90, 120), np.uint8)
    image[::7] = 255
    page.open([png_file("stripes.png", image)])
    assert "unlike the images that the model was trained on" in page.result()
