"""`localrl bench` as it is typed: documents on stdout, narration on stderr, exit codes, kills and Ctrl-C."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from localrl.report.run_summary import SO_FAR
from localrl.store.locks import is_locked
from localrl.store.runs import Store
from tests.commands import command, localrl
from tests.other_process import at_work
from tests.processes import WORKER, children
from tests.scripted import thinker, write_eval, write_script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def scripted(folder: Path, *texts: str, problems: int = 10, **script: Any) -> list[str]:
    """Arguments of `bench` for a script and an eval of sums."""
    path = write_script(folder, *texts, **script)
    return ["bench", str(path), str(write_eval(folder, problems)), "--backend", "scripted"]


def keys(folder: Path) -> list[tuple[str, int]]:
    with Store() as store:
        run = store.find("last")
        return [(s.problem.id, s.index) for s in store.samples(run)]


def test_stdout_is_one_json_document_and_the_progress_goes_to_stderr(tmp_path: Path) -> None:
    done = localrl(*scripted(tmp_path, "it is 4", "it is 5"), "-k", "2", "--json")
    assert done.returncode == 0
    made = json.loads(done.stdout)
    assert sum(made["evals"][0]["outcomes"].values()) == 20
    assert "20/20" in done.stderr
    assert f"localrl runs show {made['run']}" in done.stderr
    again = localrl("runs", "show", made["run"], "--json")
    assert json.loads(again.stdout) == made


def test_without_json_a_person_reads_accuracy_interval_outcomes_and_speed(tmp_path: Path) -> None:
    done = localrl(*scripted(tmp_path, "it is 4"), "--display", "none")
    for words in ("accuracy   100.0 % (", "95 %, wilson", "10 correct", "tokens/s", "first token", "energy"):
        assert words in done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    words = [*scripted(tmp_path, "it is 4"), "-k", "3", "--dry-run"]
    done = localrl(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "10 problems × 3" in done.stdout
    assert "30 samples" in done.stdout
    plan = json.loads(localrl(*words, "--json").stdout)
    assert (plan["schema"], plan["backend"], plan["estimate"]["samples"]) == (1, "scripted", 30)
    assert plan["evals"][0] | {"eval": "sums", "problems": 10, "samples": 3} == plan["evals"][0]
    with Store() as store:
        assert store.runs() == []
    assert localrl(*words, "--limit", "0").returncode == 2


def test_votes_are_shown_for_every_number_of_samples_that_passes_are(tmp_path: Path) -> None:
    done = localrl(*scripted(tmp_path, "it is 4", "it is 5"), "-k", "4", "--display", "none")
    for words in ("pass@2", "pass@4", "majority@2", "majority@4"):
        assert words in done.stdout


def test_an_accuracy_below_the_minimum_is_exit_5(tmp_path: Path) -> None:
    done = localrl(*scripted(tmp_path, "it is 5"), "--min-accuracy", "0.5")
    assert done.returncode == 5
    assert "below 0.5" in done.stderr


def test_runs_are_listed_and_removed(tmp_path: Path) -> None:
    localrl(*scripted(tmp_path), "--name", "mine")
    listed = json.loads(localrl("runs", "ls", "--json").stdout)
    assert [(run["name"], run["samples"], run["status"]) for run in listed] == [("mine", 10, "complete")]
    assert localrl("runs", "rm", "mine", "--yes").returncode == 0
    assert json.loads(localrl("runs", "ls", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["bench", "nomodel"], 2, "no model named"),
        (
            ["bench", "gsm8k"],
            2,
            "'gsm8k' is an eval; the model comes first: localrl bench smollm2-135m gsm8k",
        ),
        (["bench", "smollm2-135m", "nope"], 2, "no eval named"),
        (
            ["bench", "gym:countdown,size=50"],
            2,
            "is an eval; the model comes first: localrl bench smollm2-135m gym:countdown,size=50",
        ),
        (["bench", "--resume", "zzz"], 2, "no run"),
        (["bench", "--temperature", "-3"], 2, "--temperature"),
        (["bench", "--parallel", "many"], 2, "auto"),
        (["bench", "--parallel", "²"], 2, "auto"),
        (["bench", "--temperature", "nan"], 2, "--temperature"),
        (["bench", "--min-accuracy", "nan"], 2, "--min-accuracy"),
        (["bench", "--limit", "99999999999999999999"], 2, "--limit"),
        (["bench", "--ctx", "99999999999"], 2, "--ctx"),
        (["bench", "smollm2-135m", "nodata.toml"], 2, "x.jsonl"),
        (["bench", "text.gguf"], 2, "text.gguf"),
        (["bench", "smollm2-135m", "bad.toml"], 2, "bad.toml:4: unknown key 'max_token'; did you mean"),
        (["bnch"], 2, "did you mean 'bench'?"),
        (["runs", "show", "zzz"], 2, "no run"),
    ],
)
def test_bad_input_gets_one_line_and_its_exit_code(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    (tmp_path / "bad.toml").write_text(
        'name = "x"\ntitle = "x"\nversion = 1\nmax_token = 3\n[verifier]\nname = "exact"\n'
        '[data.file]\npath = "x.jsonl"\n'
    )
    (tmp_path / "nodata.toml").write_text(
        (tmp_path / "bad.toml").read_text().replace("max_token", "max_tokens")
    )
    done = localrl(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_context_too_small_for_a_prompt_is_exit_2(tmp_path: Path) -> None:
    done = localrl(*scripted(tmp_path, cells=3), "--display", "none")
    assert done.returncode == 2
    assert "does not fit a context of 3" in done.stderr.splitlines()[-1]


def test_a_data_folder_that_cannot_be_written_is_exit_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "file" / "home"))
    done = localrl(*scripted(tmp_path))
    assert done.returncode == 1
    assert "LOCALRL_HOME" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = scripted(tmp_path, "one two three it is 4", problems=200, real_s=0.1)
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as app:
        wait_for_samples(3)
        app.send_signal(signal.SIGINT)
        _, narration = app.communicate(timeout=60)
    assert app.returncode == 130
    done = keys(tmp_path)
    assert 3 <= len(done) < 200
    assert SO_FAR in localrl("runs", "show").stdout
    write_script(tmp_path, "one two three it is 4")
    resume = next(line for line in narration.splitlines() if "--resume" in line)
    assert localrl(*resume.split("localrl ")[-1].split()).returncode == 0
    assert SO_FAR not in localrl("runs", "show").stdout
    assert sorted(keys(tmp_path)) == sorted((f"p{i}", 0) for i in range(200))


def test_ctrl_c_while_the_model_loads_ends_at_once_and_leaves_no_run(tmp_path: Path) -> None:
    arguments = scripted(tmp_path, load_s=3600.0)
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as app:
        interrupt_while_loading(app)
        output, narration = app.communicate(timeout=60)
    assert app.returncode == 130
    assert "no run was begun" in narration.splitlines()[-1]
    assert output == ""
    with Store() as store:
        assert store.runs() == []


def test_ctrl_c_while_the_model_of_a_resumed_run_loads_says_how_to_go_on(tmp_path: Path) -> None:
    localrl(*scripted(tmp_path))
    with Store() as store:
        run = store.find("last")
        store.connection.execute("DELETE FROM samples WHERE idx = 0")
    write_script(tmp_path, load_s=3600.0)
    with subprocess.Popen(
        command("bench", "--resume", "last"), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as app:
        interrupt_while_loading(app)
        _, narration = app.communicate(timeout=60)
    assert app.returncode == 130
    assert narration.splitlines()[-1].endswith(f"localrl bench --resume {run.id}")
    assert not is_locked(run)


def test_a_chat_interrupted_while_its_model_loads_ends_at_once(tmp_path: Path) -> None:
    script = write_script(tmp_path, load_s=3600.0)
    with subprocess.Popen(
        command("chat", str(script), "--backend", "scripted", "-p", "hello"),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as app:
        interrupt_while_loading(app)
        _, narration = app.communicate(timeout=60)
    assert app.returncode == 130
    assert "Traceback" not in narration


def interrupt_while_loading(app: subprocess.Popen[str], seconds: float = 60.0) -> None:
    """Ctrl-C, once the worker is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if children(WORKER, app.pid):
            app.send_signal(signal.SIGINT)
            return
        time.sleep(0.02)
    raise AssertionError("the model is not being loaded")


