"""A wheel, a wheel built from the sdist, and an editable install all find what is shipped as TOML files."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

import pytest

from localrl import paths

ROOT = Path(__file__).parent.parent
KINDS: tuple[Literal["models", "evals", "recipes"], ...] = ("models", "evals", "recipes")
NAMES = {kind: {path.name for path in (ROOT / kind).glob("*.toml")} for kind in KINDS}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, the wheel from the tree, and below `again` the wheel from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out, "sdist")
    build(ROOT, out, "wheel")
    with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
        archive.extractall(out / "source", filter="data")
    build(next((out / "source").iterdir()), out / "again", "wheel")
    return out


def build(source: Path, out: Path, target: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)],
        cwd=source,
        check=True,
        capture_output=True,
    )


@pytest.mark.process
@pytest.mark.parametrize("folder", [".", "again"])
def test_an_installed_wheel_finds_its_models_and_evals(built: Path, folder: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(next((built / folder).glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path)
    code = (
        "from localrl import paths\n"
        "for kind in ('models', 'evals', 'recipes'):\n"
        "    print(*sorted(p.name for p in paths.shipped(kind).glob('*.toml')))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [set(line.split()) for line in shown] == [NAMES[kind] for kind in KINDS]


def test_a_checkout_finds_its_models_and_evals() -> None:
    for kind in KINDS:
        assert {path.name for path in paths.shipped(kind).glob("*.toml")} == NAMES[kind]
        assert NAMES[kind]


@pytest.mark.process
def test_a_wheel_holds_no_tests_and_its_licence(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)
