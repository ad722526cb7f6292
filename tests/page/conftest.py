"""One server of the page for each test process, and one browser for each file of tests."""

import pytest

from browser import CHROMIUM, chromium, visitor
from lightm_unet.deploy.local_server import serve_folder
from lightm_unet.deploy.page import BUILD, SITE, write_folder
from lightm_unet.models.model_folder import load_model


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not here")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def lungs():
    return load_model("lungs")


@pytest.fixture(scope="session")
def site(tmp_path_factory, lungs):
    """The folder that `export lungs --format web` writes."""
    if not (SITE / BUILD).is_file():
        pytest.skip("the browser page has not been built")
    folder = tmp_path_factory.mktemp("page") / "site"
    write_folder(lungs, folder)
    return folder


@pytest.fixture(scope="session")
def address(site):
    with serve_folder(site) as address:
        yield address


@pytest.fixture
def visit(browser):
    with visitor(browser) as visit:
        yield visit


@pytest.fixture
def fresh(visit, address):
    """The page of the model lungs in a new profile of the browser."""
    return visit(address)


@pytest.fixture(scope="module")
def _opened(browser, address):
    with visitor(browser) as visit:
        yield visit(address)


@pytest.fixture
def page(_opened):
    """The page of the model lungs without cases; the tests of a file share it, which saves time."""
    return _opened.clear()


@pytest.fixture(scope="session")
def xray(xray_phantoms):
    """An artificial X-ray, 48x48."""
    return min((xray_phantoms / "imagesTr").glob("*.png"))
