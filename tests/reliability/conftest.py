"""Runs the marked functions, and writes the document from what they found."""

import pytest

from faults import DOCUMENT, all_faults, render


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Call a marked function and compare what it returns with what is expected."""
    fault = getattr(pyfuncitem.obj, "fault", None)
    if fault is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    found = pyfuncitem.obj(**arguments)
    pyfuncitem.config.stash.setdefault(FOUND, {})[fault] = found
    assert found == fault.expected, f"{fault.given}: found {found}; expected {fault.expected}"
    return True


FOUND = pytest.StashKey()


def pytest_configure(config):
    """Refuse to write what only a part of the tests found."""
    if config.getoption("--write-reliability") and config.getoption("numprocesses", None):
        raise pytest.UsageError("--write-reliability needs all tests in one process, without -n")


def pytest_sessionfinish(session):
    """Write docs/reliability.md if `--write-reliability` asks for it."""
    if session.config.getoption("--write-reliability"):
        found = session.config.stash.get(FOUND, {})
        DOCUMENT.write_text(render(all_faults(), lambda fault: found.get(fault, "not run")))
