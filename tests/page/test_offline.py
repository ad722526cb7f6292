"""After the first visit the page needs no server; a new version replaces the old one whole."""

import shutil
from contextlib import suppress

import pytest

from browser import PATIENCE_MS, needs_chromium, needs_page
from lightm_unet.deploy.local_server import serve_folder
from lightm_unet.deploy.page import write_folder
from lightm_unet.models.model_folder import load_model

Error = pytest.importorskip("playwright.sync_api").Error

pytestmark = [needs_chromium, needs_page, pytest.mark.slow]

ACTIVE = "navigator.serviceWorker.ready.then(({ active }) => active.state)"


@pytest.fixture
def copied(site, tmp_path):
    return shutil.copytree(site, tmp_path / "site")


def kept_versions(page):
    return page.evaluate("caches.keys()")


def wait_until_kept(visit):
    visit.page.evaluate(ACTIVE)
    visit.page.wait_for_timeout(300)
    visit.page.locator(".welcome").wait_for()


def wait_for(page, holds):
    """Wait while the page loads itself anew, during which it cannot be asked."""
    for _ in range(PATIENCE_MS // 200):
        with suppress(Error):
            if holds():
                return
        page.wait_for_timeout(200)
    raise AssertionError("it does not come to hold")


def test_the_page_works_when_its_server_is_gone(visit, copied, xray):
    with serve_folder(copied) as address:
        made = visit(address)
        wait_until_kept(made)
    made.page.reload()  # the server is closed
    made.page.locator(".welcome").wait_for()
    made.open([xray])
    assert made.labels().any()


def test_a_server_without_the_two_headers_gets_threads_by_the_service_worker(
    visit, copied, monkeypatch
):
    from lightm_unet.deploy import local_server

    plain = local_server.SimpleHTTPRequestHandler.end_headers
    monkeypatch.setattr(local_server._Handler, "end_headers", plain)
    with serve_folder(copied) as address:
        made = visit(address)
        # It loads itself once more.
        wait_for(made.page, lambda: made.page.evaluate("crossOriginIsolated"))


def test_a_new_version_replaces_the_old_one_whole(visit, copied, lungs):
    with serve_folder(copied) as address:
        made = visit(address)
        wait_until_kept(made)
        (old,) = kept_versions(made.page)
        shutil.rmtree(copied)
        write_folder(lungs, copied)
        with (copied / "index.html").open("a") as index:
            index.write("<!-- new -->")
        worker = copied / "sw.js"
        worker.write_text(worker.read_text().replace('"version": "', '"version": "new-', 1))
        made.page.reload()  # the old version, whole, while the new one is fetched
        wait_for(made.page, lambda: old not in kept_versions(made.page))
        assert len(kept_versions(made.page)) == 1
        assert "<!-- new -->" in made.page.evaluate("fetch('index.html').then((a) => a.text())")


def test_two_models_of_one_server_do_not_mix(visit, site, tmp_path):
    """Each folder has its own service worker and its own store."""
    shutil.copytree(site, tmp_path / "root" / "lungs")
    write_folder(load_model("lungs"), tmp_path / "root" / "others")
    with serve_folder(tmp_path / "root") as address:
        made = visit(f"{address}lungs/")
        wait_until_kept(made)
        made.page.goto(f"{address}others/")
        wait_until_kept(made)
        names = kept_versions(made.page)
    assert sorted(name.split()[1] for name in names) == [f"{address}lungs/", f"{address}others/"]
