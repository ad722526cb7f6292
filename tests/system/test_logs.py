import logging

from lightm_unet.system.logs import forget_remarks, log_once, log_prefix


def test_lines_begin_with_the_prefix_within_the_block_only(caplog):
    log = logging.getLogger("lightm_unet.example")
    with caplog.at_level(logging.INFO):
        with log_prefix(log, "100 %: "):
            log.info("epoch %d", 1)
        log.info("epoch %d", 2)
    assert caplog.messages == ["100 %: epoch 1", "epoch 2"]


def test_a_remark_is_logged_once_until_it_is_forgotten(listen):
    lines, logger = [], logging.getLogger("lightm_unet.test")
    forget_remarks()
    with listen(lines.append):
        for line in ("first 100%", "second"):
            log_once(logger, "remark", line)
        log_once(logger, "another", "third")
        forget_remarks()
        log_once(logger, "remark", "fourth")
    assert lines == ["first 100%", "third", "fourth"]
