"""Inputs and browsers that the page has to live with."""

import io
import struct
import zlib

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from browser import chromium, needs_chromium, needs_page, png_file, visitor
from faults import fault
from lightm_unet.deploy.local_server import serve_folder
from lightm_unet.deploy.page import write_folder
from lightm_unet.models.model_folder import load_model

pytestmark = [needs_chromium, needs_page, pytest.mark.slow]
SECTION = "The page in the browser"
GREY = np.arange(64 * 80, dtype=np.uint8).reshape(64, 80)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "site"
    write_folder(load_model("lungs"), folder)
    with serve_folder(folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser):
    with visitor(browser) as visit:
        yield visit


@pytest.fixture(scope="module")
def opened(browser, address):
    with visitor(browser) as visit:
        yield visit(address)


@pytest.fixture
def page(opened):
    return opened.clear()


def file(name, content, kind="application/octet-stream"):
    return {"name": name, "mimeType": kind, "buffer": content}


def goes_on(page):
    """Whether the next image is segmented."""
    page.open([png_file("next.png", GREY)])
    page.show("next.png")
    return "the page goes on" if page.labels().shape == GREY.shape else "the page is dead"


def nifti():
    """A small volume."""
    volume = np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10)
    return nibabel.Nifti1Image(volume, np.eye(4)).to_bytes()


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


@fault(
    SECTION,
    "a text file",
    "Found no known kind of image; expected a PNG, JPEG, WebP, DICOM or NIfTI file; choose another "
    "file, or export this one again.; the page goes on",
)
def test_a_text_file(page):
    return f"{page.problem(file('notes.txt', b'hello'))}; {goes_on(page)}"


@fault(
    SECTION,
    "an empty file",
    "Found an empty file; expected a whole one; copy or export the file again.; the page goes on",
)
def test_an_empty_file(page):
    return f"{page.problem(file('chest.png', b''))}; {goes_on(page)}"


@fault(
    SECTION,
    "a PNG of 200 megapixels, of which there is a header only",
    "Found a picture of 20000x10000 pixels; expected at most 150 million values; cut it into parts "
    "or scale it down.; the page goes on",
)
def test_a_png_of_200_megapixels(page):
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    return f"{page.problem(file('huge.png', content))}; {goes_on(page)}"


