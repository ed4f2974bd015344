"""A seccomp filter in classic BPF, for Linux on x86-64 and aarch64.

It denies what a namespace or Landlock leaves open: making processes (threads are allowed), sockets, tracing,
mounts, keys, shared memory, changes to other processes, and what an open file or socket can be told to do to
others: owners that get signals, leases, file attributes, descriptors in flight. Calls that the kernel numbers
higher than those known here do not exist for the program. Changes of mode and of times, locks of files and
options of sockets are ignored without an error, because benign programs make them, while as root, or on files
of the host, they would be felt outside.

Formats: linux/filter.h, linux/seccomp.h, linux/audit.h; numbers: asm/unistd_64.h, asm-generic/unistd.h,
asm-generic/fcntl.h, asm-generic/ioctls.h.
"""

from __future__ import annotations

import errno
import platform
import struct
import sys

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "arm64": (0xC00000B7, 1)}
"""Machine to its audit number and the column of its system call numbers below."""

_FIRST_UNKNOWN = 451
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW, _ERROR = 0x80000000, 0x7FFF0000, 0x00050000
_CLONE_THREAD, _AF_UNIX, _SOCK_STREAM = 0x00010000, 1, 1
_PR_GET_DUMPABLE, _PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 3, 15, 16, 0x53564D41
_O_ASYNC, _MSG_OOB = 0x2000, 1
_F_SETFL = 4
_FCNTL_ALLOWED = (
    0,
    1,
    2,
    3,
    5,
    36,
    1030,
    1032,
)  # DUPFD GETFD SETFD GETFL GETLK OFD_GETLK DUPFD_CLOEXEC GETPIPE_SZ
_FCNTL_IGNORED = (6, 7, 37, 38)  # SETLK SETLKW OFD_SETLK OFD_SETLKW
_IOCTL_ALLOWED = (
    0x5401,
    0x5413,
    0x541B,
    0x5421,
    0x5450,
    0x5451,
)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIO[N]CLEX

