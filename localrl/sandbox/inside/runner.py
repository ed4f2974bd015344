"""Set the limits, then become the program, serve calls of a function, or judge a program by its `check`.

Options are `KEY=VALUE` words, a key may come again: `source` (the descriptor that the program is read from),
`memory cpu file files processes stack` (limits, bytes, seconds or counts), `package` (a folder that may be
imported), `read listed written machine parent newest` (see `confine.py`), `before` (statements that come
first, in the same namespace), `function`.

The parent takes the byte ARMED on standard error, sent once everything is in force, as the sign that what
follows is the program's doing.
"""

from __future__ import annotations

import builtins
import os
import resource
import sys

TYPE_CHECKING = False  # typing itself would be half of the start-up time
if TYPE_CHECKING:
    from collections.abc import Sequence

ARMED = b"\x01"
_LIMITS = {
    "memory": "RLIMIT_AS",
    "cpu": "RLIMIT_CPU",
    "file": "RLIMIT_FSIZE",
    "files": "RLIMIT_NOFILE",
    "processes": "RLIMIT_NPROC",
    "stack": "RLIMIT_STACK",
    "core": "RLIMIT_CORE",
}


def main(words: Sequence[str]) -> None:
    mode, options = words[0], _options(words[1:])
    if mode != "program":
        import serve  # before confinement, while this folder can still be read
    if "machine" in options:
        import confine
        import seccomp
        import semaphores

        machine = options["machine"][0]
        places = [options.get(key, []) for key in ("read", "listed", "written")]
        parent, newest = (int(options[key][0]) for key in ("parent", "newest"))
        confine.confine(machine, *places, parent=parent, newest=newest)
        sys.modules["_multiprocessing"] = semaphores
    source = _read_all(int(options["source"][0]))
    _prepare_interpreter(options.get("package", []))
    for key, name in _LIMITS.items():
        if key in options:
            _limit(getattr(resource, name), int(options[key][0]))
    if "machine" in options:
        confine.filter_calls(seccomp.program(machine, own_pid=os.getpid()))
    before = options.get("before", [""])[0]
    if mode == "program":
        os.write(2, ARMED)
        run(before, source, "__main__")
    else:
        channel = serve.Channel()
        os.write(2, ARMED)
        if mode == "calls":
            serve.answer_calls(channel, lambda: run(before, source, "solution"), options["function"][0])
        else:
            serve.judge(channel, lambda: run(before, source, "judge"), options["function"][0])


def run(before: str, source: bytes, name: str) -> dict[str, object]:
    """Execute a program as the module `name`; returns its namespace."""
    module = type(sys)(name)
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    exec(before, module.__dict__)
    exec(compile(source, "solution.py", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


class Packages:
    """Finds the few packages that a program may import besides the standard library."""

    folders: dict[str, str] = {}

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> object:
        from importlib.machinery import ModuleSpec, SourceFileLoader

        if name not in cls.folders:
            return None
        start = f"{cls.folders[name]}/__init__.py"
        spec = ModuleSpec(name, SourceFileLoader(name, start), origin=start, is_package=True)
        spec.submodule_search_locations = [cls.folders[name]]
        spec.has_location = True
        return spec


def _options(words: Sequence[str]) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    for word in words:
        key, _, value = word.partition("=")
        options.setdefault(key, []).append(value)
    return options


def _prepare_interpreter(packages: Sequence[str]) -> None:
    """What `site` would have done, less the folders that hold other people's files."""
    from _sitebuiltins import Quitter

    for name in ("exit", "quit"):
        setattr(builtins, name, Quitter(name, "Ctrl-D (i.e. EOF)"))
    Packages.folders = {path.rpartition("/")[2]: path for path in packages}
    sys.meta_path.append(Packages)  # type: ignore[arg-type]
    sys.argv = ["solution.py"]
    del sys.path[0]
    for name in ("runner", "seccomp", "semaphores", "confine", "serve", "values"):
        sys.modules.pop(name, None)


def _limit(which: int, value: int) -> None:
    """Soft and hard; a lower hard limit that is already there stays.

    The stack's hard limit stays: contest programs raise theirs to infinity, and the memory bounds it.
    """
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, hard if which == resource.RLIMIT_STACK else value))


def _read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()
