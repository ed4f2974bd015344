"""Programs that attack the machine. Each prints ESCAPED only when its attack worked."""

from __future__ import annotations

import platform

PREFIX = """\
import ctypes, errno, os, signal, socket, struct, subprocess, sys, threading, time
VICTIM, HOME, PARENT, PORT, ABSTRACT = {victim!r}, {home!r}, {parent}, {port}, {abstract!r}
NUMBERS = {numbers!r}
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    "A raw system call; an error of the kernel's is an exception, except that it got as far as its arguments."
    result = libc.syscall(NUMBERS[name], *arguments)
    if result < 0:
        number = ctypes.get_errno()
        if number in (errno.EPERM, errno.ENOSYS, errno.EACCES):
            raise OSError(number, os.strerror(number))
    return result

def escaped():
    os.write(1, b"ESCAPED\\n")
"""

PROCESSES = {
    "fork": "os.fork()\nescaped()",
    "fork_bomb": "while True:\n    os.fork()\n    escaped()",
    "vfork_and_clone": "call('vfork')\nescaped()",
    "clone": "call('clone', 17, 0, 0, 0, 0)\nescaped()",
    "clone3": "call('clone3', struct.pack('11Q', 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88)\nescaped()",
    "subprocess": "subprocess.run(['/bin/sh', '-c', 'true'])\nescaped()",
    "os_system": "assert os.system('true') == 0\nescaped()",
    "posix_spawn": "os.posix_spawn(sys.executable, [sys.executable, '-c', ''], {})\nescaped()",
    "multiprocessing": "import multiprocessing\nmultiprocessing.Process(target=escaped).start()\nescaped()",
    "process_pool": """
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2) as pool:
            pool.submit(int).result()
        escaped()
        """,
    "pty_fork": "import pty\npty.fork()\nescaped()",
    "exec_of_a_shell": "os.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED; sleep 9'])",
    "exec_by_loader": "os.execv('/lib64/ld-linux-x86-64.so.2', ['ld', '/bin/echo', 'ESCAPED'])",
    "exec_of_memory": "fd = call('memfd_create', b'x', 0)\nescaped()",
    "daemon": "os.fork() or (os.setsid(), os.fork() or time.sleep(60))\nescaped()",
    "ignores_every_signal": """
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        time.sleep(60)
        """,
    "stops_itself": "os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(60)",
    "sleeps_for_ever": "time.sleep(3600)",
    "waits_for_ever_in_a_thread": "threading.Thread(target=time.sleep, args=(3600,)).start()",
    "never_ends_at_exit": "import atexit\natexit.register(time.sleep, 3600)",
    "closes_its_output_and_stays": "os.closerange(0, 100)\ntime.sleep(3600)",
    "outlives_its_parent": "assert libc.prctl(1, 0, 0, 0, 0) == 0\nescaped()",
    "thread_bomb": """
        threading.stack_size(1 << 16)
        for _ in range(5000):
            threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
        escaped()
        """,
}

FLOODS = {
    "memory": "a = [bytearray(1 << 28) for _ in range(64)]\nescaped()",
    "memory_by_mmap": "import mmap\na = [mmap.mmap(-1, 1 << 30) for _ in range(16)]\nescaped()",
    "memory_by_threads": """
        def eat(): bytearray(6 << 30); escaped()
        for _ in range(4): threading.Thread(target=eat).start()
        """,
    "processor": "while True: pass",
    "processor_in_c": "sum(range(10**12))",
    "regular_expression": "import re\nre.match('(a*)*b', 'a' * 60)",
    "large_power": "x = 9 ** 9 ** 9\nescaped()",
    "stdout": "while True: os.write(1, b'x' * 65536)",
    "stderr": "while True: os.write(2, b'x' * 65536)",
    "disk": """
        for i in range(100):
            with open(f"/tmp/{i}", "wb") as file:
                for _ in range(16): file.write(bytes(1 << 20))
        escaped()
        """,
    "large_file": "open('/tmp/a', 'wb').truncate(1 << 40)\nescaped()",
    "inodes": "for i in range(10**6): open(f'/tmp/{i}', 'w').close()\nescaped()",
    "folders": "for i in range(10**6): os.mkdir(f'/tmp/{i}')\nescaped()",
    "shared_memory": "with open('/dev/shm/a', 'wb') as f: f.write(bytes(8 << 20))\nescaped()",
    "descriptors": "a = [os.open('/dev/null', os.O_RDONLY) for _ in range(1000)]\nescaped()",
    "descriptors_in_flight": """
        a, b = socket.socketpair()
        a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))])
        escaped()
        """,
    "larger_pipes": "import fcntl\nfcntl.fcntl(os.pipe()[0], 1031, 1 << 20)\nescaped()",
    "pipes": "a = [os.pipe() for _ in range(500)]\nescaped()",
    "core_dump": "ctypes.string_at(0)",
    "stack_in_c": "import re\nre.compile('(' * 10**6 + ')' * 10**6)\nescaped()",
    "higher_limits": """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))
        escaped()
        """,
    "higher_limits_of_another": """
        import resource
        resource.prlimit(PARENT, resource.RLIMIT_NOFILE, (10, 10))
        escaped()
        """,
}

