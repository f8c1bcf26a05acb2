"""Runs on the host, as root, through `python3 -c`: parameters as the kernel has them, and what an ordinary account can do.

Prints one JSON answer. Standard library only.
"""

import ctypes
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {"x86_64": {"bpf": 321, "perf": 298}, "aarch64": {"bpf": 280, "perf": 241}}


def as_nobody(task):
    """Run task() in a process of an ordinary account; return its JSON, None when it died."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer = None
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            LIBC.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: what Yama decides, not that this process was root
            answer = task()
        except OSError as error:
            answer = {"errno": error.errno}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return json.loads(said or "null")


def kernel_log():
    """Tell whether the kernel's log can be read."""
    return LIBC.klogctl(10, None, 0) >= 0 if hasattr(LIBC, "klogctl") else False  # SYSLOG_ACTION_SIZE_BUFFER


def kernel_addresses():
    """Tell whether the addresses of the kernel can be read."""
    with Path("/proc/kallsyms").open(encoding="ascii") as stream:
        return any(set(stream.readline().split()[0]) - {"0"} for _ in range(50))


def call(name, *arguments):
    """Tell whether a system call succeeds; None where its number is unknown."""
    number = CALLS.get(platform.machine(), {}).get(name)
    if number is None:
        return None
    found = LIBC.syscall(number, *arguments)
    if found >= 0:
        os.close(found)
    return found >= 0


def perf():
    """Tell whether a counter that looks into the kernel can be opened."""
    attributes = ctypes.create_string_buffer(128)
    ctypes.memmove(attributes, (1).to_bytes(4, sys.byteorder) + (128).to_bytes(4, sys.byteorder), 8)  # software, CPU clock
    return call("perf", attributes, 0, -1, -1, 0)


def bpf():
    """Tell whether a BPF map can be made."""
    fields = b"".join(number.to_bytes(4, sys.byteorder) for number in (2, 4, 4, 1))  # array, keys, values, entries
    return call("bpf", 0, ctypes.create_string_buffer(fields + bytes(112)), 128)


def attach():
    """Tell whether a process can attach to one of the same account that it did not start."""
    victim = os.fork()
    if victim == 0:
        LIBC.prctl(4, 1, 0, 0, 0)
        signal.pause()
        os._exit(0)
    spy = os.fork()
    if spy == 0:
        done = LIBC.ptrace(16, victim, None, None) == 0  # PTRACE_ATTACH
        os._exit(7 if done else 0)
    status = os.waitstatus_to_exitcode(os.waitpid(spy, 0)[1])
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    return status == 7


def layout():
    """Return where the stack, the heap and the C library of a new program are."""
    found = {}
    for line in os.popen("cat /proc/self/maps").read().splitlines():
        for part in ("[stack]", "[heap]", "libc"):
            if part in line:
                found.setdefault(part, line.split("-")[0])
    return found


def traps():
    """Return which traps of an ordinary account root walks into, in a folder open to all."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        secret = folder / "secret"
        secret.write_text("root", "ascii")
        secret.chmod(0o644)

        def lay():
            (folder / "lien").symlink_to(secret)
            os.mkfifo(folder / "tube", 0o666)
            (folder / "fichier").touch(0o666)
            try:
                os.link(secret, folder / "dur")
            except OSError:
                return []
            return ["lien dur"]

        fallen = as_nobody(lay)
        created = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK
        for trap, flags in (("lien", os.O_RDONLY), ("tube", created), ("fichier", created)):
            try:
                os.close(os.open(folder / trap, flags, 0o600))
                fallen.append(trap)
            except PermissionError:
                continue
    return fallen


def parameters():
    """Return every parameter of the kernel that the tests judge, by its name below /proc/sys."""
    found = {}
    kept = ("kernel", "vm", "fs", "net/core", "net/ipv4", "net/ipv4/conf/*", "net/ipv6/conf/*")
    for path in (path for folder in kept for path in Path("/proc/sys").glob(f"{folder}/*")):
        try:
            if path.is_file():
                found[str(path.relative_to("/proc/sys"))] = path.read_text("ascii", "replace").strip()[:40]
        except OSError:
            continue
    yama = Path("/proc/sys/kernel/yama/ptrace_scope")
    if yama.exists():
        found["kernel/yama/ptrace_scope"] = yama.read_text("ascii").strip()
    return found


def container():
    """Tell whether this is a container, and whether it may set parameters of its own network."""
    inside = Path("/run/systemd/container").exists() or Path("/run/.containerenv").exists()
    return {"inside": inside, "network": os.access("/proc/sys/net/ipv4/tcp_syncookies", os.W_OK) and not read_only()}


def read_only():
    """Tell whether the parameters are mounted read-only."""
    return bool(os.statvfs("/proc/sys").f_flag & os.ST_RDONLY)


def main():
    """Do what the argument says: state, or traps (which makes files for a moment)."""
    if sys.argv[1] == "traps":
        answer = traps()
    else:
        answer = {
            "container": container(),
            "parameters": parameters(),
            "log": as_nobody(kernel_log),
            "addresses": as_nobody(kernel_addresses),
            "perf": as_nobody(perf),
            "bpf": as_nobody(bpf),
            "attach": as_nobody(attach),
            "layouts": [as_nobody(layout) for _ in range(3)],
        }
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
