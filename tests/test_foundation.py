"""Errors are one line, TOML mistakes name file, line and nearest key, seeds are stable, `--help` is light."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from localrl import tomlfile
from localrl.errors import ConfigError, UsageError
from localrl.evals.spec import EvalSpec
from localrl.sampling import sample_seed

if TYPE_CHECKING:
    from pathlib import Path

EVAL = """\
name = "tiny"
title = "Tiny"
version = 1

[[data.gym]]
generator = "chain_sum"
size = 3

[[data.gym]]
generator = "gcd"
size = 3

[verifier]
name = "gym"
"""


def test_an_error_is_one_line_whatever_it_holds() -> None:
    assert str(UsageError("two\nlines", hint="do this")) == "two lines; do this"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('title = "Tiny"', 'titel = "Tiny"', 2, "did you mean 'title'?"),
        ('generator = "gcd"\nsize = 3', 'generator = "gcd"\nsizes = 3', 11, "did you mean 'size'?"),
        ("version = 1", 'version = "x"', 3, "version"),
        ('[verifier]\nname = "gym"', '[verifier]\nnaem = "gym"', 14, "did you mean 'name'?"),
        ("version = 1", "version = ", 3, "Invalid value"),
        ('generator = "gcd"\n', "", 9, "missing key 'data.gym.1.generator'"),
        (
            "[verifier]",
            '[[rewards]]\nname = "a"\n[[rewards]]\nname = "b"\n[[rewards.terms]]\nweigth = 2.0\n[verifier]',
            18,
            "did you mean 'weight'?",
        ),
    ],
)
def test_a_toml_mistake_names_file_line_and_nearest_key(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(EVAL.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        tomlfile.load(path, EvalSpec)
    assert caught.value.line == line
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_a_byte_order_mark_before_toml_is_not_a_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(EVAL, encoding="utf-8-sig")
    assert tomlfile.load(path, EvalSpec) == tomlfile.loads(EVAL, EvalSpec, path)


def test_a_binary_file_is_refused_as_toml(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        tomlfile.load(tmp_path / "x.toml", EvalSpec)


def test_a_sample_seed_depends_on_what_is_sampled_and_never_changes() -> None:
    assert sample_seed(0, "starter", "chain_sum-0", 0) == 3577523913
    assert len({sample_seed(r, e, p, i) for r in (0, 1) for e in "ab" for p in "cd" for i in range(4)}) == 32


@pytest.mark.process
def test_help_imports_neither_llama_cpp_nor_textual_nor_pydantic() -> None:
    code = (
        "import sys; sys.argv = ['localrl', '--help']\n"
        "from localrl.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code\n"
        "heavy = {'llama_cpp', 'textual', 'pydantic', 'numpy', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.process
def test_without_a_settings_file_the_interface_begins_without_pydantic(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from localrl.tui.app import LocalrlApp\n"
        "import localrl.tui.screens.models\n"
        "assert LocalrlApp().settings.model\n"
        "heavy = {'llama_cpp', 'pydantic', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    home = {**os.environ, "LOCALRL_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=home)
