"""A whole `localrl bench` against llama-server with the same requests: whole processes, in turns.

    python benchmarks/whole_run.py [--server PATH] [--busy] [--problems N] [--streams N] [--model MODEL]

Every time runs from the start of a program to its end: loading, prompts, answers, and for us verifying and
storing. llama-server has as many slots in one unified cache. It is asked by a bare asyncio client that looks
at nothing but the token counts, and by lm-eval where that is installed. The last column is their time per
token over ours: above 1 we are faster. `--busy` keeps one process spinning beside everything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from localrl.catalog.locate import locate
from localrl.machine import hardware
from localrl.verify import gymload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVAL = """\
name = "whole"
title = "Word problems"
version = 1
max_tokens = {tokens}

[data.file]
path = "problems.jsonl"

[verifier]
name = "math"
extractor = "last_number"
"""
TASK = """\
task: whole
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{target}}}}"
generation_kwargs: {{until: [], do_sample: false, temperature: 0.0, max_gen_toks: {tokens}}}
metric_list: [{{metric: exact_match}}]
"""
PROMPT = 256
"""Tokens at most in one of the prompts."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every contestant does."""

    model: Path
    server: str
    folder: Path
    questions: list[str]
    tokens: int
    """Generated for each question, at most."""
    streams: int
    parallel: str
    """What `localrl bench --parallel` is told."""


@dataclass(frozen=True, slots=True)
class Turn:
    seconds: float
    tokens: int
    """Generated in all."""

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default=shutil.which("llama-server"), help="llama.cpp's llama-server")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--parallel", help="for localrl alone, such as 'auto'; else the same streams")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--lm-eval", default=shutil.which("lm_eval"), help="lm-eval's command")
    given = parser.parse_args()
    if not given.server:
        parser.error("no llama-server on the PATH: name it with --server")
    contestants: dict[str, Callable[[Work], Turn]] = {"localrl": localrl, "bare client": bare_client}
    if given.lm_eval:
        contestants["lm-eval"] = lambda work: lm_eval(work, given.lm_eval)
    with tempfile.TemporaryDirectory() as folder, _busy(given.busy):
        work = prepare(given, Path(folder))
        turns: dict[str, list[Turn]] = {name: [] for name in contestants}
        for _ in range(given.repeats):
            for name, contestant in contestants.items():
                turn = contestant(work)
                turns[name].append(turn)
                print(f"{name}: {turn.tokens} tokens in {turn.seconds:.1f} s", flush=True)
    for name, theirs in turns.items():
        ratios = [ours.rate / other.rate for ours, other in zip(turns["localrl"], theirs, strict=True)]
        median = statistics.median(turn.rate for turn in theirs)
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:12}{median:8.1f} tokens/s   localrl / it: {statistics.median(ratios):.2f} {spread}")


def prepare(given: argparse.Namespace, folder: Path) -> Work:
    """The problems as a table that both localrl and lm-eval read, and a definition for each."""
    made = gymload.dataset("gsm_symbolic", {}, seed=1, size=given.problems)
    entries = [made[index] for index in range(given.problems)]
    rows = [{"question": entry["question"], "target": entry["answer"]} for entry in entries]
    data = folder / "problems.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "whole.toml").write_text(EVAL.format(tokens=given.tokens))
    (folder / "whole.yaml").write_text(TASK.format(data=data, tokens=given.tokens))
    return Work(
        locate(given.model).path,
        given.server,
        folder,
        [row["question"] for row in rows],
        given.tokens,
        given.streams,
        given.parallel or str(given.streams),
    )


@contextlib.contextmanager
def _busy(wanted: bool) -> Iterator[None]:
    """One process that takes all it gets of a processor."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if child:
            child.kill()
            child.wait()


def localrl(work: Work) -> Turn:
    """`localrl bench`, whose home stays from turn to turn, as a person's does."""
    command = [sys.executable, "-m", "localrl", "bench", str(work.model), str(work.folder / "whole.toml")]
    command += ["--parallel", work.parallel, "--temperature", "0", "--no-loop-guard", "--json"]
    environment = {**os.environ, "LOCALRL_HOME": str(work.folder / "home")}
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    tokens = json.loads(done.stdout)["evals"][0]["tokens"]
    return Turn(seconds, tokens["thinking"] + tokens["answer"])


def bare_client(work: Work) -> Turn:
    """llama-server, and as many requests at once as it has slots."""
    began = time.perf_counter()
    with _llama_server(work) as url:
        tokens = asyncio.run(_ask_all(url, work))
    return Turn(time.perf_counter() - began, tokens)


async def _ask_all(url: str, work: Work) -> int:
    slots = asyncio.Semaphore(work.streams)
    async with httpx2.AsyncClient(base_url=url, timeout=None) as client:

        async def ask(question: str) -> int:
            body = {
                "messages": [{"role": "user", "content": question}],
                "temperature": 0,
                "max_tokens": work.tokens,
            }
            async with slots:
                answer = (await client.post("/v1/chat/completions", json=body)).raise_for_status()
            return int(answer.json()["usage"]["completion_tokens"])

        return sum(await asyncio.gather(*map(ask, work.questions)))


def lm_eval(work: Work, program: str) -> Turn:
    """llama-server, asked by lm-eval; the server counts the tokens."""
    began = time.perf_counter()
    with _llama_server(work) as url:
        where = f"model=served,base_url={url}/v1/chat/completions,num_concurrent={work.streams}"
        command = [program, "--model", "local-chat-completions", "--model_args", where, "--tasks", "whole"]
        command += ["--include_path", str(work.folder), "--apply_chat_template"]
        environment = {**os.environ, "HF_HOME": str(work.folder / "hf"), "HF_HUB_OFFLINE": "1"}
        environment["OPENAI_API_KEY"] = "none"
        subprocess.run(command, env=environment, check=True, capture_output=True)
        tokens = _counted(url)
    return Turn(time.perf_counter() - began, tokens)


def _counted(url: str) -> int:
    lines = httpx2.get(f"{url}/metrics").text.splitlines()
    found = next(line for line in lines if line.startswith("llamacpp:tokens_predicted_total "))
    return int(float(found.split()[1]))


@contextlib.contextmanager
def _llama_server(work: Work) -> Iterator[str]:
    """The address of a server that has loaded the model."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cells = work.streams * (PROMPT + work.tokens)
    command: list[Any] = [work.server, "-m", work.model, "--port", port, "-np", work.streams, "-c", cells]
    command += ["--kv-unified", "-t", hardware.cores(), "--metrics", "--no-webui"]
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _ready(url):
            if server.poll() is not None:
                raise SystemExit(f"llama-server ended with {server.returncode}")
            time.sleep(0.05)
        yield url
    finally:
        server.kill()
        server.wait()


def _ready(url: str) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"{url}/health").is_success
    return False


if __name__ == "__main__":
    main()
