"""Landlock, capabilities and seccomp, applied by a process to itself; used where there is no bubblewrap.

Constants and structures: linux/landlock.h, linux/prctl.h, linux/capability.h, linux/securebits.h.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_CAPSET = {"x86_64": 126, "aarch64": 91, "arm64": 91}
_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS, _SCOPES = 0b11, 0b11  # TCP bind and connect; abstract sockets and signals
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 1, 24, 28
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_NOROOT_AND_NO_SETUID_FIXUP_LOCKED = 0b1111

_libc = ctypes.CDLL(None, use_errno=True)


def landlock_abi() -> int:
    """The version of Landlock that this kernel offers; 0 for none."""
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(version, 0)


def confine(
    machine: str, read: list[str], listed: list[str], written: list[str], parent: int, newest: int
) -> None:
    """Give up everything but reading some paths; there is no way back.

    Args:
        machine: as `platform.machine()` names it.
        read: files and folders whose contents may be read.
        listed: folders that may be listed.
        written: files that may be read and written (such as `/dev/null`).
        parent: the process to die with.
        newest: the newest version of Landlock to use.

    Raises:
        OSError: the kernel refused one of the steps.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)
    ruleset = _ruleset(min(landlock_abi(), newest))
    grants = [*((path, _READ_FILE | _READ_DIR) for path in read), *((path, _READ_DIR) for path in listed)]
    for path, rights in [*grants, *((path, _READ_FILE | _WRITE_FILE) for path in written)]:
        _grant(ruleset, path, rights)
    _drop_capabilities(machine)
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def filter_calls(program: bytes) -> None:
    """Load a seccomp filter; needs no_new_privs."""
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0))


def _ruleset(abi: int) -> int:
    """A ruleset that handles, and so forbids, all that this kernel can."""
    if abi < 1:
        raise OSError("this kernel has no Landlock")
    attributes = struct.pack("Q", _RIGHTS_BY_ABI[min(abi, 5)])
    attributes += struct.pack("Q", _NET_RIGHTS) if abi >= 4 else b""
    attributes += struct.pack("Q", _SCOPES) if abi >= 6 else b""
    return _check(_libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        folder = os.path.isdir(path)  # noqa: PTH112 - pathlib would be most of the start-up time
        rule = struct.pack("=Qi", rights if folder else rights & ~_READ_DIR, place)
        if folder or rights & ~_READ_DIR:
            _check(_libc.syscall(_ADD_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(place)


def _drop_capabilities(machine: str) -> None:
    """As root, become a user 0 who may do no more than any other."""
    if os.geteuid() == 0:
        for capability in range(64):
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        _libc.prctl(_PR_SET_SECUREBITS, _NOROOT_AND_NO_SETUID_FIXUP_LOCKED, 0, 0, 0)
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _check(_libc.syscall(_CAPSET[machine], header, none))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
