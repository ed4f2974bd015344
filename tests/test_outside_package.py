"""The package that `docs/extending.md` describes, installed beside localrl: each member works by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localrl.store.runs import Store
from tests.outside import Outside

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"
pytestmark = pytest.mark.slow
_FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def described(source: Path) -> Path:
    """The package's files as the page shows them, in the folder `source`."""
    for name, text in _FILE.findall(PAGE.read_text(encoding="utf-8")):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return source


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    folder = tmp_path_factory.mktemp("outside")
    return Outside(folder, described(folder / "source"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))


def members(outside: Outside) -> dict[str, dict[str, str]]:
    """By group and name, as `doctor` lists what localrl-puzzles adds."""
    (found,) = [row for row in outside.document("doctor") if row["part"] == "plugins"]
    return {f"{each['group'].removeprefix('localrl.')}/{each['name']}": each for each in found["members"]}


def test_doctor_lists_every_member_of_the_page_and_finds_nothing_wrong(outside: Outside) -> None:
    found = members(outside)
    assert {name: each["fault"] for name, each in found.items()} == {
        "backends/reciter": "",
        "environments/letters": "",
        "evals/puzzles": "",
        "exports/answers": "",
        "extractors/quoted": "",
        "layouts/riddles": "",
        "models/puzzles": "",
        "verifiers/palindrome": "",
    }
    assert {(each["package"], each["version"]) for each in found.values()} == {("localrl-puzzles", "0.1")}


def test_its_evals_are_listed_with_where_they_are_from_and_pass_their_check(
    outside: Outside,
) -> None:
    listed = {row["eval"]: row["from"] for row in outside.document("evals", "ls")}
    assert (listed["riddles"], listed["palindromes"], listed["starter"]) == (
        "localrl-puzzles",
        "localrl-puzzles",
        "localrl",
    )
    for name, golds in (("palindromes", 5), ("riddles", 2)):
        checked = outside.document("evals", "check", name)
        assert (checked["tried"]["gold"], checked["failed"]) == (golds, [])


def test_its_model_card_is_listed_with_where_it_is_from(outside: Outside) -> None:
    cards = {card["name"]: card["from"] for card in outside.document("models", "ls")["cards"]}
    assert (cards["parrot-1b"], cards["qwq-32b"]) == ("localrl-puzzles", "localrl")


def test_its_verifier_and_extractor_judge_a_response(outside: Outside) -> None:
    words = ["verify", "palindrome", "--extractor", "quoted", "--target", "n", "--response"]
    assert "correct" in outside.run(*words, 'My word is "Anna".').stdout
    assert "wrong" in outside.run(*words, 'My word is "none".').stdout


def test_its_backend_answers_its_eval(outside: Outside) -> None:
    (outside.folder / "poem.txt").write_text('"ada"')
    report = outside.document("bench", "poem.txt", "palindromes", "--backend", "reciter")
    assert report["evals"][0]["outcomes"]["correct"] == 2  # around a and d
    assert report["evals"][0]["outcomes"]["wrong"] == 3
    exported = outside.run("runs", "export", report["run"], "--format", "answers").stdout
    assert exported.split() == ["ada"] * 5
    assert "extracted answers" in outside.run("runs", "export", "--help").stdout


OMISSIONS = [
    ("palindrome.py", "VERSION =", "VERSIO =", "has no VERSION"),
    ("quoted.py", "def extract", "def extrac", "no extract"),
    ("riddles.py", "def gold", "def gld", "has no gold(row, problem); where none are published, NO_GOLD"),
    ("riddles.py", "row, number, data", "row", "problem that does not take 3 arguments"),
    ("letters.py", "def count", "def cnt", "has no function count"),
    ("letters.py", "LOCAL =", "LOCL =", "has no LOCAL"),
    ("reciter.py", "SUMMARY =", "SUMARY =", "has no SUMMARY"),
]


EXPORT = ("answers.py", "SUFFIX =", "SUFIX =", "has no SUFFIX")
"""What is broken where a run is exported, not where it starts."""


@pytest.mark.parametrize(("file", "old", "new", "words"), OMISSIONS)
def test_each_omission_is_one_line_before_there_is_a_run(
    outside: Outside, store: Store, file: str, old: str, new: str, words: str
) -> None:
    path = outside.packages / "localrl_puzzles" / file
    sound = path.read_text()
    path.write_text(sound.replace(old, new))
    try:
        name = "riddles" if file == "riddles.py" else "palindromes"
        (outside.folder / "script.json").write_text("{}")
        backend = "reciter" if file == "reciter.py" else "scripted"
        refused = outside.run("bench", "script.json", name, "--backend", backend, code=2).stderr
    finally:
        path.write_text(sound)
    (line,) = refused.splitlines()
    assert words in line
    assert "localrl-puzzles" in line
    assert not list(store.runs())


def test_doctor_names_every_broken_member(outside: Outside) -> None:
    texts = {path: path.read_text() for path in (outside.packages / "localrl_puzzles").glob("*.py")}
    first = {file: (old, new, words) for file, old, new, words in reversed([*OMISSIONS, EXPORT])}
    try:
        for path, text in texts.items():
            path.write_text(text.replace(*first[path.name][:2]))
        faults = {name: each["fault"] for name, each in members(outside).items()}
        listed = [row["eval"] for row in outside.document("evals", "ls")]
    finally:
        for path, text in texts.items():
            path.write_text(text)
    assert faults.pop("evals/puzzles") == faults.pop("models/puzzles") == ""
    assert "palindromes" not in listed
    assert {"starter", "riddles"} <= set(listed)
    missing = ("SUMMARY", "count", "SUFFIX", "extract", "gold", "VERSION")
    assert [word in faults[name] for name, word in zip(sorted(faults), missing, strict=True)] == [True] * 6


def test_runs_stay_readable_when_the_package_is_gone(outside: Outside, tmp_path: Path) -> None:
    (outside.folder / "poem.txt").write_text('"ada"')
    run = outside.document("bench", "poem.txt", "palindromes", "--backend", "reciter")["run"]
    with Store() as store:
        store.update_manifest(store.find(run), noted="so that the report is made again")
    installed = list(outside.packages.glob("localrl_puzzles*"))
    for path in installed:
        path.rename(tmp_path / path.name)
    try:
        assert outside.document("runs", "show", run)["evals"][0]["outcomes"]["correct"] == 2
        assert [row["run"] for row in outside.document("runs", "ls")] == [run]
        assert "no verifier named 'palindrome'" in outside.run("runs", "rescore", run, code=2).stderr
        assert "no environment named 'letters'" in outside.run("bench", "--resume", run, code=2).stderr
    finally:
        for path in installed:
            (tmp_path / path.name).rename(path)


def test_a_run_does_not_go_on_with_a_verifier_that_broke(outside: Outside) -> None:
    (outside.folder / "poem.txt").write_text('"ada"')
    run = outside.document("bench", "poem.txt", "palindromes", "--backend", "reciter", "--limit", "2")["run"]
    path = outside.packages / "localrl_puzzles" / "palindrome.py"
    sound = path.read_text()
    path.write_text(sound.replace("VERSION =", "VERSIO ="))
    try:
        (line,) = outside.run("bench", "--resume", run, code=2).stderr.splitlines()
    finally:
        path.write_text(sound)
    assert "has no VERSION" in line