NETWORK = {
    "tcp": "s = socket.socket()\ns.connect(('127.0.0.1', PORT))\nescaped()",
    "tcp6": "s = socket.socket(socket.AF_INET6)\nescaped()",
    "udp": "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'x', ('8.8.8.8', 53))\nescaped()",
    "listening": "s = socket.create_server(('127.0.0.1', 0))\nescaped()",
    "unix": "s = socket.socket(socket.AF_UNIX)\nescaped()",
    "abstract": "s = socket.socket(socket.AF_UNIX)\ns.connect('\\0' + ABSTRACT)\nescaped()",
    "datagram_pair_sent_elsewhere": """
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        escaped()
        """,
    "stream_pair_connected_elsewhere": """
        a, b = socket.socketpair()
        b.close()
        a.connect('\\0' + ABSTRACT)
        escaped()
        """,
    "netlink": "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)\nescaped()",
    "packet": "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\nescaped()",
    "vsock": "s = socket.socket(socket.AF_VSOCK)\nescaped()",
    "kernel_crypto": "s = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)\nescaped()",
    "name_lookup": "socket.getaddrinfo('example.com', 80)\nescaped()",
    "download": "import urllib.request as u\nu.urlopen(f'http://127.0.0.1:{PORT}/', timeout=1)\nescaped()",
    "io_uring": "call('io_uring_setup', 8, bytes(120))\nescaped()",
}

KERNEL = {
    "ptrace": "call('ptrace', 16, PARENT, 0, 0)\nescaped()",
    "memory_of_another": "call('process_vm_readv', PARENT, 0, 0, 0, 0, 0)\nescaped()",
    "unshare": "call('unshare', 0x10000000)\nescaped()",
    "setns": "call('setns', 0, 0)\nescaped()",
    "mount": "call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)\nescaped()",
    "umount": "call('umount2', b'/proc', 2)\nescaped()",
    "pivot_root": "call('pivot_root', b'/', b'/')\nescaped()",
    "chroot": "call('chroot', b'/tmp')\nescaped()",
    "new_mount_calls": "call('fsopen', b'tmpfs', 0)\nescaped()",
    "bpf": "call('bpf', 0, bytes(128), 128)\nescaped()",
    "perf": "call('perf_event_open', bytes(128), 0, -1, -1, 0)\nescaped()",
    "userfaultfd": "call('userfaultfd', 1)\nescaped()",
    "keyring": "call('add_key', b'user', b'x', b'y', 1, -2)\nescaped()",
    "keyctl": "call('keyctl', 0, -3, 0)\nescaped()",
    "shared_memory_of_system_v": "call('shmget', 4242, 4096, 0o1666)\nescaped()",
    "messages_of_system_v": "call('msgget', 4242, 0o1666)\nescaped()",
    "message_queue": "call('mq_open', b'localrl', 0o102, 0o666, 0)\nescaped()",
    "file_handles": "call('open_by_handle_at', 0, 0, 0)\nescaped()",
    "fanotify": "call('fanotify_init', 0, 0)\nescaped()",
    "personality": "call('personality', 0x0040000)\nescaped()",
    "kernel_module": "call('init_module', b'', 0, b'')\nescaped()",
    "reboot": "call('reboot', 0, 0, 0, 0)\nescaped()",
    "host_name": "call('sethostname', b'x', -1)\nescaped()",
    "clock": "call('clock_settime', 0, struct.pack('qq', 0, -1))\nescaped()",
    "new_system_calls": "assert libc.syscall(452, -100, VICTIM.encode(), 0o777, 0) == 0\nescaped()",
}

