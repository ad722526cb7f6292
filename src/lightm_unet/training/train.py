"""Training, from a data set's folder to a model's folder.

`run_folder.py` lists the files of a run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from lightm_unet.datasets.check import refuse_unusable
from lightm_unet.datasets.dataset import list_dataset
from lightm_unet.datasets.splits import find_split
from lightm_unet.errors import SettingError, UsageError
from lightm_unet.models.model_folder import ModelFiles, model_files
from lightm_unet.networks.first_weights import scale_first_weights
from lightm_unet.networks.lightm_unet import LightMUNet
from lightm_unet.networks.registry import build_network
from lightm_unet.preprocessing.mirroring import plan_mirroring
from lightm_unet.preprocessing.planning import plan_preprocessing
from lightm_unet.system.device import choose_device
from lightm_unet.system.extras import require_extra
from lightm_unet.system.json_codec import to_json
from lightm_unet.system.progress import Progress, track
from lightm_unet.training import resuming, run_folder
from lightm_unet.training.distillation import Teacher, load_teacher
from lightm_unet.training.failures import explained_failures
from lightm_unet.training.fingerprint import describe_files, take_fingerprint
from lightm_unet.training.lightning_setup import quiet_lightning, stops_like_python
from lightm_unet.training.preflight import check_settings, find_precision
from lightm_unet.training.prepared_cases import PreparedCases
from lightm_unet.training.profile import store_profile
from lightm_unet.training.recipes import find_recipe, settle_recipe
from lightm_unet.training.run_folder import RunPlan, RunRecord
from lightm_unet.training.run_lock import sole_writer
from lightm_unet.training.samples import EpochIndexSampler, TrainingDataset
from lightm_unet.training.settings import TrainingSettings, make_settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """The results of a finished run."""

    folder: Path
    """The run's folder."""
    model: Path
    """The best model's folder."""
    best_dice: float
    """Mean validation Dice of the best model, on the grid of the network's input."""
    seconds: float
    """Duration of the training in this process, including validation."""


