"""Downloads lose no byte, trust no byte and leak no token, whatever the hub does."""

from __future__ import annotations

import email.utils
import errno
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localrl.catalog import hashes, hub, hubcache, inventory, journal, pull, reference
from localrl.catalog.locate import locate
from localrl.catalog.transfer import Tuning
from localrl.catalog.web import Web, retry_after
from localrl.errors import LocalrlError, NetworkError, StoreError, UsageError
from tests.catalog.hub_server import COMMIT, FAULTS, Handler, Hub, serve, sha256
from tests.catalog.test_gguf import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = Tuning(connections=3, piece_bytes=1 << 18, stall_s=0.2, attempts=6, backoff_s=0.005, journal_s=0.05)
REPO = "someone/Model-GGUF"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "hub"


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    stop = serve(hub)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
    yield hub
    stop()


@pytest.fixture(scope="session")
def shards(tiny_gguf: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    model = tiny_gguf("download", vocabulary=3000, embedding=256)
    return [path.read_bytes() for path in split(model, tmp_path_factory.mktemp("shards"))]


@pytest.fixture
def sharded(server: Hub, tiny_gguf: Callable[..., Path], shards: list[bytes]) -> Hub:
    """A model of two shards, a quantisation beside it, and files that must not be fetched."""
    server.repos[REPO] = {
        "Q8_0/m-Q8_0-00001-of-00002.gguf": shards[0],
        "Q8_0/m-Q8_0-00002-of-00002.gguf": shards[1],
        "m-Q4_0.gguf": tiny_gguf("small").read_bytes(),
        "config.json": b"{}",
        "pytorch_model.bin": b"evil",
        "run.py": b"evil",
    }
    return server


def job(model: str = f"{REPO}:Q8_0") -> pull.PullPlan:
    choice = reference.parse(model)
    assert choice is not None
    return pull.prepare(choice)


def test_all_shards_arrive_where_other_programs_look(sharded: Hub, cache: Path) -> None:
    pulled = pull.pull(job(), tuning=QUICK)
    for file, (name, data) in zip(pulled, list(sharded.repos[REPO].items())[:2], strict=True):
        assert file.path == cache / "models--someone--Model-GGUF" / "snapshots" / COMMIT / name
        assert file.path.read_bytes() == data
        assert (file.bytes, file.sha256, file.resumed_bytes) == (len(data), sha256(data), 0)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(REPO, "Q8_0/m-Q8_0-00001-of-00002.gguf", cache_dir=cache)
    assert found == str(pulled[0].path)


def test_a_second_pull_fetches_nothing(sharded: Hub) -> None:
    first = pull.pull(job(), tuning=QUICK)
    before = sharded.sent
    again = pull.pull(job(), tuning=QUICK)
    assert sharded.sent == before
    assert [file.path for file in again] == [file.path for file in first]
    assert job().missing == 0


def attempt() -> tuple[list[pull.PulledFile], str]:
    """A download's files, or the message it failed with."""
    try:
        return pull.pull(job(), tuning=QUICK), ""
    except LocalrlError as error:
        return [], str(error)


@pytest.mark.slow
def test_a_hundred_faulty_downloads_end_complete_or_in_a_clear_error(sharded: Hub, cache: Path) -> None:
    rng = random.Random(5)
    shards = [data for name, data in sharded.repos[REPO].items() if name.startswith("Q8_0")]
    hashes, size = {sha256(data) for data in shards}, sum(len(data) for data in shards)
    complete = failed = 0
    for number in range(100):
        sharded.rng.seed(number)
        sharded.faults = [rng.choice((*FAULTS, "", "")) for _ in range(rng.randrange(1, 9))]
        sharded.api_faults = [rng.choice(("429", "503"))] if rng.random() < 0.2 else []
        sharded.token = "secret" if rng.random() < 0.1 else ""
        sharded.corrupt = {"Q8_0/m-Q8_0-00002-of-00002.gguf": 1} if rng.random() < 0.03 else {}
        pulled, message = attempt()
        if message:
            failed += 1
            assert "\n" not in message
            assert "HF_TOKEN" in message or list(cache.rglob("*.localrl-part"))
        else:
            complete += 1
            assert {file.sha256 for file in pulled} == hashes
            assert {sha256(file.path.read_bytes()) for file in pulled} == hashes
            hubcache.remove(REPO, hubcache.files(REPO))
    print(complete, failed, sharded.sent / (complete * size))
    assert complete >= 80
    assert sharded.sent < 1.2 * complete * size


def test_a_token_stays_with_the_hub_that_asks_for_it(sharded: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    sharded.token = "secret"
    with pytest.raises(UsageError, match="HF_TOKEN"):
        job()
    monkeypatch.setenv("HF_TOKEN", "secret")
    pull.pull(job(), tuning=QUICK)
    with_token = {path.split("/")[1] for path, headers in sharded.requests if "authorization" in headers}
    assert "cdn" not in with_token
    assert any(path.startswith("/cdn/") for path, _ in sharded.requests)


def test_a_wrong_byte_once_is_fetched_again_and_always_is_an_error(sharded: Hub, cache: Path) -> None:
    name = "m-Q4_0.gguf"
    sharded.corrupt = {name: 1}
    pulled = pull.pull(job(f"{REPO}:{name}"), tuning=QUICK)
    assert sha256(pulled[0].path.read_bytes()) == sha256(sharded.repos[REPO][name])
    hubcache.remove(REPO, hubcache.files(REPO))
    sharded.corrupt = {name: 1000}
    with pytest.raises(NetworkError, match="hash is not the one"):
        pull.pull(job(f"{REPO}:{name}"), tuning=QUICK)
    assert not hubcache.files(REPO)
    assert list(cache.rglob("*.localrl-part"))


def test_a_lie_about_the_size_is_told_with_both_numbers(sharded: Hub) -> None:
    real = len(sharded.repos[REPO]["m-Q4_0.gguf"])
    sharded.listed_sizes["m-Q4_0.gguf"] = real + 1000
    with pytest.raises(NetworkError, match=f"the server has {real} bytes, the hub lists {real + 1000}"):
        pull.pull(job(f"{REPO}:Q4_0"), tuning=QUICK)


def test_a_server_that_never_knows_ranges_still_serves(sharded: Hub) -> None:
    sharded.faults = ["ignore_range"] * 1000
    pulled = pull.pull(job(f"{REPO}:Q4_0"), tuning=QUICK)
    assert sha256(pulled[0].path.read_bytes()) == pulled[0].sha256


def test_an_interrupted_download_goes_on_from_its_journal(sharded: Hub) -> None:
    sharded.faults = ["drop", *["reset"] * 50]
    with pytest.raises(NetworkError, match="pull again"):
        pull.pull(job(), tuning=QUICK)
    sharded.faults = []
    assert any(file.resumed_bytes > 0 for file in pull.pull(job(), tuning=QUICK))


def test_too_small_a_disk_is_said_before_a_byte_is_fetched(
    sharded: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "SPARE_BYTES", 1 << 60)
    with pytest.raises(StoreError, match=r"needs .* more, .* free"):
        pull.pull(job(), tuning=QUICK)
    assert sharded.sent == 0


def test_a_disk_that_fills_up_meanwhile_is_one_line(sharded: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        for name in ("record", "record_flushed"):
            patched.setattr(journal.Journal, name, full)
        with pytest.raises(StoreError, match="No space left on device; what is here is kept"):
            pull.pull(job(), tuning=QUICK)
    monkeypatch.setattr(hubcache, "link", full)
    with pytest.raises(StoreError, match="No space left on device"):
        pull.pull(job(), tuning=QUICK)


@pytest.mark.process
def test_bytes_of_the_hub_that_are_no_model_are_kept_and_refused_later(server: Hub) -> None:
    server.repos[REPO] = {"odd-Q4_0.gguf": b"no model" * 100}
    child = start_pull("Q4_0")
    output, narration = child.communicate(timeout=60)
    assert child.returncode == 0
    assert json.loads(output)["files"][0]["sha256"] == sha256(b"no model" * 100)
    assert "beware" in narration
    with pytest.raises(UsageError, match="not a GGUF"):
        pull.check(pull.pull(job(f"{REPO}:Q4_0"), tuning=QUICK))


def test_a_file_that_was_changed_is_not_loaded_but_fetched_again(sharded: Hub) -> None:
    pulled = pull.pull(job(f"{REPO}:Q4_0"), tuning=QUICK)[0]
    hashes.check_unchanged(pulled.path)
    with pulled.path.open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"?")
    with pytest.raises(UsageError, match="its SHA-256 is not the hub's; pull it again"):
        hashes.check_unchanged(pulled.path)
    assert job(f"{REPO}:Q4_0").missing == pulled.bytes
    again = pull.pull(job(f"{REPO}:Q4_0"), tuning=QUICK)[0]
    assert again.received_bytes == pulled.bytes
    assert sha256(again.path.read_bytes()) == pulled.sha256
    hashes.check_unchanged(again.path)


def test_files_named_by_gits_hash_are_told_with_their_sha256(server: Hub) -> None:
    server.repos["someone/mlx"] = {"config.json": b'{"a": 1}', "model.safetensors": b"x" * 1000}
    for _ in range(2):
        pulled = pull.pull(job("someone/mlx"), tuning=QUICK)
        assert [file.sha256 for file in pulled] == [sha256(b'{"a": 1}'), sha256(b"x" * 1000)]


def test_a_mirror_that_lists_names_alone_is_asked_for_each_hash(sharded: Hub) -> None:
    sharded.names_only = True
    pulled = pull.pull(job(), tuning=QUICK)
    assert all(sha256(file.path.read_bytes()) == file.sha256 for file in pulled)


def test_what_is_here_is_pulled_without_the_hub(sharded: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = pull.pull(job(), tuning=QUICK)
    sharded.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = pull.pull(job(), tuning=QUICK)
    assert [(file.path, file.sha256) for file in again] == [(file.path, file.sha256) for file in pulled]
    assert not sharded.requests


def test_a_pull_of_what_is_here_writes_nothing(sharded: Hub, cache: Path) -> None:
    pull.pull(job(), tuning=QUICK)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    pull.pull(job(), tuning=QUICK)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_a_planted_partial_file_is_not_written_through(sharded: Hub, cache: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    plan = job()
    for file in plan.files:
        partial = hubcache.partial(REPO, file.etag)
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.symlink_to(victim)
    with pytest.raises(LocalrlError):
        pull.pull(plan, tuning=QUICK)
    assert victim.read_text() == "precious"


def test_a_planted_link_takes_no_file_out_of_the_cache(sharded: Hub, cache: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    snapshots = hubcache.folder(REPO) / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / COMMIT).symlink_to(outside)
    with pytest.raises(UsageError, match="leads out of the hub's cache"):
        pull.pull(job(), tuning=QUICK)
    assert not list(outside.iterdir())


def test_removing_follows_no_link_out_of_the_cache(sharded: Hub, tmp_path: Path) -> None:
    victim = tmp_path / "victim.gguf"
    victim.write_text("precious")
    pulled = pull.pull(job(), tuning=QUICK)
    planted = pulled[0].path.with_name("planted.gguf")
    planted.symlink_to(victim)
    hubcache.remove(REPO, hubcache.files(REPO))
    assert victim.read_text() == "precious"
    assert not planted.is_symlink()


def test_the_cache_is_where_huggingface_hub_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISK", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", "$DISK/hf")
    assert hubcache.root() == tmp_path / "hf" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", "$DISK/models")
    assert hubcache.root() == tmp_path / "models"


def test_a_token_that_the_hub_does_not_accept_is_named(sharded: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    sharded.token = "good"
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    with pytest.raises(UsageError, match="does not accept HF_TOKEN: Invalid credentials"):
        job()


def test_a_hub_that_asks_for_more_than_a_minute_is_not_waited_for(sharded: Hub) -> None:
    sharded.api_faults, sharded.retry_after = ["429"], "90"
    with pytest.raises(NetworkError, match="asks to wait 90 s"):
        job()


def test_a_socks_proxy_is_refused_by_name(sharded: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(UsageError, match="ALL_PROXY names a SOCKS proxy"):
        job()


def test_an_answer_that_is_packed_all_the_same_is_unpacked(sharded: Hub) -> None:
    sharded.faults = ["packed"] * 20
    pulled = pull.pull(job(f"{REPO}:Q4_0"), tuning=QUICK)
    assert sha256(pulled[0].path.read_bytes()) == pulled[0].sha256


def test_an_older_commit_stays_usable_and_is_removed_with_the_rest(sharded: Hub) -> None:
    pull.pull(job(), tuning=QUICK)
    sharded.commit = "f" * 40
    small = pull.pull(job(f"{REPO}:Q4_0"), tuning=QUICK)
    assert hubcache.snapshots(REPO)[0].name == sharded.commit
    assert [model.name for model in inventory.hub_cache()] == [f"{REPO}:Q4_0", f"{REPO}:Q8_0"]
    assert locate(f"{REPO}:Q8_0").path.parent.parent.name == COMMIT
    pull.pull(job(), tuning=QUICK)
    choice = reference.parse(f"{REPO}:Q8_0")
    assert choice is not None
    freed = hubcache.remove(REPO, choice.cached()[0])
    assert freed == sum(len(data) for name, data in sharded.repos[REPO].items() if name.startswith("Q8_0"))
    assert [entry.file for entry in hubcache.files(REPO)] == [small[0].path]


def test_unfinished_downloads_go_with_their_own_model_only(sharded: Hub) -> None:
    sharded.faults = ["drop", *["reset"] * 50]
    with pytest.raises(NetworkError):
        pull.pull(job(), tuning=QUICK)
    sharded.faults = []
    pull.pull(job(f"{REPO}:Q4_0"), tuning=QUICK)
    small, whole = (reference.parse(f"{REPO}:{name}") for name in ("Q4_0", "Q8_0"))
    assert small is not None
    assert whole is not None
    assert small.cached()[1] == []
    assert [partial.path for partial in whole.cached()[1]] == ["Q8_0/m-Q8_0-00001-of-00002.gguf"]
    assert hubcache.remove_partials(REPO, whole.cached()[1]) > 0
    assert not hubcache.partials(REPO)
    assert len(hubcache.files(REPO)) == 1


def test_offline_asks_nobody(sharded: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE"):
        job()
    assert not sharded.requests


def test_modelscope_serves_the_same_files(sharded: Hub) -> None:
    choice = reference.parse(f"{REPO}:Q8_0")
    assert choice is not None
    pulled = pull.pull(pull.prepare(choice, "modelscope"), tuning=QUICK)
    assert [sha256(file.path.read_bytes()) for file in pulled] == [file.sha256 for file in pulled]


def test_a_model_that_brings_code_is_refused_before_its_weights(server: Hub) -> None:
    server.repos["someone/mlx"] = {
        "config.json": json.dumps({"model_file": "evil.py"}).encode(),
        "model.safetensors": b"x" * 1000,
    }
    with pytest.raises(UsageError, match="code of its own"):
        pull.pull(job("someone/mlx"), tuning=QUICK)
    assert not any("safetensors" in path for path, _ in server.requests if "/cdn/" in path)


@pytest.mark.parametrize("name", ["../../escape", "/escape", "a\nb", "\x1b[31mred", "\u202egpj"])
def test_an_unsafe_name_never_leaves_the_snapshot(server: Hub, name: str) -> None:
    server.repos["someone/evil"] = {f"{name}-Q4_0.gguf": b"GGUF"}
    with pytest.raises(UsageError, match="unsafe name"):
        pull.pull(job("someone/evil:Q4_0"), tuning=QUICK)


def test_an_unknown_quantisation_names_those_there(sharded: Hub) -> None:
    with pytest.raises(UsageError, match="it has Q4_0, Q8_0"):
        job(f"{REPO}:Q5_K_M")


def test_modelscope_is_asked_where_the_hub_is_out_of_reach(
    server: Hub, monkeypatch: pytest.MonkeyPatch, tiny_gguf: Callable[..., Path]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "ATTEMPTS", 1)
    with pytest.raises(NetworkError, match="check the connection"):
        job("qwq-32b")
    server.repos["Qwen/QwQ-32B-GGUF"] = {"qwq-32b-q4_k_m.gguf": tiny_gguf("small").read_bytes()}
    pulled = pull.pull(job("qwq-32b"), tuning=QUICK)
    assert sha256(pulled[0].path.read_bytes()) == pulled[0].sha256


@pytest.mark.process
def test_a_proxy_is_used_where_the_environment_names_one(
    sharded: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", sharded.url)
    monkeypatch.setenv("http_proxy", sharded.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    start_pull("Q4_0").communicate(timeout=60)
    assert len(hubcache.files(REPO)) == 1
    assert any(path.startswith("http://hub.invalid/") for path, _ in sharded.requests)


def test_a_redirect_never_leaves_https(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = SimpleNamespace(status=302, headers={"location": "http://cdn.invalid/x"}, close=lambda: None)
    monkeypatch.setattr(Web, "_manager", lambda *_: SimpleNamespace(request=lambda *_, **__: answer))
    with pytest.raises(NetworkError, match=r"from https to http://cdn\.invalid"):
        Web().get("https://hub.invalid/x", home="https://hub.invalid")


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0)])
def test_retry_after_is_read_or_ignored(header: str, seconds: float) -> None:
    assert retry_after(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    soon = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 90 < retry_after(soon) <= 100


def test_search_lists_repos(sharded: Hub) -> None:
    assert [found.repo for found in hub.search("model")] == [REPO]


def test_removing_says_what_it_frees(sharded: Hub) -> None:
    pulled = pull.pull(job(), tuning=QUICK)
    assert hubcache.remove(REPO, hubcache.files(REPO)) == sum(file.bytes for file in pulled)
    assert not hubcache.folder(REPO).exists()


PULL = """
import sys
from localrl.catalog import reference, pull
from localrl.catalog.transfer import Tuning
from localrl.catalog.web import Web, retry_after
tuning = Tuning(connections=2, piece_bytes=1 << 18, journal_s=0.02)
pulled = pull.pull(pull.prepare(reference.parse(sys.argv[1])), tuning=tuning)
print(sum(file.resumed_bytes for file in pulled))
"""


# What a process held at most, without what its parent held when it was forked.
MEMORY = f"""{PULL}
try:
    status = open("/proc/self/status").read()
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
except OSError:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def start_pull(quantisation: str = "F16") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "localrl", "models", "pull", f"{REPO}:{quantisation}", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_bytes(server: Hub, child: subprocess.Popen[str], count: int) -> None:
    before, until = server.sent, time.monotonic() + 60
    while server.sent < before + count and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


@pytest.fixture
def large(server: Hub, tiny_gguf: Callable[..., Path]) -> bytes:
    """A file of 24 MB that a throttled server takes seconds to send."""
    data = tiny_gguf("large", vocabulary=20_000, embedding=512, kind="F16", tied=True).read_bytes()
    server.repos[REPO] = {"large-F16.gguf": data}
    server.bytes_per_s = 3 << 20
    return data


@pytest.mark.slow
def test_kill_nine_ten_times_and_the_file_is_right(server: Hub, large: bytes) -> None:
    for _ in range(10):
        child = start_pull()
        wait_for_bytes(server, child, 3 << 19)
        child.kill()
        child.communicate()
    server.bytes_per_s = 0
    child = start_pull()
    output, _ = child.communicate()
    file = json.loads(output)["files"][0]
    assert file["resumed_bytes"] > 0
    assert file["sha256"] == sha256(large) == sha256(hubcache.files(REPO)[0].file.read_bytes())
    print(server.sent / len(large))
    assert server.sent < 1.5 * len(large)  # what was under way at each kill is lost


@pytest.mark.slow
def test_ctrl_c_keeps_the_partial_and_says_so(server: Hub, large: bytes, cache: Path) -> None:
    child = start_pull()
    wait_for_bytes(server, child, 2 << 20)
    child.send_signal(signal.SIGINT)
    output, narration = child.communicate(timeout=30)
    assert (child.returncode, output) == (130, ""), narration
    assert "what is here is kept" in narration
    assert list(cache.rglob("*.localrl-part"))
    server.bytes_per_s = 0
    output, _ = start_pull().communicate()
    assert json.loads(output)["files"][0]["resumed_bytes"] > 1 << 20


@pytest.mark.slow
def test_memory_stays_flat(server: Hub, cache: Path) -> None:
    server.repos[REPO] = {"big-Q4_0.gguf": bytes(300 << 20)}
    child = subprocess.run(
        [sys.executable, "-c", MEMORY, f"{REPO}:Q4_0"], capture_output=True, text=True, check=True
    )
    assert int(child.stdout.split()[-1]) < 200 << 20


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_ranges_are_the_set_of_bytes_they_stand_for(pairs: list[tuple[int, int]]) -> None:
    kept = journal.Ranges()
    expected: set[int] = set()
    for start, end in pairs:
        kept.add(start, end)
        expected |= set(range(start, end))
    missing = {byte for start, end in kept.gaps(60) for byte in range(start, end)}
    assert missing == set(range(60)) - expected
    assert kept.total() == len(expected)
    assert all(a[1] < b[0] for a, b in zip(kept.copy(), kept.copy()[1:], strict=False))


def test_a_search_without_a_hub_fails_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waits for {seconds} s"))
    with pytest.raises(NetworkError, match="cannot be reached: Connection refused"):
        hub.search("qwen")


ODD: list[object] = [
    None,
    True,
    -1,
    1e300,
    10**30,
    "x",
    "2024-13-45T99",
    [],
    [1],
    {},
    {"a": 1},
    {"sha256": None},
]


def _mutations(sound: Any) -> Iterator[Any]:
    """The value with something odd in each place, and without each key."""
    yield from ODD
    for key in [*sound] if isinstance(sound, dict) else range(len(sound)) if isinstance(sound, list) else ():
        yield {k: v for k, v in sound.items() if k != key} if isinstance(sound, dict) else []
        for mutated in _mutations(sound[key]):
            changed = sound.copy()
            changed[key] = mutated
            yield changed


@pytest.mark.parametrize("source", ["huggingface", "modelscope", "search"])
def test_an_odd_answer_of_the_hub_is_told_as_the_hubs(
    server: Hub, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    answers: list[bytes] = []
    monkeypatch.setattr(hub, "ATTEMPTS", 1)
    monkeypatch.setattr(hub, "_head", lambda url, path: ("", 0))
    server.repos[REPO] = {"m.gguf": b"x"}
    send_plain = Handler.send_plain

    def send(self: Handler, status: int, body: bytes = b"", **headers: str) -> None:
        answers.append(body)
        send_plain(self, status, body, **headers)

    def ask() -> object:
        if source == "search":
            return hub.search("model")
        return hub.listing(REPO, source=source)  # type: ignore[arg-type]

    monkeypatch.setattr(Handler, "send_plain", send)
    assert ask()
    sound = json.loads(answers[-1])
    outcomes: Counter[type] = Counter()
    for odd in _mutations(sound):
        monkeypatch.setattr(
            Handler,
            "send_plain",
            lambda self, *_, odd=odd, **h: send_plain(self, 200, json.dumps(odd).encode(), **h),
        )
        try:
            outcomes[type(ask())] += 1
        except LocalrlError as error:
            outcomes[type(error)] += 1
    assert outcomes[NetworkError] > 20
