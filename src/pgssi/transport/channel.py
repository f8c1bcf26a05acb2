"""The control node's end of the channel: one process (ssh), one agent behind it, exact answers or an error.

The remote side is transport/agent.py, run by the host's own Python from memory: frames with lengths keep
exit status, stdout and stderr exact whatever the bytes, and the host itself enforces the timeout.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import select
import shlex
import struct
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgssi.errors import PgssiError

AGENT = Path(__file__).with_name("agent.py")
REQUEST, FRAME, RESULT = struct.Struct("!IId"), struct.Struct("!BI"), struct.Struct("!iB")
HELLO, OUT, ERR, EXIT = 0, 1, 2, 3
GRACE = 10.0  # seconds of silence after a command's own timeout before the channel counts as lost
# How ssh tells that the server turned the connection away at once: it sheds load (MaxStartups), or
# punishes this address for somebody's failed logins (PerSourcePenalties, OpenSSH 9.8: 15 s and more).
DROPPED = "kex_exchange_identification"
PATIENCE = (1.0, 5.0, 10.0, 15.0, 15.0)  # seconds between attempts then
# Reads only what it is given: nothing is left of a password that sudo did not ask for.
BOOTSTRAP = """import os
def r(n):
 b=b""
 while len(b)<n:
  c=os.read(0,n-len(b))
  if not c:os._exit(99)
  b+=c
 return b
