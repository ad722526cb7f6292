import dataclasses
from datetime import datetime, timezone

import pytest
from jinja2 import UndefinedError

from lightm_unet.reporting.page import render_page
from lightm_unet.reporting.provenance import Provenance, made_now

MADE = Provenance(
    datetime(2026, 1, 31, 12, 0, 5, tzinfo=timezone.utc), "1.2", "3.13.0", {"numpy": "2.0"}, "Linux"
)


def test_every_page_says_when_and_with_what_it_was_made_and_loads_nothing():
    page = render_page("reporting/page.html.jinja", made=MADE)
    words = " ".join(page.split())
    assert "2026-01-31 12:00 UTC" in words
    assert "Made with lightm-unet 1.2, Python 3.13.0, numpy 2.0 on Linux." in words
    assert "default-src 'none'" in page
    assert "script-src" not in page  # no script, none allowed
    assert "http:" not in page
    assert "https:" not in page


def test_text_is_escaped():
    made = dataclasses.replace(MADE, machine="<script>")
    assert "&lt;script&gt;" in render_page("reporting/page.html.jinja", made=made)


def test_a_name_that_the_template_lacks_is_an_error():
    with pytest.raises(UndefinedError):
        render_page("evaluation/report.html.jinja", made=MADE)


def test_the_facts_for_programs():
    assert MADE.to_json_dict() == {
        "created": "2026-01-31T12:00:05+00:00",
        "version": "1.2",
        "python": "3.13.0",
        "machine": "Linux",
        "numpy": "2.0",
    }
    assert made_now(["numpy"]).packages.keys() == {"numpy"}
