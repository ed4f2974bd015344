"""A run in one file that others can check: what was measured, how, every text, and a hash over all of it.

    line 1     {"localrl_bundle": 1, "sha256": ..., "signature": ...}, one space after each colon and comma
    the rest   gzip of JSON lines: the run (report, origin, versions, hashes), its samples as `runs export`
               writes them, and at last {"samples": N, "merkle_root": ...}

`sha256` is over the rest, so a changed byte is noticed anywhere: in the first line because that has only one
way to be written. The signature is of the sentence that `signed` returns, by `ssh-keygen -Y sign -n localrl`.
The root is RFC 6962's over the lines of samples; a bundle without texts leaves the lines out and keeps it.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from localrl import __version__, jsontext
from localrl.errors import Unavailable, UsageError
from localrl.report.exports import _flat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.report.results import Results

SUFFIX = ".localrl"
NAMESPACE = "localrl"
LONGEST_HEADER = 65_536
LONGEST_LINE = 64 << 20
"""Bytes of a sample: what unpacks to more is not read into memory."""


@dataclass(frozen=True, slots=True)
class BundleHeader:
    sha256: str
    signature: str = ""
    """Armoured, as ssh-keygen writes it; empty where nobody signed."""

    def line(self) -> bytes:
        return (
            jsontext.dumps({"localrl_bundle": 1, "sha256": self.sha256, "signature": self.signature}).encode()
            + b"\n"
        )


class Merkle:
    """The root of a tree over lines, by RFC 6962 section 2.1; needs one hash a level."""

    def __init__(self) -> None:
        self._whole: list[tuple[int, bytes]] = []
        """Roots of whole subtrees with their heights, the largest first."""

    def add(self, line: bytes) -> None:
        height, root = 0, hashlib.sha256(b"\x00" + line).digest()
        while self._whole and self._whole[-1][0] == height:
            root = hashlib.sha256(b"\x01" + self._whole.pop()[1] + root).digest()
            height += 1
        self._whole.append((height, root))

    def root(self) -> str:
        if not self._whole:
            return hashlib.sha256(b"").hexdigest()
        root = self._whole[-1][1]
        for _, left in reversed(self._whole[:-1]):
            root = hashlib.sha256(b"\x01" + left + root).digest()
        return root.hex()


def write(run: Results, out: IO[bytes], *, key: Path | None = None, texts: bool = True) -> None:
    """
    Args:
        key: an SSH private key, or the public key of one that the agent holds; None leaves it unsigned.
        texts: write the samples, and not only their root.

    Raises:
        Unavailable: ssh-keygen is not installed.
        UsageError: it cannot sign with this key.
    """
    with tempfile.TemporaryFile() as rest:
        with gzip.GzipFile(fileobj=rest, mode="wb", mtime=0, filename="") as packed:
            packed.write(_line(_run(run)))
            tree, count = Merkle(), 0
            for row in _flat.rows(run):
                line = _line(row)
                tree.add(line)
                count += 1
                if texts:
                    packed.write(line)
            packed.write(_line({"samples": count, "merkle_root": tree.root()}))
        rest.seek(0)
        sha256 = _sha256(rest)
        out.write(BundleHeader(sha256, sign(sha256, key) if key else "").line())
        rest.seek(0)
        shutil.copyfileobj(rest, out)


def _line(value: dict[str, Any]) -> bytes:
    return jsontext.dumps(value).encode("utf-8", "replace") + b"\n"


def _run(run: Results) -> dict[str, Any]:
    """What the samples are samples of."""
    asked: dict[str, Any] = {}
    for (name, problem), (prompt, target) in sorted(run.questions().items()):
        known = asked.setdefault(name, hashlib.sha256())
        known.update(jsontext.dumps([problem, prompt, target]).encode("utf-8", "replace"))
    return {
        "report": run.report,
        "origin": run.origin,
        "versions": {"localrl": __version__, "python": platform.python_version()},
        "problems_sha256": {name: known.hexdigest() for name, known in asked.items()},
    }


def _sha256(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


@contextlib.contextmanager
def as_jsonl(path: Path) -> Iterator[Path]:
    """The file of samples that a bundle holds, as `runs export` writes it; any other file as it is.

    Raises:
        UsageError: the bundle has been changed, or holds no texts.
    """
    if path.suffix != SUFFIX:
        yield path
        return
    found = read(path)
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / f"{path.name}.jsonl"
        with lines.open("wb") as out:
            extra = {"report": found.run["report"], "origin": found.run["origin"]}
            for line in found.lines():
                out.write(_line({**jsontext.loads(line), **extra}))
                extra = {}
        if extra:
            raise UsageError(f"{path} holds no texts", hint="ask for a bundle without --no-texts")
        yield lines


# -- signatures


def signed(sha256: str) -> bytes:
    """What a signature is of."""
    return f"localrl bundle 1 sha256 {sha256}\n".encode()


def sign(sha256: str, key: Path) -> str:
    done = _ssh_keygen(["sign", "-q", "-f", str(key)], signed(sha256))
    if done.returncode:
        raise UsageError(f"ssh-keygen cannot sign with {key}: {_last_line(done)}")
    return done.stdout.decode()


def signer(header: BundleHeader, signers: Path | None = None) -> str:
    """Who signed: the principal in `signers` (ssh's ALLOWED SIGNERS format), else the key's fingerprint.

    Raises:
        UsageError: the signature is not of this bundle, or of nobody in `signers`.
    """
    with tempfile.NamedTemporaryFile(suffix=".sig") as file:
        file.write(header.signature.encode())
        file.flush()
        if signers is None:
            done = _ssh_keygen(["check-novalidate", "-s", file.name], signed(header.sha256))
        else:
            done = _ssh_keygen(["find-principals", "-s", file.name, "-f", str(signers)], b"")
            name = done.stdout.decode().splitlines()[:1]
            if done.returncode or not name:
                raise UsageError(f"it was signed by nobody in {signers}")
            words = ["verify", "-s", file.name, "-f", str(signers), "-I", name[0]]
            done = _ssh_keygen(words, signed(header.sha256))
    if done.returncode:
        raise UsageError("the signature is not of this bundle")
    return done.stdout.decode().strip()


def _ssh_keygen(words: list[str], message: bytes) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise Unavailable("signatures need ssh-keygen", hint="install OpenSSH's client")
    command = [program, "-Y", words[0], "-n", NAMESPACE, *words[1:]]
    if words[0] == "find-principals":
        command = [program, "-Y", *words]
    return subprocess.run(command, input=message, capture_output=True, check=False)


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    return (done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]


# -- reading


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose bytes are those that were written."""

    path: Path
    header: BundleHeader
    run: dict[str, Any]

    def lines(self) -> Iterator[bytes]:
        """Those of the samples.

        Raises:
            UsageError: the last line does not tell of these samples.
        """
        tree, count, last = Merkle(), 0, b""
        for line in self._rest():
            if last:
                tree.add(last)
                count += 1
                yield last
            last = line
        told = jsontext.loads(last)
        if count and told != {"samples": count, "merkle_root": tree.root()}:
            raise UsageError(f"{self.path}: the samples are not those that the bundle was made of")

    def _rest(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.readline()
            with gzip.open(file) as lines:
                lines.readline(LONGEST_LINE)
                yield from iter(lambda: lines.readline(LONGEST_LINE), b"")


def read(path: Path) -> Bundle:
    """Open a bundle, and check that not a byte of it has changed.

    Raises:
        UsageError: it is none, it has changed, or it is of a later version.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(LONGEST_HEADER)
            said = jsontext.loads(first)
            header = BundleHeader(said["sha256"], said["signature"])
            if said["localrl_bundle"] != 1:
                raise UsageError(f"{path} is a bundle of a later version", hint="update localrl")
            changed = header.line() != first or _sha256(file) != header.sha256
            if not changed:
                file.seek(len(first))
                with gzip.open(file) as lines:
                    return Bundle(path, header, jsontext.loads(lines.readline(LONGEST_LINE)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError) as error:
        raise UsageError(
            f"{path} is not a bundle of localrl", hint="`localrl runs publish` makes one"
        ) from error
    raise UsageError(f"{path} has been changed since it was made")
