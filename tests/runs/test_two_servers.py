"""A run on two real servers, one of them killed midway: every sample is there, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.engine.subjects import llama_server
from tests.engine.tiny import write_gguf

if TYPE_CHECKING:
    from pathlib import Path

PROBLEMS, SAMPLES = 20, 2


@pytest.mark.slow
def test_all_samples_are_there_once_though_one_of_two_servers_is_killed(tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "tiny.gguf")
    servers = [llama_server(model, tmp_path / f"log{i}") for i in range(2)]
    try:
        for server in servers:
            server.wait()
        endpoints = [part for server in servers for part in ("--endpoint", server.url)]
        command = ["bench", "tiny", "starter", "--limit", str(PROBLEMS), "-k", str(SAMPLES), "--json"]
        command += ["--max-tokens", "120", "--temperature", "1"]
        run = subprocess.Popen(
            [sys.executable, "-m", "localrl", *command, *endpoints],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LOCALRL_HOME": str(tmp_path / "home")},
            text=True,
        )
        while run.poll() is None and (tmp_path / "log1").read_text().count("POST") < 5:
            time.sleep(0.05)
        assert run.poll() is None, run.communicate()
        servers[1].kill()
        output, narration = run.communicate(timeout=300)
    finally:
        for server in servers:
            server.kill()
    assert run.returncode == 0, narration
    report = json.loads(output)
    outcomes = report["evals"][0]["outcomes"]
    assert report["status"] == "complete"
    assert sum(outcomes.values()) == PROBLEMS * SAMPLES
    assert outcomes["engine_error"] == 0
    assert report["backend"]["name"] == "server"