def test_a_run_at_work_elsewhere_is_refused_in_one_line_until_that_process_dies(tmp_path: Path) -> None:
    arguments = scripted(tmp_path, "one two three it is 4", problems=10_000, real_s=0.01)
    with subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as app:
        wait_for_samples(1)
        refused = localrl("bench", "--resume", "last")
        rescored = localrl("runs", "rescore", "last")
        app.kill()
    for done in (refused, rescored):
        assert done.returncode == 2
        assert f"worked on by another localrl (process {app.pid})" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    data = tmp_path / "sums.jsonl"
    data.write_text(data.read_text().partition("\n")[0])  # hardly anything more to do
    assert localrl("bench", "--resume", "last", "--display", "none").returncode == 0


def test_the_estimate_of_time_comes_on_stderr_and_only_where_there_is_one(tmp_path: Path) -> None:
    arguments = scripted(tmp_path, "it is 4", problems=10_000)
    with subprocess.Popen(
        command(*arguments, "--limit", "20"), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as app:
        _, narration = app.communicate(timeout=60)
    assert "samples, " not in narration  # nothing is known of its speed
    write_script(tmp_path, "it is 4", real_s=0.05)
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as app:
        assert app.stderr is not None
        found = next((line for line in app.stderr if "10,000 samples" in line), "")
        app.send_signal(signal.SIGINT)
        output, _ = app.communicate(timeout=60)
    assert "30,000 tokens, about" in found
    assert "10,000 samples" not in output


def test_a_run_is_watched_from_another_terminal_until_its_process_ends(tmp_path: Path) -> None:
    with (
        at_work(tmp_path, "it is 4", problems=100_000) as app,
        subprocess.Popen(
            command("runs", "watch"), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as watching,
    ):
        assert watching.stderr is not None
        assert "/100000" in watching.stderr.readline()
        app.kill()
        output, narration = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert output == ""
    assert "go on with: localrl bench --resume" in narration.splitlines()[-1]


def wait_for_samples(count: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with Store() as store:
            found = store.connection.execute("SELECT COUNT(*) FROM samples").fetchone()[0]
        if found >= count:
            return
        time.sleep(0.02)
    raise AssertionError("no samples came")


PROBLEMS = 600


def kill_app_randomly(arguments: list[str], problems: int, times: int) -> None:
    """Start or resume a run, and kill the app at a random moment, again and again."""
    dice = random.Random(11)
    for _ in range(times):
        counted = counted_so_far()
        with subprocess.Popen(
            command(*arguments), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as app:
            wait_for_samples(min(len(counted) + 1, 2 * problems), seconds=60)
            time.sleep(dice.random() / 4)
            app.kill()
        assert counted <= counted_so_far(), "a sample that had been counted was made again or lost"
        arguments = ["bench", "--resume", "last"]
    assert localrl("bench", "--resume", "last", "--display", "none").returncode == 0


def kill_worker_randomly(arguments: list[str], problems: int, times: int) -> None:
    """Kill one worker after the other of one run, each at a random moment of its work; the app lives on."""
    dice = random.Random(12)
    with subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as app:
        for _ in range(times):
            counted = counted_so_far()
            wait_for_samples(len(counted) + 1, seconds=60)
            time.sleep(dice.random() / 8)
            for worker in children(WORKER, app.pid):
                worker.kill()
            assert counted <= counted_so_far(), "a sample that had been counted was made again or lost"
        assert app.poll() is None, "the run was over before its workers were killed"
        assert app.wait(timeout=120) == 0


def counted_so_far() -> set[tuple[int, int, float]]:
    """Problem, index and time of every judged sample: made again, it would have another time."""
    with Store() as store:
        rows = store.connection.execute("SELECT problem, idx, ended FROM samples WHERE outcome NOT NULL")
        return set(rows)


@pytest.mark.slow
@pytest.mark.parametrize("kill_randomly", [kill_app_randomly, kill_worker_randomly])
def test_killed_at_twenty_random_moments_every_sample_is_there_once(
    tmp_path: Path, kill_randomly: Callable[[list[str], int, int], None]
) -> None:
    arguments = scripted(tmp_path, "one two three it is 4", problems=PROBLEMS, real_s=0.008)
    kill_randomly([*arguments, "-k", "2"], PROBLEMS, 20)
    assert sorted(keys(tmp_path)) == sorted((f"p{i}", k) for i in range(PROBLEMS) for k in (0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("kill_randomly", [kill_app_randomly, kill_worker_randomly])
def test_killed_at_ten_random_moments_every_sample_and_every_fork_is_there_once(
    tmp_path: Path, kill_randomly: Callable[[list[str], int, int], None]
) -> None:
    script = thinker()
    arguments = scripted(tmp_path, *script["texts"], problems=200, knows=script["knows"], real_s=0.008)
    kill_randomly([*arguments, "-k", "2", "--budgets", "4,10,30"], 200, 10)
    assert sorted(keys(tmp_path)) == sorted((f"p{i}", k) for i in range(200) for k in (0, 1))
    with Store() as store:
        run = store.find("last")
        for sample in store.samples(run):
            assert ([fork.budget for fork in sample.forks], sample.natural) == ([4, 10], (30,))
            assert all(
                fork.outcome and fork.ended == pytest.approx(sample.ended, abs=1) for fork in sample.forks
            )
        assert len(store.forked(run)) == 400 * 3


@pytest.mark.parametrize(
    ("flag", "value"), [("--max-tokens", "5"), ("--seed", "0"), ("--endpoint", "x"), ("--name", "y")]
)
def test_resuming_with_other_settings_is_refused(tmp_path: Path, flag: str, value: str) -> None:
    localrl(*scripted(tmp_path))
    done = localrl("bench", "--resume", "last", flag, value)
    assert done.returncode == 2
    assert f"{flag} cannot be changed" in done.stderr


@pytest.mark.parametrize(
    "line", ["parallel = 0", 'parallel = "x"', "parallel = true", "evals = []", 'model = ""']
)
def test_a_setting_that_cannot_work_is_named_with_its_file_and_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "localrl.toml").write_text(f"# mine\n{line}\n")
    done = localrl("bench")
    assert done.returncode == 2
    assert done.stderr.startswith(f"localrl: localrl.toml:2: {line.split()[0]!r}")
