"""Nothing leaves the computer, and nothing is asked of other computers."""

import re

from browser import needs_chromium, needs_page
from lightm_unet.deploy.page import write_file

pytestmark = [needs_chromium, needs_page]


def test_no_request_goes_anywhere_but_to_the_pages_own_files(fresh, address, site, xray):
    fresh.open([xray])
    fresh.page.get_by_role("button", name="Model card").click()
    fresh.page.wait_for_timeout(500)
    own = {f"{address}{path.relative_to(site).as_posix()}" for path in site.rglob("*")}
    asked = {request for request in fresh.requests if not request.startswith(("blob:", "data:"))}
    assert asked <= own | {address}, sorted(asked - own)


def test_no_request_is_made_once_the_page_is_there(fresh, xray):
    fresh.open([xray])  # the viewer is loaded with the first image
    before = [each for each in fresh.requests if not each.startswith(("blob:", "data:"))]
    fresh.open([xray])
    fresh.download("Mask, label numbers (PNG)")
    after = [each for each in fresh.requests if not each.startswith(("blob:", "data:"))]
    assert after == before


def test_the_policy_names_no_other_host_and_allows_no_foreign_script(site, lungs, tmp_path):
    write_file(lungs, tmp_path / "lungs.html")
    for page in (site / "index.html", tmp_path / "lungs.html"):
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.read_text())[1]
        assert policy.startswith("default-src 'none'; ")
        assert not re.search(r"https?:|\*|'unsafe-eval'|script-src[^;]*'unsafe-inline'", policy)


def test_a_policy_of_the_page_stops_what_a_file_might_bring(fresh):
    refused = fresh.page.evaluate(
        """async () => {
            const refused = [];
            addEventListener("securitypolicyviolation", (e) => refused.push(e.effectiveDirective));
            await fetch("https://example.org/").catch(() => undefined);
            document.body.append(Object.assign(new Image(), { src: "https://example.org/a.png" }));
            const script = document.createElement("script");
            script.textContent = "window.isOpen = true";
            document.body.append(script);
            await new Promise((resolve) => setTimeout(resolve, 200));
            return [refused.sort(), window.isOpen ?? false];
        }"""
    )
    assert refused == [["connect-src", "img-src", "script-src-elem"], False]


def test_a_file_name_is_shown_as_text(page, xray):
    name = '<img src=x onerror="document.title=1">../../etc/passwd.png'
    page.open([{"name": name, "mimeType": "image/png", "buffer": xray.read_bytes()}])
    assert page.page.locator(".cases img").count() == 0
    assert "lungs" in page.page.title()
    saved = page.download("Mask, label numbers (PNG)")[0]
    assert "/" not in saved
    assert ".." not in saved.removesuffix(".png").strip("._")
