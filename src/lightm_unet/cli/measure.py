"""`count` and `bench`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from lightm_unet.benchmark.settings import DEFAULT_NETWORKS, BenchSettings
from lightm_unet.cli.options import FLAG, NONE_GIVEN, choice, options
from lightm_unet.cli.train import FORMER
from lightm_unet.cli.values import whole_number
from lightm_unet.costs.settings import CountSettings
from lightm_unet.errors import UsageError

if TYPE_CHECKING:
    OfCount = Mapping[str, Any]
    OfBench = Mapping[str, Any]
else:
    OfCount = options(CountSettings)
    OfBench = options(
        BenchSettings,
        without=("what",),
        names={
            "sizes": "--size",
            "engines": "--engine",
            "devices": "--device",
            "allocators": "--allocator",
        },
    )


def count(
    networks: list[str] | None = None,
    /,
    *,
    paper: Annotated[bool, FLAG] = False,
    output: Path | None = None,
    classes: Annotated[str | None, FORMER] = None,
    settings: OfCount = NONE_GIVEN,
) -> None:
    """Count the parameters, multiply-adds and scan operations of networks, without running them.

    Args:
        networks: Names of networks, optionally with options, such as lightm-unet:width=16; by
                default all.
        paper: Show the paper's tables instead: as printed, as recounted, and the true costs.
        output: JSON file to write.
        classes: Former name of --out-channels.
    """
    from lightm_unet.costs.count import count_networks, count_paper
    from lightm_unet.costs.tables import print_counts, print_paper

    if classes is not None:
        settings = {"out_channels": whole_number("--classes", classes), **settings}
    if not paper:
        print_counts(count_networks(networks or (), output, **settings))
    elif networks or settings:
        raise UsageError("--paper accepts only --output: it uses the paper's networks and sizes")
    else:
        print_paper(count_paper(output))


def bench(
    networks: list[str] | None = None,
    /,
    *,
    what: Annotated[
        list[Literal["forward", "train", "scan", "limits"]] | None, choice("--what")
    ] = None,
    output: Path | None = None,
    settings: OfBench = NONE_GIVEN,
) -> int:
    """Measure latency, throughput and peak memory of networks, in turns.

    If options are given several times, every combination is measured. --what forward --what train
    also says how many inferences a training step takes, and several --threads what more of them
    bring. The share of the limit compares a network with the machine's multiply-add units.

    Args:
        networks: Names of networks, optionally with options, such as lightm-unet:width=16; by
                default lightm-unet and nnu-net. All others are compared with the first.
        what: What to time: forward is one inference, the default; train is one training step.
                These two may be given both. scan is the selective scan alone, with --size
                LENGTHxCHANNELS; limits is what this machine can do at most, without a network.
        output: New folder for bench.json, table.md, latency.png and latency.svg.
    """
    jobs = tuple(dict.fromkeys(what or BenchSettings.what))
    for alone, measure in (("scan", _bench_scan), ("limits", _bench_limits)):
        if alone not in jobs:
            continue
        if len(jobs) > 1:
            others = [job for job in jobs if job != alone]
            raise UsageError(
                f"--what {alone} is measured alone; leave out --what {' --what '.join(others)}"
            )
        if networks:
            raise UsageError(f"--what {alone} takes no networks; leave out {' '.join(networks)}")
        return measure(output, settings)
    from lightm_unet.benchmark.bench import bench as run
    from lightm_unet.benchmark.tables import print_report

    report = run(networks or DEFAULT_NETWORKS, output, what=jobs, **settings)
    print_report(report)
    return 1 if report.failed else 0


def _bench_scan(output: Path | None, settings: Mapping[str, Any]) -> int:
    from lightm_unet.benchmark.scan import bench_scan, show_rows

    same = {"sizes": "shapes", "rounds": "rounds"}
    single = {"threads": "threads", "devices": "device"}
    given = {same[name]: value for name, value in settings.items() if name in same}
    given |= {
        single[name]: value[0]
        for name, value in settings.items()
        if name in single and len(value) == 1
    }
    if len(given) < len(settings):
        raise UsageError(
            "--what scan accepts only --size, --rounds, --output, and one of --threads and --device"
        )
    print("\n".join(show_rows(bench_scan(output=output, **given))))
    return 0


def _bench_limits(output: Path | None, settings: Mapping[str, Any]) -> int:
    from lightm_unet.benchmark.limits import bench_limits
    from lightm_unet.benchmark.limits_table import print_limits

    if not settings.keys() <= {"threads", "rounds"}:
        raise UsageError("--what limits accepts only --threads, --rounds and --output")
    print_limits(bench_limits(output, **settings))
    return 0
