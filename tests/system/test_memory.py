import mmap

from lightm_unet.system.memory import forget_peak, peak_bytes, resident_bytes


def test_the_peak_counts_what_was_freed_again_until_it_is_forgotten():
    forget_peak()
    before = resident_bytes()
    with mmap.mmap(-1, 40_000_000) as fresh:  # malloc may have as much at hand
        fresh.write(bytes(1) * 40_000_000)
    assert peak_bytes() - before > 35_000_000