if platform.machine() == "x86_64":
    KERNEL["foreign_architecture"] = """
        import mmap
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20; int 0x80; ret: getpid of 32-bit x86
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        escaped()
        """

OTHERS = {
    "signal_to_the_parent": "os.kill(PARENT, signal.SIGUSR1)\nescaped()",
    "signal_to_all": "os.kill(-1, signal.SIGWINCH)\nescaped()",
    "signal_to_a_thread_of_the_parent": "call('tgkill', PARENT, PARENT, signal.SIGWINCH) or escaped()",
    "owner_of_a_socket": """
        import fcntl
        a, b = socket.socketpair()
        fcntl.fcntl(a, fcntl.F_SETOWN, PARENT)
        fcntl.fcntl(a, fcntl.F_SETFL, os.O_NONBLOCK | 0o20000)
        b.send(b"x")
        escaped()
        """,
    "owner_of_a_socket_with_a_signal_of_choice": """
        import fcntl
        a, b = socket.socketpair()
        fcntl.ioctl(a, 0x8901, struct.pack("i", PARENT))
        fcntl.fcntl(a, 10, signal.SIGUSR1)
        fcntl.ioctl(a, 0x5452, struct.pack("i", 1))
        b.send(b"x")
        escaped()
        """,
    "owner_of_a_socket_that_gets_urgent_bytes": """
        import fcntl
        a, b = socket.socketpair()
        fcntl.fcntl(a, 15, struct.pack("ii", 1, PARENT))
        b.send(b"x", socket.MSG_OOB)
        escaped()
        """,
    "owner_of_a_pipe": """
        import fcntl
        a, b = os.pipe()
        fcntl.fcntl(a, fcntl.F_SETOWN, PARENT)
        escaped()
        """,
    "pidfd": "os.pidfd_open(PARENT)\nescaped()",
    "renice_the_parent": "os.setpriority(os.PRIO_PROCESS, PARENT, 19)\nescaped()",
    "renice_the_user": "os.setpriority(os.PRIO_USER, 0, 19)\nescaped()",
    "affinity_of_the_parent": "os.sched_setaffinity(PARENT, {0})\nescaped()",
    "scheduler_of_the_parent": "os.sched_setscheduler(PARENT, os.SCHED_IDLE, os.sched_param(0))\nescaped()",
    "io_priority": "call('ioprio_set', 3, os.getuid(), 24576)\nescaped()",
    "environment_of_the_parent": "open(f'/proc/{PARENT}/environ').read()\nescaped()",
    "memory_file_of_the_parent": "open(f'/proc/{PARENT}/mem', 'r+b')\nescaped()",
    "root_of_the_parent": "os.listdir(f'/proc/{PARENT}/root/etc')\nescaped()",
    "descriptors_of_the_parent": "os.listdir(f'/proc/{PARENT}/fd')\nescaped()",
    "kernel_settings": "open('/proc/sys/kernel/core_pattern', 'r+')\nescaped()",
    "system_request": "open('/proc/sysrq-trigger', 'w').write('h')\nescaped()",
    "out_of_memory_score": "open('/proc/self/oom_score_adj', 'w').write('-1000')\nescaped()",
    "terminal_input": "import fcntl\nfcntl.ioctl(os.open('/dev/tty', os.O_RDWR), 0x5412, b'x')\nescaped()",
    "kernel_memory": """
        for name in ("kallsyms", "kcore", "kmsg", "kpageflags", "vmallocinfo", "timer_list", "keys"):
            try:
                if not os.read(os.open(f"/proc/{name}", os.O_RDONLY | os.O_NONBLOCK), 16): continue
            except OSError: continue
            escaped()
        """,
    "raw_disk": "open('/dev/vda', 'rb').read(1)\nescaped()",
    "raw_memory": "open('/dev/mem', 'rb').read(1)\nescaped()",
    "gpu": "os.open('/dev/nvidiactl', os.O_RDWR)\nescaped()",
}