os.write(1,b"{nonce}\\n")
b=b""
while not b.endswith(b"{nonce}"):b+=r(1)
exec(compile(r(int(r(8))),"pgssi","exec"))"""


class TransportError(PgssiError):
    """The host gave no exact answer: what was asked for is not verified."""


class Unreachable(TransportError):
    """No channel could be opened; remembered, so that it is not tried for every command."""


class ConnectionLost(TransportError):
    """The channel ended in the middle of a command, whose effect is unknown."""


class CommandTimeout(TransportError):
    """The command outlived its timeout; it was killed with its whole session."""


class OutputTooLarge(TransportError):
    """The command wrote more than the limit; it was killed."""


@dataclass(frozen=True)
class Result:
    """Exit status (128 + signal for a killed command) and exact bytes of one command."""

    rc: int
    stdout: bytes
    stderr: bytes


class Channel:
    """A root shell on one host, opened at the first command and again once after a loss.

    argv: local command line that takes a remote command as last argument (``ssh … host`` or ``sh -c``).
    password: sudo's, if it needs one. limit: bytes of output that one command may write.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        become: bool = True,
        password: str | None = None,
        python: str = "python3",
        connect_timeout: float = 30.0,
        limit: int = 1 << 30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare the channel; nothing is opened yet. connect_timeout: seconds, sudo and agent included."""
        self._argv = list(argv)
        self._become = become
        self._password = password
        self._python = python
        self._connect_timeout = connect_timeout
        self._limit = limit
        self._environment = dict(environment) if environment is not None else None
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()
        self._diagnostics = bytearray()
        self._failure: Unreachable | None = None
        self._lock = threading.Lock()
        self.release = ""  # /etc/os-release of the host, once connected

    def run(self, command: str | bytes, *, stdin: bytes = b"", timeout: float = 30.0) -> Result:
        """Run a shell command as root; raises a TransportError when its outcome is not exactly known.

        cwd ``/``, umask 022, LC_ALL=C, no terminal, a session of its own; stdin: bytes given to it (default
        none). timeout: seconds, enforced on the host.
        """
        encoded = command if isinstance(command, bytes) else command.encode("utf-8", "surrogateescape")
        with self._lock:
            self._connect()
            try:
                self._send(REQUEST.pack(len(encoded), len(stdin), timeout) + encoded + stdin)
                return self._answer(timeout)
            except BaseException as error:
                if not isinstance(error, CommandTimeout):
                    self._abandon()
                raise

    def connect(self) -> None:
        """Open the channel now, if it is not open; raises Unreachable."""
        with self._lock:
            self._connect()

    def close(self) -> None:
        """End the channel; the agent kills what still runs and leaves."""
        with self._lock:
            self._abandon()

    def _connect(self) -> None:
        if self._failure:
            raise self._failure
        if self._process and not self._ended():
            return
        for pause in (*PATIENCE, None):
            try:
                self._open()
                return
            except Unreachable as error:
                if pause is None or DROPPED not in str(error):
                    self._failure = error
                    raise
            time.sleep(pause * random.uniform(0.8, 1.2))

    def _open(self) -> None:
        self._abandon()
        nonce = "pgssi-" + secrets.token_hex(12)
        try:
            self._process = subprocess.Popen(
                [*self._argv, self._remote(nonce)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                bufsize=0,
                start_new_session=True,  # Ctrl-C reaches us first; ending the channel ends the command
            )
        except OSError as error:
            raise Unreachable(f"connexion impossible : {error}") from error
        deadline = time.monotonic() + self._connect_timeout
        try:
            self._await_bootstrap(nonce.encode(), deadline)
            source = AGENT.read_bytes()
            self._send(nonce.encode() + b"%08d" % len(source) + source)
            kind, payload = self._frame(deadline)
        except (ConnectionLost, TimeoutError) as error:
            reason = "délai dépassé" if isinstance(error, TimeoutError) else ""
            failure = self._explain(reason)
            self._abandon()
            raise Unreachable(failure) from error
        uid, _, release = payload.decode("utf-8", "replace").partition("\n")
        self.release = release
        if kind != HELLO or uid != "0":
            self._abandon()
            raise Unreachable(f"connecté sans être root (uid {uid}) : prévoir ansible_become et sudo")

    def _remote(self, nonce: str) -> str:
        script = BOOTSTRAP.format(nonce=nonce)
        start = shlex.join([self._python, "-I", "-S", "-B", "-c", script])  # -B: not even a .pyc is left
        if self._become:
            prompt = ["-S", "-p", f"{nonce}?"] if self._password else ["-n"]
            sudo = shlex.join(["sudo", "-H", *prompt, "-u", "root", "--"])
            start = f'[ "$(id -u)" = 0 ] && exec {start}; exec {sudo} {start}'
        return "exec /bin/sh -c " + shlex.quote(start)  # whatever the login shell is

    def _await_bootstrap(self, nonce: bytes, deadline: float) -> None:
        """Wait for the host's Python, past any banner; answer sudo's prompt once, never twice (lockouts)."""
        prompt, asked = nonce + b"?", 0
        while (at := self._buffer.find(nonce + b"\n")) < 0:
            self._fill(deadline)
            prompts = self._diagnostics.count(prompt)
            if prompts > asked:
                asked = prompts
                if asked > 1 or self._password is None:
                    failure = self._explain("mot de passe de sudo refusé")
                    self._abandon()
                    raise Unreachable(failure)
                self._send(self._password.encode() + b"\n")
        del self._buffer[: at + len(nonce) + 1]

    def _answer(self, timeout: float) -> Result:
        parts: dict[int, list[bytes]] = {OUT: [], ERR: []}
        size, started = 0, time.monotonic()
        while True:
            # A slow link may still be carrying output after the timeout: only silence is a loss.
            deadline = max(started + timeout, time.monotonic()) + GRACE
            try:
                kind, payload = self._frame(deadline)
            except TimeoutError as error:
                raise ConnectionLost(self._explain("l'hôte ne répond plus")) from error
            if kind == EXIT:
                rc, late = RESULT.unpack(payload)
                if late:
                    raise CommandTimeout(f"commande interrompue après {timeout:g} s")
                return Result(rc, b"".join(parts[OUT]), b"".join(parts[ERR]))
            size += len(payload)
            if size > self._limit:
                raise OutputTooLarge(f"sortie de plus de {self._limit >> 20} Mio : commande interrompue")
            parts[kind].append(payload)

    def _frame(self, deadline: float) -> tuple[int, bytes]:
        while len(self._buffer) < FRAME.size:
            self._fill(deadline)
        kind, length = FRAME.unpack_from(self._buffer)
        end = FRAME.size + length
        while len(self._buffer) < end:
            self._fill(max(deadline, time.monotonic() + GRACE))
        payload = bytes(self._buffer[FRAME.size : end])
        del self._buffer[:end]
        return kind, payload

    def _fill(self, deadline: float) -> None:
        """Read what has come, diagnostics apart; TimeoutError at the deadline, ConnectionLost at the end."""
        process = self._process
        if process is None or process.stdout is None or process.stderr is None:
            raise ConnectionLost(self._explain(""))
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        watch = select.poll()
        watch.register(process.stdout, select.POLLIN)
        if not process.stderr.closed:
            watch.register(process.stderr, select.POLLIN)
        ready = {descriptor for descriptor, _ in watch.poll(left * 1000)}
        if not process.stderr.closed and process.stderr.fileno() in ready:
            data = os.read(process.stderr.fileno(), 65536)
            self._diagnostics += data
            del self._diagnostics[:-65536]
            if not data:
                process.stderr.close()
        if process.stdout.fileno() in ready:
            data = os.read(process.stdout.fileno(), 1 << 20)
            if not data:
                self._read_last_words(process)
                raise ConnectionLost(self._explain("connexion perdue"))
            self._buffer += data

    def _read_last_words(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        if process.stderr and not process.stderr.closed:
            os.set_blocking(process.stderr.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                self._diagnostics += os.read(process.stderr.fileno(), 65536)

    def _send(self, data: bytes) -> None:
        try:
            if self._process and self._process.stdin:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._process.stdin.write(rest) or 0 :]
        except OSError as error:
            if self._process:
                self._read_last_words(self._process)
            raise ConnectionLost(self._explain("connexion perdue")) from error

    def _ended(self) -> bool:
        """Return whether the open channel is known to be dead before anything is sent through it."""
        process = self._process
        if process is None or process.stdout is None or process.poll() is not None:
            return True
        watch = select.poll()
        watch.register(process.stdout, select.POLLIN)
        return bool(watch.poll(0))  # between two commands only its end can come

    def _explain(self, reason: str) -> str:
        lines = self._diagnostics.decode("utf-8", "replace").splitlines()
        lines = [re.sub(r"pgssi-[0-9a-f]{24}\?", "", line).strip() for line in lines]  # without sudo's prompt
        said = [line for line in lines if line and not line.startswith("Warning: Permanently added")]
        code = self._process.poll() if self._process else None
        detail = " / ".join(said[-3:]) or (f"fin de la connexion (code {code})" if code is not None else "")
        return " : ".join(part for part in (reason or "connexion impossible", detail) if part)

    def _abandon(self) -> None:
        process, self._process = self._process, None
        self._buffer.clear()
        self._diagnostics.clear()
        if process is None:
            return
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
