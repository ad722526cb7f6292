"""docs/reliability.md lists the faults that the tests beside this file try."""

import pytest

from faults import DOCUMENT, all_faults, render


def test_the_document_lists_every_fault_with_what_is_found(request):
    """Each test asserts that it finds what it expects, so that the document can be compared."""
    if request.config.getoption("--write-reliability"):
        pytest.skip("the document is written after the tests")
    assert DOCUMENT.read_text() == render(all_faults(), lambda fault: fault.expected), (
        "run `make reliability`"
    )


def test_no_fault_is_listed_twice():
    given = [(fault.section, fault.given) for fault in all_faults()]
    assert len(given) == len(set(given))
