import logging
import os
import signal
import warnings

import pytest

from lightm_unet.training.lightning_setup import quiet_lightning, stops_like_python
from run_checks import assert_same_training


def act_at_epoch(epoch, act):
    return lambda line: act() if line.startswith(f"epoch {epoch}/") else None


def test_a_run_prints_nothing_and_warns_of_nothing(xray, train_tiny, tmp_path, capfd, monkeypatch):
    # On a machine with many cores Lightning has more to say.
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_tiny(xray, tmp_path / "run", epochs=1)
        train_tiny(xray, tmp_path / "run", resume=True)
    assert capfd.readouterr() == ("", "")


def test_lightning_s_own_settings_are_as_before_afterwards():
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    with quiet_lightning():
        assert all(logger.level == logging.ERROR for logger in loggers)
    levels, filters = [logger.level for logger in loggers], list(warnings.filters)
    with pytest.raises(RuntimeError), quiet_lightning():
        raise RuntimeError
    assert [logger.level for logger in loggers] == levels != [logging.ERROR] * 2
    assert list(warnings.filters) == filters


@pytest.fixture
def ctrl_c_interrupts():
    """Sees to it that Ctrl-C interrupts, which a shell takes from its background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_is_a_keyboard_interrupt_and_the_run_can_go_on(
    xray, finished, train_tiny, listen, tmp_path
):
    ctrl_c = act_at_epoch(3, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), listen(ctrl_c):
        train_tiny(xray, tmp_path / "run")
    # The next Ctrl-C works too.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = train_tiny(xray, tmp_path / "run", resume=True)
    assert_same_training(finished.folder, resumed.folder)


def test_being_terminated_is_no_success_and_the_run_can_go_on(xray, train_tiny, listen, tmp_path):
    terminate = act_at_epoch(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as caught, listen(terminate):
        train_tiny(xray, tmp_path / "run")
    assert caught.value.code == 128 + 15
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    said = []
    with listen(said.append):
        train_tiny(xray, tmp_path / "run", resume=True)
    assert said[-1].startswith("epoch 4/4")


def test_an_exit_that_is_meant_stays_one():
    with pytest.raises(SystemExit) as caught, stops_like_python():
        raise SystemExit(5)
    assert caught.value.code == 5
