"""The command line: one thin verb per job, each a Python function first.

Exit codes: 0 done; 1 some cases failed, each named; 2 wrong usage; 3 bad data; 4 a needed part is
missing. A user's mistake is one line on standard error, never a traceback.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lightm_unet.errors import LightMUNetError, UsageError
from lightm_unet.field_docs import field_docs
from lightm_unet.reporting.progress_bar import progress_bar
from lightm_unet.training.settings import TrainingSettings

app = typer.Typer(
    help="Segment medical images with a light network: train, predict, evaluate.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_TRAIN = field_docs(TrainingSettings)

# Settings of a training run that `train` and `compare` share.
Recipe = Annotated[str | None, typer.Option(help=_TRAIN.get("recipe"))]
Epochs = Annotated[int | None, typer.Option(help=_TRAIN.get("epochs"))]
BatchSize = Annotated[int | None, typer.Option(help=_TRAIN.get("batch_size"))]
LearningRate = Annotated[float | None, typer.Option(help=_TRAIN.get("learning_rate"))]
Size = Annotated[str | None, typer.Option(help=_TRAIN.get("size"))]
Patch = Annotated[str | None, typer.Option(help=_TRAIN.get("patch"))]
Spacing = Annotated[str | None, typer.Option(help=_TRAIN.get("spacing_mm"))]
Normalization = Annotated[str | None, typer.Option(help=_TRAIN.get("normalization"))]
Augmentation = Annotated[str | None, typer.Option(help=_TRAIN.get("augmentation"))]
SamplesPerCase = Annotated[int | None, typer.Option(help=_TRAIN.get("samples_per_case"))]
Device = Annotated[str | None, typer.Option(help=_TRAIN.get("device"))]
Precision = Annotated[str | None, typer.Option(help=_TRAIN.get("precision"))]
Workers = Annotated[int | None, typer.Option(help=_TRAIN.get("workers"))]


_errors = Console(stderr=True)


class _Lines(logging.Handler):
    """Prints what is logged, above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        _errors.out(record.getMessage(), highlight=False)


def main() -> None:
    """Run the command line; the process ends with one of the exit codes above, or 130 by Ctrl-C."""
    logger = logging.getLogger("lightm_unet")
    logger.setLevel(logging.INFO)
    lines = _Lines()
    logger.addHandler(lines)
    try:
        app()
    except LightMUNetError as error:
        _stop(str(error), error.exit_code)
    finally:
        logger.removeHandler(lines)


