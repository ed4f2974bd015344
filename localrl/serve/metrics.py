"""What the server has done, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from localrl.engine.protocol import Finished
    from localrl.serve.admission import Admission
    from localrl.serve.owner import EngineOwner

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)


class RequestMetrics:
    """Counts since the start; gauges are read when they are asked for."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "localrl_requests", "Requests by path and status", ["path", "status"], registry=registry
        )
        tokens = Counter("localrl_tokens", "Tokens of finished samples", ["kind"], registry=registry)
        self._prompt, self._shared = tokens.labels("prompt"), tokens.labels("cached")
        self._thinking, self._answer = tokens.labels("thinking"), tokens.labels("answer")
        self._first = Histogram(
            "localrl_first_token_seconds", "To a sample's first token", buckets=SECONDS, registry=registry
        )
        self.seconds = Histogram(
            "localrl_request_seconds", "Of requests that generate", buckets=SECONDS, registry=registry
        )
        self._gauges = {
            name: Gauge(f"localrl_{name}", text, registry=registry)
            for name, text in {
                "running": "Samples that are being generated",
                "preempted": "Samples that gave up their cells and go on later",
                "queued": "Samples that the engine has not begun",
                "waiting_requests": "Requests that wait for their turn",
                "cells": "KV cells",
                "cells_used": "KV cells in use",
                "parallel": "Samples that may run at once",
                "loaded": "Whether the model is loaded",
            }.items()
        }

    def finished(self, end: Finished) -> None:
        self._prompt.inc(end.prompt_tokens)
        self._shared.inc(end.shared_tokens)
        self._thinking.inc(end.thinking_tokens)
        self._answer.inc(end.answer_tokens)
        if end.ttft_s is not None:
            self._first.observe(end.ttft_s)

    def text(self, owner: EngineOwner, admission: Admission) -> bytes:
        """In Prometheus' text format."""
        engine = owner.metrics
        values = {
            "running": engine.running,
            "preempted": engine.preempted,
            "queued": engine.waiting,
            "waiting_requests": admission.waiting,
            "cells": engine.cells,
            "cells_used": engine.cells_used,
            "parallel": engine.parallel,
            "loaded": owner.state == "ready",
        }
        for name, value in values.items():
            self._gauges[name].set(value)
        return generate_latest(self._registry)
