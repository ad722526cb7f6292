"""`doctor`."""

from __future__ import annotations


def doctor() -> None:
    """Show the installed packages, the kernels that can run, and why others cannot."""
    from lightm_unet.diagnosis import describe
    from lightm_unet.diagnosis import doctor as run

    print("\n".join(describe(run())))