def _stop(message: str, code: int) -> None:
    print(f"lightm-unet: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _numbers(text: str, kind: type, name: str) -> tuple:
    try:
        return tuple(kind(part) for part in text.lower().replace("x", ",").split(","))
    except ValueError:
        example = {"seeds": "0,1,2", "spacing": "1.5,1,1"}.get(name, "128x128")
        kind_of = "whole numbers" if kind is int else "numbers"
        raise UsageError(f"--{name} needs {kind_of}, such as {example}, got {text!r}") from None


def _maybe(text: str | None, kind: type, name: str) -> tuple | None:
    return None if text is None else _numbers(text, kind, name)


def _network(words: list[str] | None) -> str | dict[str, Any] | None:
    """A network's spec; or its options alone, `name=value` each, as they were given before."""
    if not words:
        return None
    if not any("=" in word.split(":")[0] for word in words):
        if len(words) > 1:
            raise UsageError(f"--network names one network, got {' and '.join(words)}")
        return words[0]
    options = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not separator:
            raise UsageError(
                f"--network needs one network with its options, such as lightm-unet:width=16, "
                f"got {' and '.join(words)}"
            )
        options[name] = _option_value(name, text)
    return options


def _option_value(name: str, text: str) -> Any:
    if "," in text or name in ("encoder_layers", "features", "blocks_down", "blocks_up"):
        return _numbers(text, int, f"network {name}")
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@app.command()
def doctor() -> None:
    """Say what this installation has, which kernels run, and why the others do not."""
    from lightm_unet.diagnosis import describe
    from lightm_unet.diagnosis import doctor as run

    print("\n".join(describe(run())))


@app.command("import-dataset")
def import_dataset(
    source: Annotated[Path, typer.Argument(help="Folder of the data set as it was published.")],
    target: Annotated[Path, typer.Argument(help="New folder, in nnU-Net's raw layout.")],
    kind: Annotated[
        str, typer.Option(help="montgomery-shenzhen, lits, msd, or auto: told by the files.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of the 7:1:2 split.")] = 0,
) -> None:
    """Bring a published data set into the layout that `train` reads."""
    from lightm_unet.datasets.importers import import_dataset as run

    with progress_bar(_errors) as progress:
        data = run(source, target, kind, seed, progress)
    print(f"{target}: {data.name}, {len(data.training)} cases, {', '.join(data.label_names[1:])}")


@app.command("check-dataset")
def check_dataset(
    dataset: Annotated[Path, typer.Argument(help="Data set in nnU-Net's raw layout.")],
) -> None:
    """Read every case and name what is wrong; exit code 3 if anything is."""
    from lightm_unet.datasets.check import check_dataset as run

    with progress_bar(_errors) as progress:
        report = run(dataset, progress)
    for problem in report.problems:
        print(f"{problem.case or dataset}: {problem.message}", file=sys.stderr)
    for title, spread in (("voxels", report.shapes), ("spacing, mm", report.spacings_mm)):
        if spread:
            print(f"{title:<13} min {_axes(spread.min)}  median {_axes(spread.median)}  ", end="")
            print(f"max {_axes(spread.max)}")
    if report.intensity_range:
        print(f"{'intensities':<13} {report.intensity_range[0]:g} to {report.intensity_range[1]:g}")
    for name, voxels in report.label_voxels.items():
        print(f"{name:<13} {voxels:,} voxels in {report.label_cases[name]} cases")
    print(f"{report.cases} cases, {len(report.problems)} problems")
    if not report.ok:
        raise typer.Exit(3)


def _axes(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in values)


@app.command()
def phantom(
    kind: Annotated[str, typer.Argument(help="ct (3D, liver and tumours) or xray (2D, lungs).")],
    target: Annotated[Path, typer.Argument(help="New folder for the data set.")],
    cases: Annotated[int, typer.Option(help="How many.", min=1)] = 12,
    size: Annotated[int, typer.Option(help="Voxels along the longest axis, about.", min=32)] = 64,
    seed: Annotated[int, typer.Option(help="The same seed draws the same pictures.")] = 0,
) -> None:
    """Draw a data set of artificial images, to try things out."""
    from lightm_unet.datasets.phantom import write_phantom_dataset

    data = write_phantom_dataset(target, kind, cases, size, seed)
    print(f"{target}: {data.name}, {len(data.training)} cases, {', '.join(data.label_names[1:])}")


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Data set in nnU-Net's raw layout.")],
    output: Annotated[Path, typer.Option(help="Folder of the run, new or empty.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUTPUT, with its settings.")
    ] = False,
    recipe: Recipe = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    size: Size = None,
    patch: Patch = None,
    spacing: Spacing = None,
    normalization: Normalization = None,
    augmentation: Augmentation = None,
    samples_per_case: SamplesPerCase = None,
    seed: Annotated[int | None, typer.Option(help=_TRAIN.get("seed"))] = None,
    device: Device = None,
    devices: Annotated[int | None, typer.Option(help=_TRAIN.get("devices"))] = None,
    precision: Precision = None,
    workers: Workers = None,
    network: Annotated[list[str] | None, typer.Option(help=_TRAIN.get("network"))] = None,
    architecture: Annotated[
        str | None, typer.Option(help="The older form of --network: the network's name alone.")
    ] = None,
) -> None:
    """Train on a data set; OUTPUT/model is then ready for `predict`."""
    from lightm_unet.training.run_folder import LAST, is_first_process
    from lightm_unet.training.train import train as run

    try:
        with progress_bar(_errors) as progress:
            done = run(
                dataset,
                output,
                resume=resume,
                progress=progress,
                recipe=recipe,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                size=_maybe(size, int, "size"),
                patch=_maybe(patch, int, "patch"),
                spacing_mm=_maybe(spacing, float, "spacing"),
                normalization=normalization,
                augmentation=augmentation,
                samples_per_case=samples_per_case,
                seed=seed,
                device=device,
                devices=devices,
                precision=precision,
                workers=workers,
                architecture=architecture,
                network=_network(network),
            )
    except KeyboardInterrupt:
        if (output / LAST).exists():
            print("lightm-unet: stopped; go on with the same command and --resume", file=sys.stderr)
        raise
    if is_first_process():
        print(f"best validation Dice {done.best_dice:.4f}; the model is in {done.model}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a model or of a training run.")],
    output: Annotated[Path, typer.Option(help="Folder for the masks.")],
    inputs: Annotated[
        list[Path] | None, typer.Argument(help="Images, and folders of images.")
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(help="Of the run's split, instead of INPUTS: training, validation or test."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    overlap: Annotated[
        float, typer.Option(help="Of sliding windows, 0 to below 1; for models of patches.")
    ] = 0.5,
) -> None:
    """Segment images: a mask for each, on the image's own grid."""
    from lightm_unet.inference.parts import images_of_part
    from lightm_unet.inference.predict import predict as run

    if bool(inputs) == bool(part):
        raise UsageError("predict needs either INPUTS or --part: which images shall it segment?")
    images = images_of_part(model, part) if part else inputs
    with progress_bar(_errors) as progress:
        results = run(model, images, output, device=device, overlap=overlap, progress=progress)
    failed = [result for result in results if result.error]
    for result in failed:
        print(f"{result.name}: {result.error}", file=sys.stderr)
    written = len(results) - len(failed)
    print(f"{written} mask{'' if written == 1 else 's'} written to {output}, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="A mask, or a folder of masks.")],
    references: Annotated[
        Path, typer.Argument(help="The true masks: a file, a folder, or a data set.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder for cases.csv, summary.json and report.html.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Images for the report, if not the data set's.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Names of the label values 1, 2, ..., with commas.")
    ] = None,
    tolerance_mm: Annotated[
        float, typer.Option(help="Distance that the surface Dice forgives, in mm.")
    ] = 2.0,
) -> None:
    """Compare masks with the truth: Dice, IoU, HD95, surface Dice; table, CSV, JSON, report."""
    from lightm_unet.evaluation.evaluate import evaluate as run
    from lightm_unet.evaluation.tables import print_evaluation

    with progress_bar(_errors) as progress:
        evaluation = run(
            predictions,
            references,
            output,
            images=images,
            labels=[name.strip() for name in labels.split(",")] if labels else None,
            tolerance_mm=tolerance_mm,
            progress=progress,
        )
    print_evaluation(evaluation)
    for case in evaluation.failed:
        print(f"{case.name}: {case.error}", file=sys.stderr)
    if output is not None:
        print(f"report: {output / 'report.html'}")
    if evaluation.failed:
        raise typer.Exit(1)


@app.command()
def compare(
    dataset: Annotated[Path, typer.Argument(help="Data set in nnU-Net's raw layout.")],
    output: Annotated[Path, typer.Option(help="Folder of the comparison, new or to go on with.")],
    networks: Annotated[
        list[str] | None,
        typer.Option(
            "--networks",
            "--network",
            help="Names with commas between, with options if wanted (lightm-unet:width=16), and "
            "the groups paper and ablations; repeatable. The others are tested against the first. "
            "By default lightm-unet,nnu-net.",
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="With commas: each network is trained with each.")
    ] = "0",
    cases: Annotated[
        int | None,
        typer.Option(help="Train on so many of the training cases; validation and test are whole."),
    ] = None,
    recipe: Recipe = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    size: Size = None,
    patch: Patch = None,
    spacing: Spacing = None,
    normalization: Normalization = None,
    augmentation: Augmentation = None,
    samples_per_case: SamplesPerCase = None,
    device: Device = None,
    precision: Precision = None,
    workers: Workers = None,
    part: Annotated[
        str | None,
        typer.Option(help="i/N: make the i-th of N parts of the runs, on one machine of several."),
    ] = None,
    processes: Annotated[int, typer.Option(help="Runs at once on this machine.", min=1)] = 1,
    bench: Annotated[
        bool, typer.Option(help="Measure latency and memory once all runs are over.")
    ] = True,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Train nothing, report what is there.")
    ] = False,
) -> None:
    """Train networks under one roof, test them, and put them side by side; resumable."""
    from lightm_unet.comparison.compare import DEFAULT_NETWORKS
    from lightm_unet.comparison.compare import compare as run
    from lightm_unet.comparison.exports import print_table

    with progress_bar(_errors) as progress:
        done = run(
            dataset,
            output,
            networks or DEFAULT_NETWORKS,
            seeds=_numbers(seeds, int, "seeds"),
            cases=cases,
            part=part,
            processes=processes,
            bench=bench,
            report_only=report_only,
            progress=progress,
            recipe=recipe,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            size=_maybe(size, int, "size"),
            patch=_maybe(patch, int, "patch"),
            spacing_mm=_maybe(spacing, float, "spacing"),
            normalization=normalization,
            augmentation=augmentation,
            samples_per_case=samples_per_case,
            device=device,
            precision=precision,
            workers=workers,
        )
    print_table(done.plan, done.rows)
    print(f"report: {output / 'report.html'}")
    for result in done.failed:
        print(f"{result.run}: {result.status}: {result.error}", file=sys.stderr)
    if done.failed:
        raise typer.Exit(1)