_NUMBERS = {
    name: (int(x86_64), int(aarch64))
    for name, x86_64, aarch64 in (
        row.split()
        for row in """\
fork 57 -1;vfork 58 -1;clone 56 220;clone3 435 435;execveat 322 281;
socket 41 198;connect 42 203;bind 49 200;listen 50 201;accept 43 202;accept4 288 242;socketpair 53 199;
ptrace 101 117;process_vm_readv 310 270;process_vm_writev 311 271;kcmp 312 272;perf_event_open 298 241;
process_madvise 440 440;process_mrelease 448 448;move_pages 279 239;migrate_pages 256 238;
pidfd_open 434 434;pidfd_getfd 438 438;pidfd_send_signal 424 424;
io_uring_setup 425 425;io_uring_enter 426 426;io_uring_register 427 427;bpf 321 280;userfaultfd 323 282;
memfd_create 319 279;memfd_secret 447 447;add_key 248 217;request_key 249 218;keyctl 250 219;
mount 165 40;umount2 166 39;pivot_root 155 41;chroot 161 51;open_tree 428 428;move_mount 429 429;
fsopen 430 430;fsconfig 431 431;fsmount 432 432;fspick 433 433;mount_setattr 442 442;
unshare 272 97;setns 308 268;name_to_handle_at 303 264;open_by_handle_at 304 265;
shmget 29 194;shmat 30 196;shmctl 31 195;shmdt 67 197;semget 64 190;semop 65 193;semctl 66 191;
semtimedop 220 192;msgget 68 186;msgsnd 69 189;msgrcv 70 188;msgctl 71 187;
mq_open 240 180;mq_unlink 241 181;mq_timedsend 242 182;mq_timedreceive 243 183;mq_notify 244 184;
mq_getsetattr 245 185;inotify_init 253 -1;inotify_init1 294 26;fanotify_init 300 262;fanotify_mark 301 263;
kexec_load 246 104;kexec_file_load 320 294;init_module 175 105;finit_module 313 273;delete_module 176 106;
reboot 169 142;swapon 167 224;swapoff 168 225;acct 163 89;quotactl 179 60;quotactl_fd 443 443;syslog 103 116;
settimeofday 164 170;clock_settime 227 112;adjtimex 159 171;clock_adjtime 305 266;sethostname 170 161;
setdomainname 171 162;ioperm 173 -1;iopl 172 -1;modify_ldt 154 -1;uselib 134 -1;personality 135 92;
vhangup 153 58;lookup_dcookie 212 18;setpriority 141 140;ioprio_set 251 30;
sched_setscheduler 144 119;sched_setparam 142 118;sched_setattr 314 274;sched_setaffinity 203 122;
chown 92 -1;fchown 93 55;lchown 94 -1;fchownat 260 54;setxattr 188 5;lsetxattr 189 6;fsetxattr 190 7;
removexattr 197 14;lremovexattr 198 15;fremovexattr 199 16;truncate 76 45;
chmod 90 -1;fchmod 91 52;fchmodat 268 53;utime 132 -1;utimes 235 -1;utimensat 280 88;futimesat 261 -1;
kill 62 129;tkill 200 130;tgkill 234 131;rt_sigqueueinfo 129 138;rt_tgsigqueueinfo 297 240;
fcntl 72 25;ioctl 16 29;flock 73 32;sendto 44 206;sendmsg 46 211;sendmmsg 307 269;setsockopt 54 208;
prlimit64 302 261;prctl 157 167""".replace("\n", "").split(";")
    )
}
_IGNORED = {"chmod", "fchmod", "fchmodat", "utime", "utimes", "utimensat", "futimesat", "flock", "setsockopt"}
_ABSENT = {"clone3"}  # the C library then falls back to clone, whose flags can be looked at
_TO_A_PROCESS = {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"}  # its id comes first


def program(machine: str = "", own_pid: int | None = None) -> bytes:
    """The filter as an array of `struct sock_filter`.

    Args:
        machine: as `platform.machine()` names it; empty for this one.
        own_pid: the only process that may be signalled; None where a pid namespace already sees to it.

    Raises:
        LookupError: the numbers of this machine's system calls are not known.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES or sys.byteorder != "little":
        raise LookupError(f"no seccomp filter for {machine}")
    architecture, column = ARCHITECTURES[machine]
    code = [_op(_LOAD, 4), _op(_EQUAL, architecture, 1, 0), _op(_RETURN, _KILL)]
    code += [_op(_LOAD, 0), _op(_AT_LEAST, _FIRST_UNKNOWN, 0, 1), _fail(errno.ENOSYS)]
    for name, numbers in _NUMBERS.items():
        if numbers[column] >= 0:
            rule = _rule(name, own_pid)
            code += [_op(_EQUAL, numbers[column], 0, len(rule)), *rule]
    return b"".join([*code, _op(_RETURN, _ALLOW)])


def missing() -> str:
    """Why the calls of this machine cannot be filtered; empty when they can."""
    try:
        program()
    except LookupError as error:
        return str(error)
    return ""


def _rule(name: str, own_pid: int | None) -> list[bytes]:
    """What to do once the call is `name`; every path through it returns."""
    allow, deny = _op(_RETURN, _ALLOW), _fail(errno.EPERM)
    if name in _TO_A_PROCESS or name == "tkill":
        if own_pid is None:
            return [allow]
        return [deny] if name == "tkill" else [_argument(0), _op(_EQUAL, own_pid, 0, 1), allow, deny]
    if name == "clone":
        return [_argument(0), _op(_ANY_BIT, _CLONE_THREAD, 0, 1), allow, deny]
    if name == "socketpair":  # a datagram socket could still be sent elsewhere
        is_unix = [_argument(0), _op(_EQUAL, _AF_UNIX, 1, 0), deny]
        is_stream = [_argument(1), _op(0x54, 0xF), _op(_EQUAL, _SOCK_STREAM, 0, 1), allow, deny]
        return is_unix + is_stream
    if name == "prlimit64":
        return [_argument(0), _op(_EQUAL, 0, 0, 1), allow, deny]
    if name == "prctl":  # above all not PR_SET_PDEATHSIG, by which the program dies with its parent
        options = (_PR_GET_DUMPABLE, _PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)
        return [_argument(0), *_each(options, allow), deny]
    if name == "fcntl":  # no F_SETOWN, F_SETSIG, F_SETLEASE, F_NOTIFY; no O_ASYNC, which sends signals
        set_flags = [_argument(2), _op(_ANY_BIT, _O_ASYNC, 0, 1), deny, allow]
        ignored = _each(_FCNTL_IGNORED, _fail(0))
        flags = [_op(_EQUAL, _F_SETFL, 0, len(set_flags)), *set_flags]
        return [_argument(1), *_each(_FCNTL_ALLOWED, allow), *ignored, *flags, deny]
    if name == "ioctl":  # what is left out of the list, no file has
        return [_argument(1), *_each(_IOCTL_ALLOWED, allow), _fail(errno.ENOTTY)]
    if name == "sendto":
        return [_argument(3), _op(_ANY_BIT, _MSG_OOB, 0, 1), deny, allow]
    if name in _IGNORED:
        return [_fail(0)]
    return [_fail(errno.ENOSYS if name in _ABSENT else errno.EPERM)]


def _each(values: tuple[int, ...], answer: bytes) -> list[bytes]:
    """The answer for each of these values of what was loaded; goes on after them for others."""
    return [op for value in values for op in (_op(_EQUAL, value, 0, 1), answer)]


def _op(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, k)


def _argument(index: int) -> bytes:
    """Load the low half of an argument; all those looked at are C ints or flags in the low half."""
    return _op(_LOAD, 16 + 8 * index)


def _fail(number: int) -> bytes:
    return _op(_RETURN, _ERROR | number)
