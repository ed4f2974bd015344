"""A hint to install an extra can be typed as it stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from localrl import installation


def test_a_hint_names_this_python_and_this_clone() -> None:
    said = installation.extra("server")
    assert said.endswith("[server]'")
    assert str(Path(sys.prefix) / "bin" / "python") in said
    assert str(Path(installation.__file__).parents[1]) in said


@pytest.mark.parametrize(
    ("clone", "prefix", "command"),
    [
        ("", "/home/x/.local/share/pipx/venvs/localrl", "pipx install --force 'localrl[mlx]'"),
        ("", "/home/x/.local/share/uv/tools/localrl", "uv tool install 'localrl[mlx]'"),
        (
            "/src/local rl",
            "/home/x/.local/share/uv/tools/localrl",
            "uv tool install --editable '/src/local rl[mlx]'",
        ),
    ],
)
def test_what_a_tool_installed_is_extended_by_that_tool(clone: str, prefix: str, command: str) -> None:
    assert installation._command(clone, Path(prefix).parts, "mlx") == command
