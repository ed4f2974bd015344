"""The filter, run by a small BPF machine for both processors: what it lets through and what it does not."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localrl.sandbox.inside import seccomp

X86_64, AARCH64 = 0xC000003E, 0xC00000B7
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
IGNORED, DENIED, ABSENT = ERROR, ERROR | errno.EPERM, ERROR | errno.ENOSYS
MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}
COLUMN = {"x86_64": 0, "aarch64": 1}
# from asm/unistd_64.h and asm-generic/unistd.h, by hand
READ = {"x86_64": 0, "aarch64": 63}
EXECVE = {"x86_64": 59, "aarch64": 221}


def decide(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Run classic BPF over a `struct seccomp_data`; only the instructions that the filter uses."""
    low = [value & 0xFFFFFFFFFFFFFFFF for value in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *low)
    operations = list(struct.iter_unpack("<HBBI", program))
    position = accumulator = 0
    while True:
        code, if_true, if_false, k = operations[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            accumulator &= k
        elif code == 0x06:
            return int(k)
        else:
            holds = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[code]
            position += if_true if holds else if_false


@pytest.fixture(params=list(MACHINES))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def verdict(machine: str, name: str, *arguments: int, own_pid: int | None = None) -> int:
    number = seccomp._NUMBERS[name][COLUMN[machine]]
    assert number >= 0
    return decide(seccomp.program(machine, own_pid), MACHINES[machine], number, *arguments)


def test_ordinary_calls_pass_and_foreign_architectures_are_killed(machine: str) -> None:
    program = seccomp.program(machine)
    assert decide(program, MACHINES[machine], READ[machine]) == ALLOW
    assert decide(program, MACHINES[machine], EXECVE[machine]) == ALLOW
    for other in {0x40000003, X86_64, AARCH64} - {MACHINES[machine]}:
        assert decide(program, other, READ[machine]) == KILL


@given(
    number=st.integers(451, 2**32 - 1) | st.integers(0x40000000, 0x40000000 + 600),
    machine=st.sampled_from(list(MACHINES)),
)
def test_calls_newer_than_the_filter_do_not_exist(number: int, machine: str) -> None:
    assert decide(seccomp.program(machine), MACHINES[machine], number) == ABSENT


def test_threads_are_made_and_processes_are_not(machine: str) -> None:
    thread, process, virtual_fork = 0x3D0F00, 17, 0x4111
    assert verdict(machine, "clone", thread) == ALLOW
    assert verdict(machine, "clone", process) == DENIED
    assert verdict(machine, "clone", virtual_fork) == DENIED
    assert verdict(machine, "clone3") == ABSENT


def test_only_a_stream_pair_of_local_sockets_can_be_made(machine: str) -> None:
    unix, inet, stream, datagram, close_on_exec = 1, 2, 1, 2, 0o2000000
    assert verdict(machine, "socketpair", unix, stream | close_on_exec) == ALLOW
    assert verdict(machine, "socketpair", unix, datagram) == DENIED
    assert verdict(machine, "socketpair", inet, stream) == DENIED
    for name in ("socket", "connect", "bind", "listen", "accept", "accept4"):
        assert verdict(machine, name, unix, stream) == DENIED


def test_a_program_cannot_give_up_dying_with_its_parent(machine: str) -> None:
    set_parent_death_signal, set_name = 1, 15
    assert verdict(machine, "prctl", set_parent_death_signal) == DENIED
    assert verdict(machine, "prctl", set_parent_death_signal | 1 << 32) == DENIED
    assert verdict(machine, "prctl", set_name) == ALLOW


def test_without_a_pid_namespace_a_program_signals_only_itself(machine: str) -> None:
    for name in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        assert verdict(machine, name, 42, 9, own_pid=42) == ALLOW
        assert verdict(machine, name, 43, 9, own_pid=42) == DENIED
        assert verdict(machine, name, -1, 9, own_pid=42) == DENIED
        assert verdict(machine, name, 0, 9, own_pid=42) == DENIED
        assert verdict(machine, name, 43, 9) == ALLOW
    assert verdict(machine, "tkill", 42, 9, own_pid=42) == DENIED


def test_limits_of_others_cannot_be_changed(machine: str) -> None:
    assert verdict(machine, "prlimit64", 0) == ALLOW
    assert verdict(machine, "prlimit64", 42) == DENIED


def test_changes_of_mode_and_time_are_ignored_and_the_rest_is_denied(machine: str) -> None:
    by_argument = {"clone", "socketpair", "prctl", "prlimit64", "kill", "tgkill", "tkill", "clone3"}
    by_argument |= {"rt_sigqueueinfo", "rt_tgsigqueueinfo", "fcntl", "ioctl", "sendto"}
    for name, numbers in seccomp._NUMBERS.items():
        if name not in by_argument and numbers[COLUMN[machine]] >= 0:
            ignored = name.startswith(("chmod", "fchmod", "utime", "futime", "flock", "setsockopt"))
            assert verdict(machine, name) == (IGNORED if ignored else DENIED), name


def test_an_open_file_cannot_be_made_to_signal_others_or_to_hold_up_the_host(machine: str) -> None:
    get_flags, set_flags, nonblocking, signalling = 3, 4, 0o4000, 0o20000
    assert verdict(machine, "fcntl", 0, get_flags) == ALLOW
    assert verdict(machine, "fcntl", 0, set_flags, nonblocking) == ALLOW
    assert verdict(machine, "fcntl", 0, set_flags, nonblocking | signalling) == DENIED
    set_owner, set_signal, set_owner_ex, set_lease, notify, set_pipe_size = 8, 10, 15, 1024, 1026, 1031
    for command in (set_owner, set_signal, set_owner_ex, set_lease, notify, set_pipe_size):
        assert verdict(machine, "fcntl", 0, command, 42) == DENIED
    for lock in (6, 7, 37, 38):
        assert verdict(machine, "fcntl", 0, lock) == IGNORED


def test_only_harmless_requests_of_ioctl_reach_a_file(machine: str) -> None:
    not_a_terminal = ERROR | errno.ENOTTY
    is_terminal, set_nonblocking = 0x5401, 0x5421
    assert verdict(machine, "ioctl", 1, is_terminal) == ALLOW
    assert verdict(machine, "ioctl", 1, set_nonblocking) == ALLOW
    set_owner, set_file_flags, push_input, line_discipline = 0x8901, 0x40086602, 0x5412, 0x5423
    for request in (set_owner, set_file_flags, push_input, line_discipline):
        assert verdict(machine, "ioctl", 1, request) == not_a_terminal


def test_a_socket_sends_bytes_but_neither_urgent_ones_nor_descriptors(machine: str) -> None:
    urgent, no_signal = 1, 0x4000
    assert verdict(machine, "sendto", 3, 0, 0, no_signal) == ALLOW
    assert verdict(machine, "sendto", 3, 0, 0, urgent) == DENIED
    assert verdict(machine, "sendmsg", 3, 0, 0) == DENIED


def test_an_unknown_processor_has_no_filter() -> None:
    with pytest.raises(LookupError, match="riscv64"):
        seccomp.program("riscv64")
