import logging

from lightm_unet.system.logs import log_prefix


def test_lines_begin_with_the_prefix_within_the_block_only(caplog):
    log = logging.getLogger("lightm_unet.example")
    with caplog.at_level(logging.INFO):
        with log_prefix(log, "100 %: "):
            log.info("epoch %d", 1)
        log.info("epoch %d", 2)
    assert caplog.messages == ["100 %: epoch 1", "epoch 2"]
