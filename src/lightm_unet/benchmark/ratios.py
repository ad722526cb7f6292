"""What a training step costs in inferences, and what more threads bring, from one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lightm_unet.benchmark.results import Result, series_name
from lightm_unet.reporting.formats import plural


@dataclass(frozen=True)
class Ratio:
    """One time over another, of the same network at the same size."""

    name: str
    """The network, and the settings that tell it from others."""
    size: tuple[int, ...]
    """Spatial size of the images."""
    of: str
    """Whose time is divided by whose."""
    value: float
    """The ratio of both medians: unlike `Result.ratio` not taken round by round, since both did not
    take turns."""

    def to_json(self) -> dict[str, Any]:
        """All of it, the size as the command line takes it."""
        return {**asdict(self), "size": "x".join(map(str, self.size))}


def ratios(results: Sequence[Result]) -> list[Ratio]:
    """Training step / inference, and one thread / several, wherever a run has both.

    Failed cases have none. With several numbers of threads, the smallest is compared with each.
    """
    measured = {result.case: result for result in results if not result.error}
    fewest = min((case.threads for case in measured), default=1)
    steps, speedups = [], []
    for case, result in measured.items():
        inference = measured.get(replace(case, job="forward"))
        if case.job == "train" and inference is not None:
            name = series_name(case, results, without=["job"])
            steps.append(_ratio(name, "training step / inference", result, inference))
        slower = measured.get(replace(case, threads=fewest))
        if case.threads > fewest and slower is not None:
            name = series_name(case, results, without=["threads"])
            of = f"{plural(fewest, 'thread')} / {plural(case.threads, 'thread')}"
            speedups.append(_ratio(name, of, slower, result))
    return steps + speedups


def _ratio(name: str, of: str, above: Result, below: Result) -> Ratio:
    value = above.latency.median / below.latency.median
    return Ratio(name, above.case.size, of, value)
