"""Volumes in Chromium: planes, rendering, colours, memory, and no request to anywhere."""

import io
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image as Picture

import browser_page
from browser import needs_chromium
from lightm_unet.imaging.nifti import write_nifti

pytestmark = [browser_page.needs_node, needs_chromium]

SHAPE = (40, 50, 30)
AFFINE = np.diag([1.0, 1.0, 1.5, 1.0])
RED, BLUE = (255, 120, 90), (90, 170, 255)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page of tests/support/volume_page.ts, with a volume and its labels."""
    folder = tmp_path_factory.mktemp("volumes")
    browser_page.node("volume_page.mjs", folder)
    i, j, k = np.indices(SHAPE)
    image = (i + j + k).astype(np.float32)
    labels = np.zeros(SHAPE, np.uint8)
    labels[8:20, 10:40, 8:22], labels[20:32, 10:40, 8:22] = 1, 2
    write_nifti(image, AFFINE, folder / "image.nii.gz")
    write_nifti(labels, AFFINE, folder / "labels.nii.gz")
    return folder


@pytest.fixture(scope="module")
def address(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def opened(browser, address):
    """The page, and what it asked for and complained of."""
    context = browser.new_context(viewport={"width": 900, "height": 700})
    page = context.new_page()
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    yield page, f"{address}/index.html"
    context.close()


def start(opened):
    page, address = opened
    page.goto(address)
    page.wait_for_function("window.viewing")
    return page


def show(page, labels=True):
    names = ["image.nii.gz", *(["labels.nii.gz"] if labels else [])]
    page.evaluate("names => viewing.show(...names)", names)


def snapshot(page):
    """The view that the page saves, `(height, width, 3)`."""
    data = bytes(page.evaluate("viewing.snapshot()"))
    return np.asarray(Picture.open(io.BytesIO(data)).convert("RGB"), dtype=np.int16)


def tinted(picture):
    """Pixels of the view, without its legend, that are rather red, and rather blue."""
    view = picture[:-66]
    red, green, blue = view[..., 0], view[..., 1], view[..., 2]
    reddish = (red > green + 40) & (red > blue + 40)
    bluish = (blue > red + 40) & (blue > green + 20)
    return int(reddish.sum()), int(bluish.sum())


def test_both_labels_are_seen_in_their_colours_under_the_page_s_policy(opened, address):
    page = start(opened)
    show(page)
    picture = snapshot(page)
    assert all(count > 3000 for count in tinted(picture))
    for colour in (RED, BLUE):  # in the legend, as they are
        assert (np.abs(picture[-66:] - colour).max(axis=-1) < 3).sum() > 50
    assert [error for error in page.errors if "404" not in error] == []  # no icon
    assert all(url.startswith((address, "data:", "blob:")) for url in page.asked)


def test_the_overlay_follows_its_slider(opened):
    page = start(opened)
    show(page)
    page.evaluate("viewing.setOpacity(0)")
    assert tinted(snapshot(page)) == (0, 0)
    page.evaluate("viewing.setOpacity(1)")
    assert all(count > 3000 for count in tinted(snapshot(page)))
    page.evaluate("viewing.setOpacity(0)")
    show(page)  # the next case
    assert tinted(snapshot(page)) == (0, 0)


def test_a_volume_whose_axes_are_turned_is_looked_at_in_the_same_place(opened, folder):
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:12, 34:44, 3:9] = 1  # in a corner: planes beside it show nothing of it
    image = np.indices(SHAPE).sum(axis=0).astype(np.float32)
    to_turned = np.zeros((4, 4))  # from the turned voxels, (nk - 1 - k, i, j), to the plain ones
    to_turned[2, 0], to_turned[0, 1], to_turned[1, 2], to_turned[3, 3] = -1, 1, 1, 1
    to_turned[2, 3] = SHAPE[2] - 1
    pictures = []
    page = start(opened)
    for name, turn, affine in (
        ("plain", lambda array: array, AFFINE),
        ("turned", lambda array: array[..., ::-1].transpose(2, 0, 1), AFFINE @ to_turned),
    ):
        write_nifti(turn(image).copy(), affine, folder / f"{name}.nii.gz")
        write_nifti(turn(labels).copy(), affine, folder / f"{name}_labels.nii.gz")
        page.evaluate(
            "names => viewing.show(...names)", [f"{name}.nii.gz", f"{name}_labels.nii.gz"]
        )
        pictures.append(tinted(snapshot(page))[0])
    assert pictures[0] > 1000
    assert abs(pictures[1] - pictures[0]) < 0.1 * pictures[0], pictures


def test_an_image_alone_has_no_colours(opened):
    page = start(opened)
    show(page)
    show(page, labels=False)
    assert tinted(snapshot(page)) == (0, 0)


def test_keys_move_the_crosshair_and_views_change(opened):
    page = start(opened)
    show(page)
    before = snapshot(page)
    page.locator("canvas").focus()
    for key in ("ArrowLeft", "ArrowUp", "PageUp"):
        for _ in range(3):
            page.keyboard.press(key)
        moved = snapshot(page)
        assert np.abs(moved - before).max() > 20, key
        before = moved
    for view in ("Axial", "Coronal", "Sagittal", "3D"):
        page.get_by_label("Planes").select_option(view)
        seen = snapshot(page)
        assert np.abs(seen - before).max() > 20, view
        before = seen


def test_memory_of_earlier_cases_comes_back(opened):
    page = start(opened)
    session = page.context.new_cdp_session(page)

    def held():
        session.send("HeapProfiler.collectGarbage")
        usage = session.send("Runtime.getHeapUsage")
        return usage["usedSize"] + usage.get("backingStorageSize", 0)

    show(page)
    show(page)
    once = held()
    for _ in range(8):
        show(page)
    # A volume is 60,000 voxels, 240 kB; eight of them and their copies would be 4 MB.
    assert held() < once + 1_000_000


def test_nothing_is_left_of_it_in_the_end(opened):
    page = start(opened)
    show(page)
    page.evaluate("window.context = document.querySelector('canvas').getContext('webgl2')")
    page.evaluate("viewing.dispose()")
    assert page.evaluate("window.context.isContextLost()")
    assert page.locator("canvas").count() == 0


def test_a_browser_without_graphics_says_so(opened):
    page, _ = opened
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind === 'webgl2' ? null : get.call(this, kind, ...rest); };"
    )
    start(opened)
    show(page)
    assert "This browser draws no volumes" in page.locator(".no-view").inner_text()
    page.evaluate("viewing.setOpacity(0.5)")
    page.evaluate("viewing.dispose()")
