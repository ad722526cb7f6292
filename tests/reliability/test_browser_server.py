"""The page of a server that is gone, refuses, or does not know the user."""

import numpy as np
import pytest

from browser import CHROMIUM, chromium, needs_chromium, needs_page, png_file, visitor
from faults import fault
from lightm_unet.deploy.serve.served_models import ServedModel
from lightm_unet.models.model_folder import load_model
from serving import running

pytestmark = [needs_page, needs_chromium]
SECTION = "The browser page with a server's network"
IMAGE = png_file("a.png", np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8))


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not here")
    with chromium() as browser:
        yield browser


def served(most=10**8):
    return ServedModel("lungs", load_model("lungs"), "0" * 64, 0, most)


def on_the_server(visit, server):
    """A visit with the server chosen."""
    made = visit(server.address)
    made.page.locator(".computer select").select_option(index=1)
    return made


@fault(
    SECTION,
    "an image that the server refuses, no token where it needs one, a server that is gone; and "
    "then the choice of this device",
    "Found 40x40x1 values; Found no token; Found no answer from the server; segmented on this "
    "device",
)
def test_a_server_that_does_not_do_it(browser):
    told = []
    with visitor(browser) as visit:
        with running(served(most=100)) as server:
            told.append(on_the_server(visit, server).problem(IMAGE))
        with running(served(), token="a token".replace(" ", "-") * 3) as server:
            made = on_the_server(visit, server)
            made.page.locator("input[type=file][multiple]").first.set_input_files([IMAGE])
            made.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
            made.wait(1)
            told.append(made.page.locator(".result .warn p").first.inner_text())
            made.page.context.close()
        with running(served()) as server:
            made = on_the_server(visit, server)
            # The page's own files are kept by then, also without the server.
            made.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
            made.open([IMAGE])
        told.append(
            made.problem(IMAGE).replace(server.address.removeprefix("http://"), "the server")
        )
        made.page.locator(".computer select").select_option(index=0)
        made.page.get_by_role("button", name="Try again").click()
        made.page.locator(".downloads").wait_for()
        last = "segmented on this device" if "on this device" in made.result() else made.result()
    return "; ".join([*(sentence.split(";")[0] for sentence in told), last])
