"""The cases of a call on a Ray cluster, of this machine or of many.

One actor for each GPU, or for each group of cores, does one case after the other. The model's
files are put into Ray's object store once; actors hold references to them. Images and masks stay on
a file system that all nodes see under the same path. At most two cases are on their way to each
actor, however many there are.

The actors write the ledger as a process alone does. When one dies, its cases go to others, and
another takes its place; a case that ended its actor three times is set aside and named, because the
ledger has its three begins.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightm_unet.errors import UsageError
from lightm_unet.inference.case_keys import settings_key
from lightm_unet.inference.cases import InputCase
from lightm_unet.inference.folder_in_use import using_folder
from lightm_unet.inference.job import CaseAtWork, Job
from lightm_unet.inference.ledger import LEDGER_NAME, Ledger
from lightm_unet.inference.record import CaseResult
from lightm_unet.inference.resuming import ResumableJob
from lightm_unet.inference.settings import PredictSettings
from lightm_unet.models.model_folder import ModelFolder, load_model
from lightm_unet.system.device import choose_device
from lightm_unet.system.extras import require_extra

_log = logging.getLogger(__name__)

IN_FLIGHT = 2
"""Cases on their way to each actor: one that it does, and one that waits for it."""
MOST_LOSSES = 10
"""A case whose actors died so often is given up, whether it was begun or not."""
_CORES_PER_ACTOR = 2
_MODEL_FILES = ("model.json", "model.safetensors")

ModelFiles = dict[str, bytes]


def run_on_ray(
    job: Job,
    cases: Sequence[InputCase],
    done: Callable[[int, CaseResult], None],
) -> None:
    """Do all cases on a cluster.

    Args:
        job: what they have in common.
        cases: to be done.
        done: called with a case's place and its result, in the order in which they are finished.

    Raises:
        UsageError: no cluster at the address, or a model that is not in files.
        DataError: nothing more can be written.
        MissingPartError: Ray is not installed.
    """
    require_extra("ray", "the engine ray", "ray")
    import ray

    models = [_files_of(model) for model in job.members]
    with _cluster(job.settings.ray_address):
        pool = _Pool(ray, job, [ray.put(files) for files in models], min(len(cases), 1 << 16))
        try:
            pool.run(cases, done)
        finally:
            pool.end()


def _files_of(model: ModelFolder) -> ModelFiles:
    if not model.weights_hash or not all((model.path / name).is_file() for name in _MODEL_FILES):
        raise UsageError(
            "the engine ray needs models in folders, which its processes load; save the model with "
            "save_model, or use the engine local"
        )
    return {name: (model.path / name).read_bytes() for name in _MODEL_FILES}


@contextmanager
def _cluster(address: str | None) -> Any:
    """Be connected to a cluster, one that is there or one that is started for the block."""
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            include_dashboard=False if address is None else None,
        )
    except Exception as error:  # Ray raises many types for an address without a cluster
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"no Ray cluster at {address!r} ({reason}); check the address, or leave it out to "
            "start one on this machine"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


class _Pool:
    """The actors, and which cases are on their way to each."""

    def __init__(self, ray: Any, job: Job, models: Sequence[Any], most: int) -> None:
        self.ray, self.job, self.models = ray, job, models
        resources = ray.cluster_resources()
        on_gpu = job.device.type == "cuda"
        cores = int(resources.get("CPU", 1))
        count = job.settings.ray_workers or (
            int(resources.get("GPU", 1)) if on_gpu else max(1, cores // _CORES_PER_ACTOR)
        )
        self.count = max(1, min(count, most))
        threads = 1 if on_gpu else max(1, cores // max(count, 1))
        self.actor_class = ray.remote(
            num_cpus=min(threads, cores), num_gpus=1 if on_gpu else 0, max_restarts=0
        )(Worker)
        self.threads = threads
        self.waiting: deque[int] = deque()
        self.losses: dict[int, int] = {}
        self.under_way: dict[Any, tuple[Any, int]] = {}
        self.actors: dict[Any, int] = {}
        _log.info("ray: %d processes of %d threads", self.count, threads)

    def run(self, cases: Sequence[InputCase], done: Callable[[int, CaseResult], None]) -> None:
        """Keep every actor at work until all cases are done."""
        self.waiting.extend(range(len(cases)))
        while self.waiting or self.under_way:
            while len(self.actors) < self.count and self.waiting:
                self.actors[self._new_actor()] = 0
            for actor, busy in self.actors.items():
                for _ in range(IN_FLIGHT - busy):
                    if self.waiting:
                        self._send(actor, self.waiting.popleft(), cases)
            ready, _ = self.ray.wait(list(self.under_way), num_returns=1, timeout=1.0)
            for reference in ready:
                self._receive(reference, cases, done)

    def end(self) -> None:
        """Let the actors go."""
        for actor in self.actors:
            self.ray.kill(actor)

    def _new_actor(self) -> Any:
        settings = replace(self.job.settings, report=None, manifest=None)
        # A list of references would not be resolved; arguments of their own are.
        return self.actor_class.remote(
            str(self.job.output.absolute()), settings, self.threads, *self.models
        )

    def _send(self, actor: Any, place: int, cases: Sequence[InputCase]) -> None:
        self.under_way[actor.do.remote(cases[place])] = (actor, place)
        self.actors[actor] += 1

    def _receive(
        self, reference: Any, cases: Sequence[InputCase], done: Callable[[int, CaseResult], None]
    ) -> None:
        actor, place = self.under_way.pop(reference)
        try:
            result = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:  # what the case did not cause alone
            raise error.as_instanceof_cause() from None
        except self.ray.exceptions.RayError as error:  # the actor or its node is gone
            if self.actors.pop(actor, None) is not None:
                self.ray.kill(actor)
                _log.warning("ray: a process ended; its cases go to another one")
            self.losses[place] = self.losses.get(place, 0) + 1
            if self.losses[place] < MOST_LOSSES:
                self.waiting.appendleft(place)
                return
            reason = " ".join(str(error).split())[:200]
            text = (
                f"{cases[place].files[0]}: given up after {MOST_LOSSES} lost processes ({reason})"
            )
            result = CaseAtWork(cases[place]).result(text)
        else:
            self.actors[actor] -= 1
        done(place, result)


class Worker:
    """An actor: a process with the models, which does one case after the other."""

    def __init__(
        self, output: str, settings: PredictSettings, threads: int, *models: ModelFiles
    ) -> None:
        import torch

        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        model, *others = [_loaded(files) for files in models]
        folder = Path(output)
        job = Job.of(model, folder, choose_device(settings.device), settings, others)
        self._used = using_folder(folder)
        self._used.__enter__()
        key = settings_key(job.members, settings)
        self._job = ResumableJob(job, Ledger(folder / LEDGER_NAME), key, one_at_a_time=True)

    def do(self, case: InputCase) -> CaseResult:
        """Do one case; its own errors are in the result."""
        work, job = CaseAtWork(case), self._job
        try:
            job.finish(work, job.segment(work, job.read(work)))
        except Exception as error:
            return work.result(str(job.error_of(work, error)))
        return work.result(None)


def _loaded(files: ModelFiles) -> ModelFolder:
    """A model from its files' bytes."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        return load_model(folder)
