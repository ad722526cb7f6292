"""`doctor`."""

from __future__ import annotations


def doctor() -> None:
    """Show what this installation has, which kernels run, and why the others do not."""
    from lightm_unet.diagnosis import describe
    from lightm_unet.diagnosis import doctor as run

    print("\n".join(describe(run())))
