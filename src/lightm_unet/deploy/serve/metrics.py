"""What Prometheus reads at `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lightm_unet.deploy.serve.workers import Workers

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300)


class Metrics:
    """Counters of one server."""

    def __init__(self, workers: Workers, models: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "lightm_unet_requests_total",
            "Requests by address, method and status; 499 where the client left.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "lightm_unet_request_seconds",
            "Duration of requests, uploads included.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.work_seconds = Histogram(
            "lightm_unet_work_seconds",
            "Duration of the work on one image, without the queue.",
            ("model",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.queue_seconds = Histogram(
            "lightm_unet_queue_seconds",
            "Time in the queue.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.upload_bytes = Counter(
            "lightm_unet_upload_bytes_total", "Bytes of images received.", registry=self._registry
        )
        for name, help, value in (
            ("running", "Images that are being segmented.", lambda: workers.running),
            ("waiting", "Images in the queue.", lambda: workers.waiting),
            ("places", "Places for both together.", lambda: workers.places),
        ):
            gauge = Gauge(f"lightm_unet_{name}", help, registry=self._registry)
            gauge.set_function(value)
        for model in models:  # so that a model nobody has used yet is there with 0
            self.work_seconds.labels(model)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
