"""Everyone can use the page: on a phone, by keyboard, with a screen reader, in the dark."""

from pathlib import Path

import pytest

from browser import SETTLED, needs_chromium, needs_page

pytestmark = [needs_chromium, needs_page, pytest.mark.slow]

AXE = Path(__file__).parents[2] / "page" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DARK = {"color_scheme": "dark"}
NOTICE = "Not a medical device"

needs_axe = pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm ci in page/")


def serious_faults(page):
    """What axe-core finds, at the two upper of its four levels."""
    page.evaluate(AXE.read_text() + "; undefined")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {fault['nodes'][0]['html']}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


@needs_axe
@pytest.mark.parametrize("options", [{}, DARK, PHONE], ids=["light", "dark", "phone"])
def test_a_screen_reader_finds_its_way(visit, address, xray, options):
    """Before an image, with its result, with a refused file, and in the model's card."""
    # axe-core is put into the page from outside, which the page's own policy forbids.
    made = visit(address, bypass_csp=True, **options)
    assert serious_faults(made.page) == []
    made.open([xray])
    assert serious_faults(made.page) == []
    made.problem({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
    assert serious_faults(made.page) == []
    made.page.get_by_role("button", name="Model card").click()
    assert serious_faults(made.page) == []


def test_a_phone_shows_everything_without_scrolling_sideways(visit, address, xray):
    made = visit(address, **PHONE)
    page = made.page

    def width():
        return page.evaluate("document.documentElement.scrollWidth")

    assert width() == 390
    assert page.get_by_role("button", name="Take a photograph").is_visible()
    made.open([xray])
    assert width() == 390
    for name in ("Zoom in", "Mask, label numbers (PNG)", "Download table (CSV)"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["height"] >= 40  # large enough for a finger
    page.get_by_role("button", name="Model card").click()
    assert page.get_by_role("dialog").bounding_box()["width"] <= 390


def test_it_is_always_said_that_this_is_no_medical_device(fresh, xray):
    page = fresh

    def said():
        shown = page.page.get_by_text(NOTICE).all()
        return any(each.is_visible() and in_sight(each) for each in shown)

    def in_sight(element):
        return element.evaluate(
            """element => {
                const { left, top } = element.getBoundingClientRect();
                const seen = document.elementFromPoint(left + 5, top + 5);
                return seen === element || element.contains(seen);
            }"""
        )

    assert said()
    page.open([xray] * 12)
    page.page.mouse.wheel(0, 5000)
    assert said()
    page.page.get_by_role("button", name="Model card").click()
    assert said()


def test_everything_works_by_keyboard(fresh, xray):
    page = fresh
    keyboard = page.page.keyboard
    choosers = []
    page.page.on("filechooser", lambda chooser: choosers.append(chooser))

    def focus(role, name):
        """Press Tab until the focus is there, as someone without a mouse does."""
        for _ in range(60):
            keyboard.press("Tab")
            there = page.page.evaluate(
                "document.activeElement === document.body ? '' : "
                "document.activeElement.ariaLabel ?? document.activeElement.innerText ?? ''"
            )
            if name in there:
                return
        raise AssertionError(f"Tab does not reach the {role} {name}")

    focus("button", "Choose files")
    keyboard.press("Enter")
    page.page.wait_for_timeout(500)
    choosers[0].set_files([str(xray), str(xray)])
    page.page.locator(SETTLED).nth(1).wait_for()
    page.page.evaluate("document.activeElement.blur()")

    focus("group", f"{xray.name}, with lung")
    picture = page.page.locator(".picture canvas")
    before = picture.screenshot()
    for key in ("+", "ArrowLeft", "ArrowUp"):
        keyboard.press(key)
        page.page.wait_for_timeout(100)
        after = picture.screenshot()
        assert after != before, key
        before = after

    focus("button", "Mask, label numbers")
    with page.page.expect_download() as download:
        keyboard.press("Enter")
    assert download.value.suggested_filename == f"{xray.stem}_mask.png"

    focus("button", f"Show {xray.name}")
    focus("button", f"Show {xray.name}")
    keyboard.press("Enter")
    page.page.locator(".cases tr.shown").nth(0).wait_for()

    focus("button", f"Remove {xray.name}")
    keyboard.press("Enter")
    assert page.page.locator(".cases tbody tr").count() == 1
    assert page.page.locator(".cases :focus").count() == 1  # not lost with the row

    focus("button", "Model card")
    keyboard.press("Enter")
    page.page.get_by_role("dialog").wait_for()
    keyboard.press("Escape")
    page.page.get_by_role("dialog").wait_for(state="hidden")


def test_what_happens_is_told_to_screen_readers(page, xray):
    page.open([xray])
    told = page.page.get_by_role("status").inner_text()
    assert told.startswith(f"{xray.name}: ")
    name = page.page.locator(".picture").get_attribute("aria-label")
    assert name == f"{xray.name}, with lung drawn over it"


def test_two_files_of_one_name_are_two_cases_with_downloads_of_their_own(page, xray):
    page.open([xray, xray])
    page.open([xray])
    stem = xray.stem
    saved = []
    for name in (f"{stem}.png", f"{stem} (2).png", f"{stem} (3).png"):
        page.show(name)
        saved.append(page.download("Mask, label numbers (PNG)")[0])
    assert saved == [f"{stem}_mask.png", f"{stem} (2)_mask.png", f"{stem} (3)_mask.png"]


def test_the_state_of_a_case_is_in_sight_on_a_phone(visit, address, xray):
    made = visit(address, viewport={"width": 390, "height": 844}, is_mobile=True)
    made.open([xray])
    for cell in made.page.locator(".cases tbody tr td").all():
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= 390


def test_the_card_is_one_tap_away(page):
    page.page.get_by_role("button", name="Model card").click()
    dialog = page.page.get_by_role("dialog")
    assert "It is no medical device" in dialog.inner_text()
    assert dialog.locator("table").count() >= 3
