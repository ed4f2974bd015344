"""What an export needs of how a run was planned, beyond its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localrl.report.results import Results


def eval_plan(run: Results, name: str) -> dict[str, Any]:
    """How an eval was planned; empty where that is not known."""
    plans = run.origin.get("manifest", {}).get("plan", {}).get("evals", [])
    found: dict[str, Any] = next((each for each in plans if each["spec"]["name"] == name), {})
    return found


def hub_data(run: Results, name: str) -> dict[str, Any] | None:
    """`dataset`, `revision` and `files` of an eval whose data are on the hub."""
    data = eval_plan(run, name).get("spec", {}).get("data", {})
    found: dict[str, Any] | None = data.get("hub")
    return found