@app.command()
def bench(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names, with options if wanted (lightm-unet:width=16); the others are compared "
            "with the first. By default lightm-unet and nnu-net."
        ),
    ] = None,
    what: Annotated[
        str, typer.Option(help="forward, train (a whole training step), or scan (the op alone).")
    ] = "forward",
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Of the images, in voxels; repeatable. By default 512x512. With --what scan: "
            "LENGTHxCHANNELS."
        ),
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option(help="torch or onnxruntime; repeatable. By default torch.")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="cpu, cuda or mps; repeatable. By default cpu.")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="Repeatable; by default as many as torch takes.")
    ] = None,
    allocator: Annotated[
        list[str] | None,
        typer.Option(
            help="default, or kept: the C library keeps freed memory; repeatable. By default both."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each contestant.")] = 5,
    batch: Annotated[int, typer.Option(help="Images in one pass.")] = 1,
    in_channels: Annotated[
        int | None, typer.Option(help="Of the images; by default 3 in 2D, 1 in 3D.")
    ] = None,
    out_channels: Annotated[
        int | None, typer.Option(help="Classes; by default 2 in 2D, 3 in 3D.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="New folder for bench.json, table.md and latency.png, .svg.")
    ] = None,
) -> None:
    """Measure latency, throughput and peak memory of networks that take turns."""
    sizes = [_numbers(text, int, "size") for text in size or []]

    if what == "scan":
        from lightm_unet.benchmark.scan import SHAPES, bench_scan, show_rows

        if networks or engine or allocator or len(threads or []) > 1 or len(device or []) > 1:
            raise UsageError(
                "--what scan takes --size, --rounds, --output, and one of --threads and --device"
            )
        rows = bench_scan(
            sizes or SHAPES,
            output,
            threads=threads[0] if threads else 1,
            rounds=rounds,
            device=device[0] if device else "cpu",
        )
        print("\n".join(show_rows(rows)))
        return
    from lightm_unet.benchmark.bench import DEFAULT_NETWORKS
    from lightm_unet.benchmark.bench import bench as run
    from lightm_unet.benchmark.tables import print_report

    report = run(
        networks or DEFAULT_NETWORKS,
        output,
        what=what,
        sizes=sizes or [(512, 512)],
        engines=engine or ["torch"],
        devices=device or ["cpu"],
        threads=threads,
        allocators=allocator,
        rounds=rounds,
        batch=batch,
        in_channels=in_channels,
        out_channels=out_channels,
    )
    print_report(report)
    if report.failed:
        raise typer.Exit(1)


@app.command()
def count(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names, with options if wanted (lightm-unet:width=16). By default all."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Of the image, in voxels. By default 512x512.")
    ] = None,
    in_channels: Annotated[
        int | None, typer.Option(help="Of the image; by default 3 in 2D, 1 in 3D.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Background included; by default 2 in 2D, 3 in 3D.")
    ] = None,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper", help="Instead: the paper's tables as printed, counted again, and in truth."
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
) -> None:
    """Count parameters, multiply-adds and scans of networks, without running them."""
    from lightm_unet.costs.count import count_networks, count_paper
    from lightm_unet.costs.tables import print_counts, print_paper

    if not paper:
        voxels = _numbers(size or "512x512", int, "size")
        report = count_networks(
            networks or (), output, size=voxels, in_channels=in_channels, classes=classes
        )
        print_counts(report)
    elif networks or size or in_channels is not None or classes is not None:
        raise UsageError("--paper takes only --output: networks and sizes are those of the paper")
    else:
        print_paper(count_paper(output))


if __name__ == "__main__":
    main()
