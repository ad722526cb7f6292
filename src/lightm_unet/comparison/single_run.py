"""One run of a comparison, from where it was stopped to its result.

A run's folder holds the files of `train`, and also

    masks/          the predictions of the test cases
    result.json     the scores or the error; its presence means that the run has ended
    traceback.txt   of an unexpected error

Prepared cases are shared by all runs; checkpoints are removed after the result is written.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import traceback
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lightm_unet.comparison.plan import Plan, Run
from lightm_unet.comparison.results import (
    DATA,
    DIVERGED,
    DONE,
    FAILED,
    MASKS,
    RESULT,
    RunResult,
    read_result,
    run_folder,
    write_result,
)
from lightm_unet.comparison.settings import OF_A_RUN
from lightm_unet.errors import DivergedError, LightMUNetError
from lightm_unet.evaluation.scores import FailedCase
from lightm_unet.system.files import write_bytes
from lightm_unet.system.logs import log_prefix
from lightm_unet.system.progress import Progress
from lightm_unet.training.run_folder import LAST, PREPARED, RECORD, read_run

_log = logging.getLogger(__name__)

TRACEBACK = "traceback.txt"


def finish_run(folder: Path, plan: Plan, run: Run, progress: Progress | None = None) -> RunResult:
    """Train (or resume training), predict the test cases, and score them.

    An error becomes the run's result, so that other runs can continue. An interruption (Ctrl-C)
    does not: the next call resumes from the last epoch.

    Args:
        folder: the comparison's folder.
        plan: its plan.
        run: a run without a result, or a failed run to try again.
        progress: called with the events of `train`, `predict` and `evaluate`.
    """
    (run_folder(folder, run) / RESULT).unlink(missing_ok=True)
    try:
        result = _finish(folder, plan, run, progress)
    except DivergedError as error:
        result = RunResult(run, DIVERGED, one_line(error))
    except Exception as error:
        result = RunResult(run, FAILED, one_line(error))
        if not isinstance(error, LightMUNetError):  # unexpected: keep its traceback
            own = run_folder(folder, run)
            write_bytes(traceback.format_exc().encode(), own / TRACEBACK)
    write_result(result, folder)
    if result.settled:
        shutil.rmtree((run_folder(folder, run) / LAST).parent, ignore_errors=True)
    _log.info(f"{run}: {describe(result)}")
    return result


def _finish(folder: Path, plan: Plan, run: Run, progress: Progress | None) -> RunResult:
    from lightm_unet.evaluation.evaluate import evaluate
    from lightm_unet.inference.parts import images_of_part
    from lightm_unet.inference.predict import predict

    own = run_folder(folder, run)
    _train(folder, plan, run, progress)
    record = read_run(own)
    assert record.best_dice is not None  # the training has ended
    assert record.seconds is not None
    masks = own / MASKS
    shutil.rmtree(masks, ignore_errors=True)
    images = images_of_part(own, "test")
    cases = predict(own, images, masks, device=plan.settings.device, progress=progress)
    evaluation = evaluate(masks, folder / DATA, progress=progress)
    failed = [FailedCase(case.name, case.error) for case in cases if case.error]
    evaluation = replace(evaluation, failed=(*evaluation.failed, *failed))
    return RunResult(run, DONE, None, record.best_dice, record.seconds, evaluation)


def _train(folder: Path, plan: Plan, run: Run, progress: Progress | None) -> None:
    from lightm_unet.training import train as training

    own = run_folder(folder, run)
    step = next_step(own)
    if step == "predict":
        return
    if step == "start":
        # A run that was stopped within the first epoch has nothing to resume from.
        shutil.rmtree(own, ignore_errors=True)
        _share_prepared_cases(folder, own)
    _log.info(f"{run}: {'resumes' if step == 'resume' else 'begins'}")
    with log_prefix(logging.getLogger(training.__name__), f"{run}: "):
        training.train(
            folder / DATA,
            own,
            resume=step == "resume",
            progress=progress,
            **_shared_settings(plan),
            recipe=plan.recipe_of(run.network),
            seed=run.seed,
            network=run.network,
        )


def _shared_settings(plan: Plan) -> dict[str, Any]:
    names = {field.name for field in fields(plan.settings)} - {*OF_A_RUN, "recipe"}
    return {name: getattr(plan.settings, name) for name in names}


def next_step(own: Path) -> str:
    """The next step of a run, according to its folder: "start", "resume" or "predict"."""
    if not (own / RECORD).is_file():
        return "start"
    if read_run(own).best_dice is not None:
        return "predict"
    return "resume" if (own / LAST).is_file() else "start"


def _share_prepared_cases(folder: Path, own: Path) -> None:
    """Link the shared prepared cases into a run's folder, where the system supports links."""
    shared = folder / PREPARED
    shared.mkdir(parents=True, exist_ok=True)
    own.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        os.symlink(os.path.relpath(shared, own), own / PREPARED, target_is_directory=True)


def settled_result(folder: Path, run: Run) -> RunResult | None:
    """The result of a run that need not be repeated, or None."""
    result = read_result(folder, run)
    return result if result is not None and result.settled else None


def describe(result: RunResult) -> str:
    """A result in a few words."""
    if result.evaluation is None:
        return f"{result.status}: {result.error}"
    dice = result.evaluation.mean("dice")
    return "no label in any test case" if math.isnan(dice) else f"test Dice {dice:.4f}"


def one_line(error: BaseException) -> str:
    """An error in one line for a table; unexpected errors are shown with their type."""
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, LightMUNetError) else f"{type(error).__name__}: {text}"
