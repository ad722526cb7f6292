"""Under `lightm-unet serve` the page can let the server's network do the work."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch

import dicom_files as dicom
from browser import MASK, needs_chromium, needs_page, png_file
from lightm_unet.deploy.serve.served_models import ServedModel
from lightm_unet.imaging.image import read_image
from lightm_unet.models.model_folder import load_model, save_model
from serving import Gate, running
from strategies import oriented_affine

pytestmark = [needs_chromium, needs_page]

TOKEN = "a-token-of-the-test"
RNG = np.random.default_rng(0)
GREY = (RNG.random((60, 44)) * 4000).astype(np.uint16)
GRID = oriented_affine((0, 1, 2), (-1, -1, 1), (0.9, 1.1, 1.5))


def served(name, network=None):
    folder = load_model(name)
    return ServedModel(name, replace(folder, network=network or folder.network), "0" * 64, 0, 10**8)


@pytest.fixture(scope="module")
def server():
    with running(served("lungs")) as server:
        yield server


def choose(made, computer):
    made.page.locator(".computer select").select_option(label=computer)


def there(server):
    return f"on the server {server.address.removeprefix('http://')}"


def asked(server):
    """How many images the server was sent."""
    return sum(line.get("route") == "/v1/predict" for line in server.lines())


def test_the_servers_labels_are_those_of_the_device(visit, server, tmp_path, xray):
    made = visit(server.address)
    radiograph = dicom.radiograph(GREY, PixelSpacing=[0.4, 0.3])
    colour = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    kinds = [[xray], [dicom.save(radiograph, tmp_path / "a.dcm")], [png_file("photo.png", colour)]]
    before = asked(server)
    for files in kinds:
        found = []
        for computer in ("on this device", there(server)):
            choose(made, computer)
            made.open(files)
            if files is kinds[-1]:
                made.page.get_by_role("button", name="Convert to grey").click()
                made.page.locator(".downloads").wait_for()
            assert f"s {computer}" in made.result()
            found.append(made.labels(MASK))
        assert found[0].any()
        assert (found[0] == found[1]).mean() >= 0.9995
    assert asked(server) == before + 3
    assert made.errors == []


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """A server of the hippocampus model with other weights, which label any image."""
    shipped = load_model("hippocampus")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in shipped.network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    folder = tmp_path_factory.mktemp("model") / "changed"
    save_model(folder, shipped.network, shipped.preprocessing, shipped.label_names, ("MR",), {}, {})
    with running(ServedModel("changed", load_model(folder), "0" * 64, 0, 10**8)) as server:
        yield server


@pytest.mark.slow
def test_the_labels_of_a_series_are_those_of_the_device(visit, volumes, tmp_path, ct_phantoms):
    made = visit(volumes.address)
    array = read_image(min((ct_phantoms / "imagesTr").glob("*.nii.gz"))).array[0]
    volume = np.round(array).astype(np.int16)
    files = dicom.save_series(tmp_path / "s", volume, GRID, RNG.permutation(volume.shape[2]))
    found = []
    for number, computer in enumerate(("on this device", there(volumes))):
        choose(made, computer)
        chosen = made.page.locator("input[type=file][multiple]").first
        chosen.set_input_files([str(file) for file in files])
        made.wait(number + 1)
        assert f"s {computer}" in made.result()
        (tmp_path / "mask.nii.gz").write_bytes(made.download("Mask on the image's grid (NIfTI)")[1])
        found.append(np.asanyarray(nibabel.load(tmp_path / "mask.nii.gz").dataobj))
    assert found[0].any()
    assert (found[0] == found[1]).mean() >= 0.9995
    assert asked(volumes) == 1
    assert made.errors == []


def test_the_device_does_it_until_the_server_is_chosen_and_the_choice_is_kept(visit, server, xray):
    made = visit(server.address)
    before = asked(server)
    made.open([xray])
    assert "on this device" in made.result()
    assert asked(server) == before
    assert "Images stay on this device." in made.page.locator(".computer").inner_text()
    choose(made, there(server))
    assert "Images are sent to 127.0.0.1" in made.page.locator(".computer").inner_text()
    made.page.reload()
    made.page.locator(".welcome").wait_for()
    assert made.page.get_by_text("Nothing is uploaded").is_hidden()
    made.open([xray])
    assert there(server) in made.result()


def test_a_page_from_elsewhere_offers_no_server(page):
    assert page.page.locator(".computer").count() == 0


def test_a_token_is_asked_for_once_and_can_be_had_later(visit, xray):
    with running(served("lungs"), token=TOKEN) as server:
        made = visit(server.address)
        choose(made, there(server))
        made.page.locator("input[type=file][multiple]").first.set_input_files(str(xray))
        made.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        made.wait(1)
        assert "Found no token; expected the server's token" in made.result()
        made.page.get_by_role("button", name="Try again").click()
        made.page.get_by_label("Token", exact=True).fill("another token")
        made.page.keyboard.press("Enter")
        made.page.get_by_label("Token", exact=True).fill(TOKEN)
        made.page.get_by_role("button", name="Use it").click()
        made.page.locator(".downloads").wait_for()
        assert there(server) in made.result()
        made.open([xray])
        assert there(server) in made.result()
        assert TOKEN not in server.log.getvalue()
        made.page.context.close()


def test_cancelling_ends_the_servers_work(visit, xray):
    gate = Gate()
    with running(served("lungs", gate)) as server:
        made = visit(server.address)
        choose(made, there(server))
        made.page.locator("input[type=file][multiple]").first.set_input_files(str(xray))
        assert gate.begun.wait(20)
        made.page.get_by_role("button", name="Cancel").click()
        made.wait(1)
        assert "Cancelled" in made.result()
        gate.open.set()
        server.until(lambda: not server.files())
        made.page.context.close()


def test_what_the_server_says_is_said_by_the_page(visit, xray):
    with running(served("lungs"), upload_mb=1) as server:
        made = visit(server.address)
        choose(made, there(server))
        noise = RNG.integers(0, 2**16, (900, 800), dtype=np.uint16)
        told = made.problem(png_file("large.png", noise))
        assert told.startswith("Found a file of 1 MB; expected at most 1 MB")
        folder = server.service.models["lungs"]
        server.service.models["lungs"] = replace(folder, most_values=100)
        told = made.problem(png_file("small.png", noise[:48, :48]))
        assert told.startswith("Found 48x48x1 values; expected at most 100 together")
        made.page.context.close()


def test_a_server_that_is_gone_is_one_sentence_and_the_device_goes_on(visit, xray):
    with running(served("lungs")) as server:
        made = visit(server.address)
        made.open([xray])  # all of the page is there
        choose(made, there(server))
    told = made.problem(xray)
    assert told.startswith("Found no answer from 127.0.0.1")
    choose(made, "on this device")
    made.page.get_by_role("button", name="Try again").click()
    made.page.locator(".downloads").wait_for()
    assert "on this device" in made.result()
