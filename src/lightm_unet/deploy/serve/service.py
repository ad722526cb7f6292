"""What the requests of one server share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lightm_unet import __version__
from lightm_unet.deploy.serve.answer import Health
from lightm_unet.deploy.serve.metrics import Metrics
from lightm_unet.deploy.serve.served_models import ServedModel
from lightm_unet.deploy.serve.settings import MB, ServeSettings
from lightm_unet.deploy.serve.spool import Spool
from lightm_unet.deploy.serve.workers import Workers

_UPLOADS_ON_DISK = 8
"""Uploads of the largest size that the disk may hold at the same time."""


@dataclass(eq=False)
class Service:
    """A running server's models, workers, files and counters."""

    settings: ServeSettings
    models: Mapping[str, ServedModel]
    device: torch.device
    workers: Workers
    spool: Spool
    metrics: Metrics
    stopping: bool = False

    def health(self) -> Health:
        """The state now."""
        taken = self.workers.running + self.workers.waiting
        state = "full" if taken >= self.workers.places else "ready"
        return Health(
            status="stopping" if self.stopping else state,  # type: ignore[arg-type]
            version=__version__,
            models=list(self.models),
            running=self.workers.running,
            waiting=self.workers.waiting,
            places=self.workers.places,
        )

    def close(self) -> None:
        """End the work and remove all files."""
        self.stopping = True
        self.workers.close()
        self.spool.close()


def create_service(
    models: Mapping[str, ServedModel],
    settings: ServeSettings,
    device: torch.device,
    count: int,
    threads: int,
) -> Service:
    """Start the workers and make the folder for uploads.

    Args:
        models: by name.
        settings: of the server.
        device: that the models are on.
        count: of workers.
        threads: of each worker.
    """
    workers = Workers(count, threads, settings.queue)
    spool = Spool(_UPLOADS_ON_DISK * settings.upload_mb * MB)
    return Service(settings, models, device, workers, spool, Metrics(workers, models))
