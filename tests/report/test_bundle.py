"""A bundle is what was measured: not a byte of it can change, and others judge its texts the same."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner

from localrl.cli.runs import command
from localrl.errors import UsageError
from localrl.report import bundle, checking, importing
from localrl.report.bundle import BundleHeader, Merkle
from localrl.report.exports import eee, hf
from localrl.store.runs import Store
from localrl.verdict import Outcome, Response
from localrl.verify.pool import VerifierPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localrl.sample import Sample

REFUSED = r"has been changed|is not a bundle|a later version"


@pytest.fixture
def made(make_storable: Callable[..., Any]) -> Any:
    """A run that `math` judges as the run says."""
    run = make_storable(problems=3, k=2)
    run.origin["manifest"]["plan"]["evals"][0]["spec"]["verifier"] = {"name": "math", "extractor": "final"}
    for at, sample in enumerate(run.made):
        right = sample.outcome == Outcome.CORRECT
        run.made[at] = replace(
            sample,
            problem=replace(sample.problem, target="2"),
            response=Response("The answer is 2." if right else "The answer is 3."),
            outcome=Outcome.CORRECT if right else Outcome.WRONG,
            finish="stop",
        )
    return run


def turned(sample: Sample) -> Sample:
    """With the other verdict."""
    right = sample.outcome == Outcome.CORRECT
    return replace(sample, outcome=Outcome.WRONG if right else Outcome.CORRECT)


def written(run: Any, path: Path, **options: Any) -> Path:
    with path.open("wb") as out:
        bundle.write(run, out, **options)
    return path


def test_no_byte_of_a_bundle_can_change(made: Any, tmp_path: Path) -> None:
    whole = written(made, tmp_path / "a.localrl").read_bytes()
    changed = tmp_path / "b.localrl"
    for at in range(0, len(whole), 1 if len(whole) < 4000 else 7):
        changed.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UsageError, match=REFUSED):
            bundle.read(changed)
    for cut in (whole[:-1], whole + b"\0", whole[: len(whole) // 2], b""):
        changed.write_bytes(cut)
        with pytest.raises(UsageError, match=REFUSED):
            bundle.read(changed)


def test_a_bundle_travels_and_is_the_same_run_there(
    home: Path, make_storable: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store() as store:
        kept = importing.put(store, make_storable())
    file = home / "run.localrl"
    for words in (["publish", kept.id, "-o", str(file)], ["check", str(file), "--no-judge"]):
        done = CliRunner().invoke(command, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    monkeypatch.setenv("LOCALRL_HOME", str(home / "other"))
    new = CliRunner().invoke(command, ["import", str(file)], catch_exceptions=False).stdout.strip()
    with Store() as store:
        there = list(store.samples(store.find(new)))
    assert there == make_storable().made


def test_samples_that_the_report_does_not_count_are_noticed(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = made.report
    made.made[0] = turned(made.made[0])
    monkeypatch.setattr(type(made), "report", told)
    found = bundle.read(written(made, tmp_path / "a.localrl"))
    with pytest.raises(UsageError, match="does not count its samples"):
        checking.check(found, None)


@pytest.mark.process
def test_the_texts_are_judged_again_and_a_false_verdict_is_named(made: Any, tmp_path: Path) -> None:
    with VerifierPool(1) as pool:
        checked = checking.check(bundle.read(written(made, tmp_path / "a.localrl")), pool)
        assert (checked.samples, checked.judged, checked.changes) == (6, 6, ())
        made.made[3] = turned(made.made[3])
        checked = checking.check(bundle.read(written(made, tmp_path / "b.localrl")), pool)
    (change,) = checked.changes
    assert (change.problem, change.index) == (made.made[3].problem.id, made.made[3].index)
    assert change.before == str(made.made[3].outcome)


@pytest.mark.process
def test_a_signature_is_of_this_bundle_and_of_who_is_known(made: Any, tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True
        )
    signers = tmp_path / "signers"
    signers.write_text(f"me@example.org {(tmp_path / 'mine.pub').read_text()}")
    found = bundle.read(written(made, tmp_path / "a.localrl", key=tmp_path / "mine"))
    assert "me@example.org" in bundle.signer(found.header, signers)
    assert "SHA256:" in bundle.signer(found.header)
    other = BundleHeader(hashlib.sha256(b"another").hexdigest(), found.header.signature)
    with pytest.raises(UsageError, match="not of this bundle"):
        bundle.signer(other)
    theirs = bundle.read(written(made, tmp_path / "b.localrl", key=tmp_path / "theirs"))
    with pytest.raises(UsageError, match="signed by nobody"):
        bundle.signer(theirs.header, signers)


def test_without_texts_the_root_of_the_samples_remains(made: Any, tmp_path: Path) -> None:
    full = bundle.read(written(made, tmp_path / "a.localrl"))
    bare = bundle.read(written(made, tmp_path / "b.localrl", texts=False))
    tree = Merkle()
    for line in full.lines():
        tree.add(line)
    assert list(bare.lines()) == []
    assert checking.check(bare, None).samples == 0
    assert tree.root().encode() in b"".join(bare._rest())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13])
def test_the_root_is_that_of_rfc_6962(count: int) -> None:
    lines = [str(i).encode() for i in range(count)]

    def root(part: list[bytes]) -> bytes:
        if not part:
            return hashlib.sha256().digest()
        if len(part) == 1:
            return hashlib.sha256(b"\0" + part[0]).digest()
        half = 1 << (len(part) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + root(part[:half]) + root(part[half:])).digest()

    tree = Merkle()
    for line in lines:
        tree.add(line)
    assert tree.root() == root(lines).hex()


def test_the_hub_s_file_names_data_set_revision_value_and_how_it_was_measured(
    made: Any, tmp_path: Path
) -> None:
    data = {"hub": {"dataset": "someone/sums", "revision": "0" * 40, "files": ["a.parquet"]}}
    made.origin["manifest"]["plan"]["evals"][0]["spec"]["data"] = data
    with (tmp_path / "x.yaml").open("wb") as out:
        hf.write(made, out)
    (entry,) = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert entry["dataset"] == {"id": "someone/sums", "task_id": "default", "revision": "0" * 40}
    assert entry["value"] == round(100 * made.report["evals"][0]["accuracy"]["value"], 2)
    assert "Q8_0" in entry["notes"]
    del made.origin["manifest"]["plan"]["evals"][0]["spec"]["data"]["hub"]
    with (
        pytest.raises(UsageError, match="no eval of this run has its data on the hub"),
        (tmp_path / "y").open("wb") as out,
    ):
        hf.write(made, out)


def test_every_eval_ever_gets_what_its_schema_requires(made: Any, tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as out:
        eee.write(made, out)
    record = json.loads((tmp_path / "x.json").read_text())
    required = {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "eval_library"}
    assert required | {"model_info", "evaluation_results"} <= record.keys()
    (result,) = record["evaluation_results"]
    assert {"evaluation_name", "source_data", "metric_config", "score_details"} <= result.keys()
    assert result["score_details"]["score"] == made.report["evals"][0]["accuracy"]["value"]
    details = record["model_info"]["additional_details"]
    assert (details["deployment_type"], details["model_availability"]) == ("self_deployed", "open_weights")
    assert all(isinstance(value, str) for value in details.values())
