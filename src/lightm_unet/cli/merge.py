"""`merge`."""

from __future__ import annotations

from pathlib import Path


def merge(outputs: list[Path], /, *, output: Path, manifest: Path | None = None) -> int:
    """Join the ledgers of prediction folders into one table, and name what is missing.

    Args:
        outputs: Folders that predict has written masks to.
        output: The table, .csv or .parquet; with another ending, or none, both are written.
        manifest: The table of cases that predict was given, to find the cases that nobody did.
    """
    from lightm_unet.cli.terminal import complain
    from lightm_unet.inference import merge as merging

    merged = merging.merge(outputs, output, manifest)
    kinds = {
        "failed": merged.with_outcome(merging.FAILED),
        "set aside": merged.with_outcome(merging.SET_ASIDE),
        "unfinished": merged.with_outcome(merging.UNFINISHED),
        "without their mask": merged.with_outcome(merging.MASK_GONE),
        "missing": merged.with_outcome(merging.MISSING),
        "doubled": merged.doubled,
    }
    for what, names in kinds.items():
        if names:
            more = f" and {len(names) - 20} more" if len(names) > 20 else ""
            complain(f"{len(names)} {what}: {', '.join(names[:20])}{more}")
    done = len(merged.with_outcome(merging.DONE))
    written = " and ".join(map(str, merged.files))
    print(f"{done} of {len(merged.rows)} cases are done; table written to {written}")
    return 1 if any(kinds.values()) else 0
