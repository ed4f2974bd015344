"""An environment with localrl and a package of somebody else's, as a person would install it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Outside:
    """An environment of its own with localrl, what localrl needs, and the package in the folder `source`."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        builder = venv.EnvBuilder(symlinks=True)
        builder.create(folder / "env")
        self.python = folder / "env" / "bin" / "python"
        self.packages = next((folder / "env" / "lib").glob("python*/site-packages"))
        ours = sysconfig.get_path("purelib")
        (self.packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
        install = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet"]
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
        subprocess.run([*install, *options, str(source)], check=True)

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        words = [str(self.python), "-m", "localrl", *arguments]
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done

    def document(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)
