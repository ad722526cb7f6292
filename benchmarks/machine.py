"""The machine that a measurement was made on, in one line."""

from __future__ import annotations

from lightm_unet import doctor


def describe_machine() -> str:
    diagnosis = doctor()
    scan = next(b for b in diagnosis.backends if b.name == diagnosis.live_backend)
    return (
        f"{diagnosis.devices['cpu']}; {diagnosis.system}; torch {diagnosis.packages['torch']}; "
        f"scan: {scan.name}, {scan.detail}"
    )
