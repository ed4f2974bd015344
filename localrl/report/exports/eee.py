"""A record of Every Eval Ever, the shared schema of evaluation results (schema 0.3.0, evalevalai.com).

Its model id is the hub's repository of the original weights where the card names one. Nothing is sent.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from localrl import __version__, jsontext
from localrl.catalog import card as cards
from localrl.report.exports import _origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localrl.report.results import Results

SUFFIX = ".json"
SCHEMA = "0.3.0"


def write(run: Results, out: IO[bytes]) -> None:
    report, now = run.report, str(time.time())
    model = _model(report)
    judged = [entry for entry in report["evals"] if entry["accuracy"]]
    record = {
        "schema_version": SCHEMA,
        "evaluation_id": f"{'+'.join(entry['eval'] for entry in judged)}/{model['id']}/{now}",
        "evaluation_timestamp": str(datetime.fromisoformat(report["created"]).timestamp()),
        "retrieved_timestamp": now,
        "source_metadata": {
            "source_name": "localrl",
            "source_type": "evaluation_run",
            "source_organization_name": "a person's own machine",
            "evaluator_relationship": "third_party",
        },
        "eval_library": {"name": "localrl", "version": __version__},
        "model_info": model,
        "evaluation_results": [_result(run, entry) for entry in judged],
    }
    out.write(jsontext.dumps(record, indent=2).encode() + b"\n")


def _model(report: Mapping[str, Any]) -> dict[str, Any]:
    model, backend = report["model"], report["backend"]
    base = cards.load(model["name"]).base if model["name"] in cards.available() else ""
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights",
        "device": report["hardware"].get("device"),
        **{name: model.get(name) for name in ("quantisation", "file", "sha256", "template_sha256")},
    }
    return {
        "name": model["name"],
        "id": base or model["name"],
        "inference_engine": {"name": backend["name"], "version": str(backend["version"])},
        "additional_details": {name: str(value) for name, value in details.items() if value},
    }


def _result(run: Results, entry: Mapping[str, Any]) -> dict[str, Any]:
    accuracy, sampling = entry["accuracy"], entry.get("sampling") or run.report["sampling"]
    hub = _origin.hub_data(run, entry["eval"])
    where = {"source_type": "hf_dataset", "hf_repo": hub["dataset"]} if hub else {"source_type": "other"}
    return {
        "evaluation_name": entry["eval"],
        "source_data": {"dataset_name": hub["dataset"] if hub else entry["eval"], **where},
        "metric_config": {
            "evaluation_description": f"{entry['verifier']} on {entry['extractor'] or 'the text'}, a rule",
            "metric_id": "accuracy",
            "metric_name": "Accuracy",
            "metric_kind": "accuracy",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": accuracy["value"],
            "details": {name: str(count) for name, count in entry["outcomes"].items()},
            "uncertainty": {
                "confidence_interval": {
                    "lower": accuracy["low"],
                    "upper": accuracy["high"],
                    "confidence_level": accuracy["level"],
                    "method": accuracy["method"],
                },
                "num_samples": sum(entry["outcomes"].values()),
            },
        },
        "generation_config": {
            "generation_args": {
                name: sampling[name] for name in ("temperature", "top_p", "top_k", "max_tokens")
            },
            "additional_details": {"deviations": "; ".join(entry["deviations"])},
        },
    }