FILES = {
    "read": "open(VICTIM).read()\nescaped()",
    "read_through_a_link": "os.symlink(VICTIM, '/tmp/link')\nopen('/tmp/link').read()\nescaped()",
    "read_through_proc": "open('/proc/self/root' + VICTIM).read()\nescaped()",
    "read_through_cwd": "os.chdir(os.path.dirname(VICTIM))\nopen('secret').read()\nescaped()",
    "read_by_descriptor_walk": "open(f'/proc/self/cwd/../../../../..{VICTIM}').read()\nescaped()",
    "list_its_folder": "os.listdir(os.path.dirname(VICTIM))\nescaped()",
    "passwords": "open('/etc/shadow').read()\nescaped()",
    "keys": "os.listdir(HOME + '/.ssh')\nescaped()",
    "write": "open(VICTIM, 'w').write('x')\nescaped()",
    "append": "open(VICTIM, 'a').write('x')\nescaped()",
    "truncate": "os.truncate(VICTIM, 0)\nescaped()",
    "delete": "os.unlink(VICTIM)\nescaped()",
    "rename": "os.rename(VICTIM, VICTIM + '2')\nescaped()",
    "hard_link": "os.link(VICTIM, '/tmp/linked')\nescaped()",
    "new_file": "open(os.path.dirname(VICTIM) + '/new', 'w')\nescaped()",
    "new_folder": "os.mkdir(os.path.dirname(VICTIM) + '/new')\nescaped()",
    "new_link": "os.symlink('/', os.path.dirname(VICTIM) + '/new')\nescaped()",
    "new_fifo": "os.mkfifo(os.path.dirname(VICTIM) + '/new')\nescaped()",
    "new_device": "os.mknod('/tmp/device', 0o20666, os.makedev(1, 1))\nescaped()",
    "mode": "os.chmod(VICTIM, 0o777)",
    "mode_of_a_device": "for name in ('zero', 'full', 'null'): os.chmod(f'/dev/{name}', 0o646)",
    "owner": "os.chown(VICTIM, os.getuid(), os.getgid())\nescaped()",
    "times": "os.utime(VICTIM, (0, 0))",
    "attributes": "os.setxattr(VICTIM, 'user.x', b'y')\nescaped()",
    "lock": "import fcntl\nfcntl.flock(os.open(VICTIM, os.O_RDONLY), fcntl.LOCK_EX)\nescaped()",
    "flags": """
        import fcntl
        fcntl.ioctl(os.open(os.__file__, os.O_RDONLY), 0x40086602, struct.pack("q", 0x80))
        escaped()
        """,
    "lease": """
        import fcntl
        fcntl.fcntl(os.open(os.__file__, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)
        escaped()
        """,
    "watch_of_a_folder": """
        import fcntl
        fcntl.fcntl(os.open(os.path.dirname(os.__file__), os.O_RDONLY), fcntl.F_NOTIFY, 1)
        escaped()
        """,
    "standard_library": "open(os.__file__, 'a').write('x')\nescaped()",
    "interpreter": "open(sys.executable, 'r+b')\nescaped()",
    "harness": "import glob\nopen((glob.glob('/inside/*.py') or [sys.executable])[0], 'a')\nescaped()",
    "own_program": """
        for fd in range(3, 64):
            try: os.pwrite(fd, b"x", 0)
            except OSError: continue
            escaped()
        """,
    "own_input": "os.ftruncate(0, 1 << 20)\nescaped()",
    "home": "open(HOME + '/.localrl-hostile', 'w')\nescaped()",
    "root_folder": "open('/hostile', 'w')\nescaped()",
}

PROGRAMS = {
    f"{kind}/{name}": text
    for kind, group in {
        "process": PROCESSES,
        "flood": FLOODS,
        "network": NETWORK,
        "kernel": KERNEL,
        "other": OTHERS,
        "file": FILES,
    }.items()
    for name, text in group.items()
}
