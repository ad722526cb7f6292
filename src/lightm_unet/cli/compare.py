"""`compare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightm_unet.cli import train
from lightm_unet.cli.options import NONE_GIVEN, options
from lightm_unet.cli.terminal import complain, progress_bars
from lightm_unet.comparison.settings import OF_A_RUN, ComparisonSettings
from lightm_unet.training.settings import TrainingSettings

if TYPE_CHECKING:
    Request = Mapping[str, Any]
    Settings = Mapping[str, Any]
else:
    Request = options(ComparisonSettings, names={"networks": ("--networks", "--network")})
    Settings = options(TrainingSettings, without=OF_A_RUN, names=train.NAMES, groups=train.GROUPS)


def compare(
    dataset: Path,
    /,
    *,
    output: Path,
    request: Request = NONE_GIVEN,
    settings: Settings = NONE_GIVEN,
) -> int:
    """Train networks on the same cases, test them, and compare the results.

    To continue a comparison that was stopped, repeat the command.

    Args:
        dataset: Data set in nnU-Net's raw layout.
        output: Folder for the comparison: new, empty, or that of a comparison to continue.
    """
    from lightm_unet.comparison.compare import compare as run
    from lightm_unet.comparison.exports import print_table

    with progress_bars() as progress:
        done = run(dataset, output, progress=progress, **request, **settings)
    print_table(done.plan, done.rows)
    print(f"report: {done.folder / 'report.html'}")
    for result in done.failed:
        complain(f"{result.run}: {result.status}: {result.error}")
    return 1 if done.failed else 0
