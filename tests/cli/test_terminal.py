import logging

import pytest

from lightm_unet.cli.terminal import complain, print_log, progress_bars


def test_what_the_package_logs_is_printed_on_standard_error_as_it_is(capsys):
    log = logging.getLogger("lightm_unet.example")
    with print_log():
        log.info("epoch 1/2  [bold]loss %d", 3)
        log.warning("left out: %s", "a" * 300)
        log.debug("unseen")
    log.info("after")
    assert capsys.readouterr() == ("", f"epoch 1/2  [bold]loss 3\nleft out: {'a' * 300}\n")


def test_the_loggers_are_as_before_afterwards():
    logger = logging.getLogger("lightm_unet")
    before = logger.level, list(logger.handlers)
    with pytest.raises(RuntimeError), print_log():
        raise RuntimeError
    assert (logger.level, logger.handlers) == before


def test_a_complaint_takes_one_line(capsys):
    complain("two\n  lines")
    assert capsys.readouterr() == ("", "two lines\n")


def test_without_a_terminal_nobody_asks_for_progress():
    with progress_bars() as progress:
        assert progress is None
