"""Runs on the audited host, as root, from memory only: one command at a time, its outputs in frames.

Sent through the channel's standard input by pgssi.transport.channel and never written to disk. Standard
library only, Python 3.8 or later. The channel is file descriptors 0 and 1; commands never inherit them.

Request:  REQUEST (bytes of command, bytes of standard input, timeout in seconds), command, input.
Answer:   FRAME (kind, bytes) + payload, any number of OUT and ERR, then one EXIT holding RESULT
          (exit status, 128 + signal when killed; 1 when the timeout struck).
"""

from __future__ import annotations

import os
import select
import signal
import struct
import time
from pathlib import Path

REQUEST = struct.Struct("!IId")
FRAME = struct.Struct("!BI")
RESULT = struct.Struct("!iB")
HELLO, OUT, ERR, EXIT = 0, 1, 2, 3
CHUNK = 1 << 20
ARGUMENT_MAX = 100_000  # the kernel refuses a longer single argument (MAX_ARG_STRLEN, 128 KiB)
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "TERM": "dumb",
    "LC_ALL": "C",
}


class Gone(Exception):
    """The control node closed the channel."""


def receive(count: int) -> bytes:
    """Read exactly this many bytes of the channel."""
    data = bytearray()
    while len(data) < count:
        part = os.read(0, count - len(data))
        if not part:
            raise Gone
        data += part
    return bytes(data)


def send(data: bytes | bytearray) -> None:
    """Write all of it to the channel."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def frame(kind: int, payload: bytes) -> bytes:
    """Return the payload behind its header."""
    return FRAME.pack(kind, len(payload)) + payload


def in_memory(data: bytes) -> int:
    """Return a descriptor that reads these bytes: a child may read them slowly without blocking us."""
    descriptor = os.memfd_create("pgssi", os.MFD_CLOEXEC)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def spawn(command: bytes, data: bytes) -> tuple[int, int, int]:
    """Start the command in a session of its own, without a terminal; return its pid and its two pipes."""
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    stdin = in_memory(data) if data else os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    opened = [out_end, err_end, stdin]
    actions = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((stdin, 0), (out_end, 1), (err_end, 2))]
    argv = [b"sh", b"-c", command]
    if len(command) > ARGUMENT_MAX or b"\0" in command:
        script = in_memory(command)
        opened.append(script)
        actions.append((os.POSIX_SPAWN_DUP2, script, 199))
        argv = [b"sh", b"/proc/self/fd/199"]
    restored = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores these, commands must not
    pid = os.posix_spawn("/bin/sh", argv, ENVIRONMENT, file_actions=actions, setsid=True, setsigdef=restored)
    for descriptor in opened:
        os.close(descriptor)
    return pid, out, err


def kill(pid: int) -> None:
    """Kill the whole process group of a command that was not yet waited for."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def run(command: bytes, data: bytes, timeout: float, wake: int) -> None:
    """Run one command and send its frames. wake: descriptor that a child's end makes readable."""
    pid, out, err = spawn(command, data)
    kinds = {out: OUT, err: ERR}
    for descriptor in kinds:
        os.set_blocking(descriptor, False)
    watch = select.poll()
    for descriptor in (0, out, err, wake):
        watch.register(descriptor, select.POLLIN)
    deadline, late, pending = time.monotonic() + timeout, 0, bytearray()
    status = None
    try:
        while status is None:
            left = deadline - time.monotonic()
            if left <= 0 and not late:
                late = 1
                kill(pid)
            ready = {descriptor for descriptor, _ in watch.poll(None if late else max(left, 0) * 1000 + 1)}
            if 0 in ready:  # nothing is ever sent during a command: this is the end of the channel
                raise Gone
            if wake in ready:
                os.read(wake, 4096)
                ended, code = os.waitpid(pid, os.WNOHANG)
                if ended:
                    status = code
            # Once it has ended, one more read takes all that the pipe holds; what a surviving child of the
            # command writes later is nobody's output.
            for descriptor, kind in list(kinds.items()):
                due = descriptor in ready or status is not None
                if due and not forward(descriptor, kind, pending):
                    watch.unregister(descriptor)
                    del kinds[descriptor]
    except BaseException:
        kill(pid)
        raise
    finally:
        os.close(out)
        os.close(err)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    send(pending + frame(EXIT, RESULT.pack(code, late)))  # one write: one packet for most commands


def forward(descriptor: int, kind: int, pending: bytearray) -> bool:
    """Take what the pipe holds; return False at its end."""
    try:
        data = os.read(descriptor, CHUNK)
    except BlockingIOError:
        return True
    if data:
        pending += frame(kind, data)
        if len(pending) > 65536:
            send(pending)
            pending.clear()
    return bool(data)


def main() -> None:
    """Serve requests until the channel ends."""
    os.chdir("/")
    os.umask(0o022)
    wake, wake_end = os.pipe()
    os.set_blocking(wake_end, False)
    signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        release = Path("/etc/os-release").read_bytes()[:4096]
    except OSError:
        release = b""
    try:
        send(frame(HELLO, b"%d\n%s" % (os.geteuid(), release)))
        while True:
            command, data, timeout = REQUEST.unpack(receive(REQUEST.size))
            run(receive(command), receive(data), timeout, wake)
    except (Gone, BrokenPipeError):
        os._exit(0)


if __name__ == "__main__":
    main()