def train(
    dataset: Path | str,
    output: Path | str,
    *,
    resume: bool = False,
    resume_anyway: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> TrainedRun:
    """Train LightM-UNet, or another network, on a data set in nnU-Net's raw layout.

    The data set's split.json is used if there is one, else a 7:1:2 split is drawn from the seed.
    One line is logged for each epoch; if several processes train, only the first one logs.

    Args:
        dataset: the data set's folder.
        output: the run's folder, new or empty; with `resume`, the folder of the run to continue.
        resume: continue from the last finished epoch, with the run's own settings. The data and
            this package's algorithm must be those that the run began with.
        resume_anyway: as `resume`, and pass over such differences; each is logged and recorded.
        progress: called with an event for each case that is prepared, and for each step and
            validation case of every epoch.
        settings: fields of `TrainingSettings`.

    Raises:
        UsageError: the settings cannot be used, the folder is in use, or there is no run to resume.
        DataError: a case cannot be used, has changed since the run began, or the output cannot be
            written.
        MissingPartError: a required device or package is not available, or too little memory.
    """
    require_extra("train", "training")
    first = run_folder.is_first_process()
    if not first:
        progress = None
    dataset, output = Path(dataset), Path(output)
    resume = resume or resume_anyway
    with ExitStack() as stack:
        stack.enter_context(explained_failures(output))
        if resume:
            run_folder.refuse_missing_run(output)
        else:
            asked = make_settings(settings)
            check_settings(asked)
            run_folder.refuse_foreign_folder(output)
        if first:
            stack.enter_context(run_folder.removed_if_empty(output))
            stack.enter_context(sole_writer(output))
            run_folder.tidy(output)
        if not resume:
            run_folder.refuse_used_folder(output)
            # By its name, so that a resumed run keeps its recipe whatever the network names then.
            recipe = settle_recipe(asked.recipe, asked.network)
            asked = make_settings({**settings, "recipe": recipe})
            return _start(dataset, asked, output, progress, new=True)
        differences = resuming.Differences(pass_over=resume_anyway)
        record = resuming.find_record(output, settings, differences)
        check_settings(record.settings)
        if not run_folder.has_checkpoint(output):
            _log.info("the run has not finished an epoch; it starts again, with its own settings")
            if record.data is None:
                return _start(dataset, record.settings, output, progress, new=False)
        return _resume(dataset, record, output, differences, progress)


def _start(
    dataset: Path,
    settings: TrainingSettings,
    output: Path,
    progress: Progress | None,
    *,
    new: bool,
) -> TrainedRun:
    first = run_folder.is_first_process()
    with run_folder.nothing_left_behind(output) if new else nullcontext():
        plan = _plan_run(dataset, settings, progress)
        network = _first_weights(plan)
        teacher = _find_teacher(plan)
        _tell_of_cases(plan, network)
        if first:
            record = run_folder.begin_run(output, plan, teacher.digest if teacher else None)
        cases = _prepare(plan, output / run_folder.PREPARED, progress)
        if first:
            data = take_fingerprint(plan.data, cases.files)
            run_folder.write_run(replace(record, data=data), output)
    return _finish(plan, network, teacher, cases, output, False, progress)


def _resume(
    dataset: Path,
    record: RunRecord,
    output: Path,
    differences: resuming.Differences,
    progress: Progress | None,
) -> TrainedRun:
    plan = resuming.find_plan(output, record, dataset, differences)
    names = {*plan.split.training, *plan.split.validation}
    present = [case for case in plan.data.training if case.name in names]
    files = {
        case.name: describe_files(plan.data, case)
        for case in track(present, "compare the data", progress, lambda case: case.name)
    }
    now = take_fingerprint(plan.data, files)
    record = resuming.compare_data(output, record, plan.data, now, differences)
    network = _first_weights(plan)
    teacher = _find_teacher(plan)
    if teacher and record.teacher_sha256 not in (None, teacher.digest):
        differences.found(teacher.folder, "another teacher than when this run began")
    _tell_of_cases(plan, network)
    cases = _prepare(plan, output / run_folder.PREPARED, progress, files)
    if run_folder.is_first_process():
        passed_over = (*record.passed_over, *differences.passed_over)
        digest = teacher.digest if teacher else None
        record = replace(record, passed_over=passed_over, teacher_sha256=digest)
        run_folder.update_run(output, record, plan)
    resume = run_folder.has_checkpoint(output)
    return _finish(plan, network, teacher, cases, output, resume, progress)


def _finish(
    plan: RunPlan,
    network: torch.nn.Module,
    teacher: Teacher | None,
    cases: _Cases,
    output: Path,
    resume: bool,
    progress: Progress | None,
) -> TrainedRun:
    run = _fit(plan, network, teacher, cases, output, resume, progress)
    if run_folder.is_first_process():
        device = choose_device(plan.settings.device)
        store_profile(run.model, plan.data, plan.split, device, progress)
        run_folder.end_run(output, run.best_dice)
    return run


def _tell_of_cases(plan: RunPlan, network: torch.nn.Module) -> None:
    mirroring = plan_mirroring(
        plan.data.label_names,
        plan.preprocessing.spatial_dims,
        plan.settings.augmentation,
        plan.settings.mirror_axes,
    )
    if run_folder.is_first_process():
        _log.info(
            f"cases: {len(plan.split.training)} for training, {len(plan.split.validation)} for "
            f"validation, {len(plan.split.test)} for the test; "
            f"{sum(p.numel() for p in network.parameters()):,} parameters  "
            f"recipe {plan.settings.recipe}  {mirroring.remark}"
        )
        if mirroring.doubt:
            _log.warning(mirroring.doubt)


def _plan_run(dataset: Path, settings: TrainingSettings, progress: Progress | None) -> RunPlan:
    data, incomplete = list_dataset(dataset)
    split = find_split(data, settings.seed)
    if not split.validation:
        raise UsageError(
            f"{data.root}: the split has no validation case; training needs at least two "
            "patients, or a split.json that names a validation case"
        )
    refuse_unusable(data, split, incomplete, progress)
    try:
        preprocessing = plan_preprocessing(
            data,
            split.training,
            size=settings.size,
            roi_size=settings.patch,
            spacing_mm=settings.spacing_mm,
            normalization=settings.normalization,
        )
    except SettingError as error:
        names = ("patch" if name == "roi_size" else name for name in error.names)
        raise SettingError(error.problem, *names) from error
    return RunPlan(settings, data, split, preprocessing)


def _first_weights(plan: RunPlan) -> torch.nn.Module:
    settings, preprocessing = plan.settings, plan.preprocessing
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return build_network(
            settings.network,
            preprocessing.spatial_dims,
            preprocessing.channels,
            len(plan.data.label_names),
            preprocessing.size or preprocessing.roi_size,
        )


def _find_teacher(plan: RunPlan) -> Teacher | None:
    path, data = plan.settings.teacher, plan.data
    if path is None:
        return None
    return load_teacher(path, plan.preprocessing, data.label_names, data.channel_names, plan.split)


class _ValidationCases(Dataset):
    """Whole prepared cases, in the form of training samples."""

    def __init__(self, cases: PreparedCases) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image, labels, _ = self.cases[index]
        return {"image": image, "labels": labels[None]}


class _Cases(NamedTuple):
    """The prepared cases of a run."""

    training: TrainingDataset
    validation: _ValidationCases
    files: dict[str, dict[str, str]]
    """`describe_files` of each."""


def _prepare(
    plan: RunPlan,
    folder: Path,
    progress: Progress | None,
    files: Mapping[str, dict[str, str]] | None = None,
) -> _Cases:
    settings = plan.settings
    training, validation = (
        PreparedCases(plan.data, names, plan.preprocessing, folder, files)
        for names in (plan.split.training, plan.split.validation)
    )
    training.prepare("prepare training cases", progress)
    validation.prepare("prepare validation cases", progress)
    samples = TrainingDataset(
        training,
        settings.seed,
        settings.augmentation,
        settings.samples_per_case,
        settings.mirror_axes,
    )
    return _Cases(samples, _ValidationCases(validation), {**training.files, **validation.files})


def _fit(
    plan: RunPlan,
    network: torch.nn.Module,
    teacher: Teacher | None,
    cases: _Cases,
    output: Path,
    resume: bool,
    progress: Progress | None,
) -> TrainedRun:
    training, validation, _ = cases
    settings, data, _, preprocessing = plan
    with quiet_lightning():
        import pytorch_lightning as pl
        from pytorch_lightning.loggers import TensorBoardLogger

        from lightm_unet.training.callbacks import CsvLog, EpochLines, EpochProgress, SaveBestModel
        from lightm_unet.training.checkpoints import (
            CheckpointFiles,
            KeptCheckpoint,
            check_fits,
            find_checkpoint,
            has_average,
        )
        from lightm_unet.training.lightning_module import SegmentationModule
        from lightm_unet.training.mending import mend_model

        device = choose_device(settings.device, settings.devices)
        recipe = find_recipe(settings.recipe)
        last = output / run_folder.LAST
        checkpoint = find_checkpoint(output) if resume else None
        if checkpoint and recipe.ema and not has_average(checkpoint):
            recipe = replace(recipe, ema=None)
            if run_folder.is_first_process():
                _log.info("an earlier version began this run; it goes on without averaged weights")
        epochs = settings.epochs or recipe.epochs
        batch_size = settings.batch_size or recipe.batch_size_for(preprocessing.spatial_dims)
        learning_rate = settings.learning_rate or recipe.learning_rate
        if recipe.keep_variance and not checkpoint:
            _keep_variance(network, training)
        module = SegmentationModule(
            network, recipe, learning_rate, data.label_names, preprocessing, teacher
        )
        if checkpoint:
            check_fits(checkpoint, last, module)
        about_training = {
            "dataset": data.name,
            "cases": len(training.cases),
            **to_json(settings),
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            **({"ema": recipe.ema} if recipe.ema else {}),
            "mirror_axes": list(training.mirroring.axes),
            "teacher": teacher and teacher.description,  # not its path: models are passed on
        }

        def files(network: torch.nn.Module, scores: dict[str, Any]) -> ModelFiles:
            return model_files(
                network,
                preprocessing,
                data.label_names,
                data.channel_names,
                about_training,
                scores,
            )

        model = output / run_folder.MODEL
        if checkpoint and run_folder.is_first_process():
            mend_model(output, checkpoint, network, files)
        best = SaveBestModel(lambda scores: files(module.better_network, scores).write(model))
        trainer = pl.Trainer(
            accelerator=device.type,
            devices=settings.devices if device.index is None else [device.index],
            precision=find_precision(settings),
            max_epochs=epochs,
            logger=TensorBoardLogger(output, name=run_folder.TENSORBOARD, version=""),
            callbacks=[
                best,
                CsvLog(output / run_folder.LOG),
                EpochLines(_log),
                KeptCheckpoint(output / run_folder.BEST, monitor="val_dice"),
                KeptCheckpoint(last),
                *([EpochProgress(progress)] if progress else []),
            ],
            plugins=[CheckpointFiles()],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            use_distributed_sampler=False,
        )
        ranks = {"rank": trainer.global_rank, "world_size": trainer.world_size}
        training_loader = DataLoader(
            training,
            batch_size,
            sampler=EpochIndexSampler(len(training), settings.seed, **ranks),
            num_workers=settings.workers,
            persistent_workers=settings.workers > 0,
        )
        validation_loader = DataLoader(
            Subset(validation, _share(len(validation), **ranks)),
            1,
            num_workers=settings.workers,
            persistent_workers=settings.workers > 0,
        )
        started = time.perf_counter()
        with stops_like_python():
            trainer.fit(
                module,
                training_loader,
                validation_loader,
                ckpt_path=str(last) if resume else None,
                weights_only=True,
            )
        seconds = time.perf_counter() - started
    return TrainedRun(output, model, best.best, seconds)


def _keep_variance(network: torch.nn.Module, training: TrainingDataset) -> None:
    """Scale a new network's weights on four samples, where it has no norms to do without it."""
    if not isinstance(network, LightMUNet) or network.options["norm"] != "none":
        return
    places = range(0, len(training), max(1, len(training) // 4))[:4]
    try:
        scale_first_weights(network, torch.stack([training[0, i]["image"] for i in places]))
    except UsageError as error:  # four images of one value each
        _log.info(f"the weights start as torch draws them: {error}")


def _share(cases: int, rank: int, world_size: int) -> range:
    """The validation cases of one process. With fewer cases than processes, each process gets all
    cases, which does not change the mean; a process without cases would block the others."""
    return range(rank, cases, world_size) if cases >= world_size else range(cases)
