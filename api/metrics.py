"""What Prometheus reads at /metrics: requests, predictions, and how long they wait and take.

With several workers set PROMETHEUS_MULTIPROC_DIR to a folder of this service alone; see
`api.metrics_folder`.
"""

import os
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator.metrics import Info, default

from api.metrics_folder import open_folder

CHAMPION = "champion"
"""The variant of a service that compares none."""
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
CONFIDENCES = [step / 20 for step in range(1, 20)]
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The service's own measures; each label has few values, whatever callers send."""

    def __init__(self) -> None:
        self.shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if self.shared:
            open_folder(Path(self.shared))
        self.registry = CollectorRegistry()
        self._counters()
        self._durations()
        self.model_info = Gauge(
            "model_info",
            "1 for the bundle that is served.",
            ["model_version", "synthetic", "variant"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.in_flight = Gauge(
            "requests_in_flight",
            "Requests being answered.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def _counters(self) -> None:
        self.predictions = Counter(
            "predictions_total",
            "Predictions that were answered.",
            ["code", "model_version", "variant"],
            registry=self.registry,
        )
        self.missing = Counter(
            "missing_modality_total",
            "Predictions without an image, or without text.",
            ["modality"],
            registry=self.registry,
        )
        self.rejected = Counter(
            "rejected_inputs_total",
            "Requests, or rows of a batch, whose content was refused.",
            ["reason"],
            registry=self.registry,
        )

    def _durations(self) -> None:
        self.confidence = Histogram(
            "prediction_confidence",
            "Probability of the predicted code.",
            ["variant"],
            registry=self.registry,
            buckets=CONFIDENCES,
        )
        self.inference_seconds = Histogram(
            "inference_seconds",
            "Decoding, tokenising and running the model.",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.queue_seconds = Histogram(
            "queue_seconds",
            "Waiting for a free inference thread.",
            registry=self.registry,
            buckets=SECONDS,
        )

    def predicted(
        self, code: int, confidence: float, model_version: str, variant: str = CHAMPION
    ) -> None:
        """Counts one answer."""
        self.predictions.labels(code, model_version, variant).inc()
        self.confidence.labels(variant).observe(confidence)

    def modalities(self, has_text: bool, has_image: bool) -> None:
        """Counts what a product lacks."""
        for modality, present in (("text", has_text), ("image", has_image)):
            if not present:
                self.missing.labels(modality).inc()


def install(app: FastAPI, metrics: Metrics) -> None:
    """Measures every request and adds GET /metrics."""
    if not metrics.shared:
        ProcessCollector(registry=metrics.registry)
        metrics.registry.register(GC_COLLECTOR)
    app.state.metrics = metrics
    instrumentator = Instrumentator(
        should_group_status_codes=False, excluded_handlers=["^/metrics$"], registry=metrics.registry
    )
    measure = default(registry=metrics.registry, latency_lowr_buckets=SECONDS)
    if measure:
        instrumentator.add(_with_known_methods(measure))
    instrumentator.instrument(app).expose(app, include_in_schema=False)


def _with_known_methods(measure: Callable[[Info], None]) -> Callable[[Info], None]:
    """Any word is a method in HTTP, and would be a label of its own."""

    def measured(info: Info) -> None:
        if info.method not in METHODS:
            info.method = "other"
        measure(info)

    return measured