@fault(
    SECTION,
    "a PNG file of 2 GB",
    "Found a larger picture file; expected at most 1 GB; cut it into parts or scale it down.; "
    "the page goes on",
)
def test_a_file_of_two_gigabytes(page, tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as sparse:
        sparse.write(png_file("a.png", GREY)["buffer"])
        sparse.truncate(2_000_000_000)
    return f"{page.problem(path)}; {goes_on(page)}"


@fault(
    SECTION,
    "a volume, as NIfTI, given to a model of flat images",
    "Found a volume of many slices, such as CT or MR; expected a single flat image, such as an "
    "X-ray, which this model is for; open a single image, or a model of volumes.; the page goes on",
)
def test_a_volume_for_a_flat_model(page):
    return f"{page.problem(file('volume.nii', nifti()))}; {goes_on(page)}"


@fault(
    SECTION,
    "NIfTI and DICOM whose second half is missing",
    "both refused in a sentence; the page goes on",
)
def test_cut_medical_files(page):
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    whole = {"volume.nii": nifti(), "slice.dcm": buffer.getvalue()}
    told = [
        page.problem(file(name, content[: len(content) // 2])) for name, content in whole.items()
    ]
    refused = all(sentence.startswith("Found ") and sentence.endswith(".") for sentence in told)
    return f"{'both refused in a sentence' if refused else told}; {goes_on(page)}"


@fault(
    SECTION,
    "a PNG of 72 bytes whose pixel data unpack to 100 MB",
    "Found a broken picture (the pixel data are not as large as the header says); expected a whole "
    "one; copy or export the file again.; the page goes on",
)
def test_a_png_that_unpacks_to_more_than_it_says(page):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(10**8)))
    content = b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
    return f"{page.problem(file('bomb.png', content))}; {goes_on(page)}"


@fault(
    SECTION,
    "a PNG whose second half is missing, and one with a flipped bit",
    "the file is cut short; the checksum of its chunk IDAT is wrong; the page goes on",
)
def test_damaged_pngs(page):
    whole = png_file("a.png", GREY)["buffer"]
    half = whole[: len(whole) // 2]
    flipped = whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]
    reasons = [
        page.problem(file(name, content)).split("(")[1].split(")")[0]
        for name, content in {"half.png": half, "flipped.png": flipped}.items()
    ]
    return "; ".join([*reasons, goes_on(page)])


@fault(
    SECTION,
    "a photograph in colour",
    "Found a colour picture, 3 channels that differ; expected 1 channel; convert it to grey, for "
    "example by saving it as greyscale in an image editor.; made grey at a click, with a remark",
)
def test_a_photograph_in_colour(page):
    colour = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)
    problem = page.problem(png_file("photo.png", colour))
    page.page.get_by_role("button", name="Convert to grey and segment").click()
    page.page.get_by_text("made grey at your request").wait_for()
    return f"{problem}; made grey at a click, with a remark"


@fault(
    SECTION,
    "an image unlike those that the model was trained on",
    "Check this result with care. The image is unlike the images that the model was trained on",
)
def test_an_unlike_image(page):
    image = np.zeros((90, 120), np.uint8)
    image[::7] = 255
    page.open([png_file("stripes.png", image)])
    warning = page.page.locator(".result .warn")
    return " ".join(warning.inner_text().split(": it differs")[0].split())


@fault(
    SECTION,
    "a picture of one pixel, and one that is black throughout",
    "segmented at their own sizes; segmented at their own sizes",
)
def test_pictures_without_content(page):
    told = []
    for name, array in {"one.png": GREY[:1, :1], "black.png": GREY * 0}.items():
        page.open([png_file(name, array)])
        page.show(name)
        alike = page.labels().shape == array.shape
        told.append("segmented at their own sizes" if alike else "another size")
    return "; ".join(told)


@fault(
    SECTION,
    "a file name with a path, markup and signs that mean something to a spreadsheet",
    "shown as text; saved without its path; no formula in the table",
)
def test_a_dangerous_file_name(page):
    name = '=cmd("x")<img src=x onerror=alert(1)>.png'
    content = png_file("a.png", GREY)["buffer"]
    page.open([file(name, content)])
    shown = page.page.locator(".cases img").count() == 0
    saved = page.download("Mask, label numbers (PNG)")[0]
    csv = page.download("Download table (CSV)")[1].decode().splitlines()[1]
    return "; ".join(
        [
            "shown as text" if shown else "became a part of the page",
            "saved without its path" if "/" not in saved else saved,
            "no formula in the table" if csv.startswith("\"'=") else csv,
        ]
    )


@fault(SECTION, "a PNG that is called a JPEG and comes as text", "read by its content")
def test_a_wrong_ending(page):
    page.open([file("chest.jpg", png_file("a.png", GREY)["buffer"], "text/plain")])
    return "read by its content" if page.labels().shape == GREY.shape else page.result()


@fault(SECTION, "twelve files at once, one of them broken", "11 done, 1 named with its reason")
def test_many_files_one_of_them_broken(page):
    files = [png_file(f"{number}.png", GREY) for number in range(11)]
    page.open([*files[:5], file("broken.png", b"\x89PNG\r\n\x1a\n"), *files[5:]])
    states = page.page.locator(".cases .state").all_inner_texts()
    named = states.count("not used")
    return f"{len(states) - named} done, {named} named with its reason"


WITHOUT_SIMD = "WebAssembly.validate = () => false;"


@fault(
    SECTION,
    "a browser without SIMD in WebAssembly",
    "This browser cannot run the network: it lacks WebAssembly with SIMD. Safari 16.4, Chrome 91, "
    "Firefox 89 and later versions have it.",
)
def test_a_browser_without_simd(browser, address):
    context = browser.new_context()
    context.add_init_script(WITHOUT_SIMD)
    page = context.new_page()
    page.goto(address)
    page.get_by_role("status").filter(has_text="cannot").wait_for()
    told = page.locator("main").inner_text()
    context.close()
    return told


@fault(SECTION, "a browser without threads", "segmented on 1 thread")
def test_a_browser_without_threads(visit, address, monkeypatch):
    from lightm_unet.deploy import local_server

    plain = local_server.SimpleHTTPRequestHandler.end_headers
    monkeypatch.setattr(local_server._Handler, "end_headers", plain)
    made = visit(address, service_workers="block")
    made.open([png_file("a.png", GREY)])
    return "segmented on 1 thread" if "1 thread" in made.result() else made.result()


NO_MEMORY = """
const Memory = WebAssembly.Memory;
WebAssembly.Memory = class { constructor() { throw new RangeError("no memory"); } };
"""


@fault(SECTION, "a browser that gives no memory", "a sentence about memory; the page goes on")
def test_a_browser_that_gives_no_memory(browser, address):
    context = browser.new_context()
    context.add_init_script(NO_MEMORY)
    with_errors = context.new_page()
    with_errors.goto(address)
    with_errors.locator(".welcome").wait_for()
    with_errors.locator("input[type=file][multiple]").first.set_input_files(
        [png_file("a.png", GREY)]
    )
    told = with_errors.locator(".result .warn p").first.inner_text()
    alive = with_errors.get_by_role("button", name="Open more").is_enabled()
    context.close()
    about = "a sentence about memory" if "memory" in told else told
    return f"{about}; {'the page goes on' if alive else 'the page is dead'}"


CANCEL_DURING_THE_RUN = """() => {
  const progress = document.querySelector(".progress");
  const observer = new MutationObserver(() => {
    if (progress.hidden || !progress.querySelector("progress").hasAttribute("value")) return;
    observer.disconnect();
    progress.querySelector("button").click();
  });
  observer.observe(progress, { attributes: true, subtree: true });
}"""
"""Presses Cancel as soon as a first part is done: a press from outside may come too late."""


@fault(SECTION, "Cancel while an image is segmented", "cancelled; the page goes on")
def test_cancel(page):
    page.page.evaluate(CANCEL_DURING_THE_RUN)
    page.open([png_file("large.png", np.tile(GREY, (30, 24)))])
    (told,) = page.page.locator(".cases .state").all_inner_texts()
    return f"{told}; {goes_on(page)}"
