"""Runs on a bastion, as root, from memory: a real recorded session with nobody behind, and attacks on its recording.

``session``: argv is one JSON object {account, relay, marker, hold}. The window of this throw-away account is a listener
on the loopback: what is typed goes through the recorded relay, the listener answers. Prints READY, then END.
``attack``: {server, port, name, address, root}: what root of the bastion can send to the log server with its certificate.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import pwd
import select
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LOCKED = 4.0  # seconds at most that a session which does not start keeps pgssi-remote from cutting others
CERTIFICATE, KEY, AUTHORITY = "/etc/pgssi/log/host.pem", "/etc/pgssi/log/host.key", "/etc/pgssi/log/authority.pem"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def let_through(verb: str, relay: str, port: int) -> None:
    """Let the relay reach the listener through the cage of suppliers' processes, where there is one, for a while."""
    more = ' timeout 60s comment "pgssi-essai"' if verb == "add" else ""  # the comment keeps pgssi-remote off
    key = f"{pwd.getpwnam(relay).pw_uid} . 127.0.0.1 . tcp . {port}{more}"
    subprocess.run(["nft", f"{verb} element inet pgssi_remote targets4 {{ {key} }}"], capture_output=True, check=False)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold the lock of pgssi-remote, where there is one: its upkeep removes windows that it does not know."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            lock = stack.enter_context(Path("/var/lib/pgssi/remote/lock").open("rb"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def session(account: str, relay: str, marker: str, hold: float) -> None:
    window = Path("/run/pgssi-remote/windows", f"{account}.json")
    listener = socket.create_server(("127.0.0.1", 0))
    now = int(time.time())
    value = {"id": "verification", "account": account, "relay": relay, "person": "verification", "name": "Vérification",
             "equipment": "verification", "protocol": "tcp", "addresses": ["127.0.0.1"], "login": "",
             "port": listener.getsockname()[1], "start": now - 5, "end": now + 100}  # fmt: skip
    environment = {"PATH": "/usr/bin:/bin", "TERM": "dumb", "PGSSI_WINDOW": "verification", "PGSSI_SESSION": marker[-8:],
                   "PGSSI_MODE": "tcp", "SSH_CONNECTION": "127.0.0.1 1 127.0.0.1 1"}  # fmt: skip
    with undisturbed():
        window.parent.mkdir(parents=True, exist_ok=True)
        window.write_text(json.dumps(value), "utf-8")
        window.chmod(0o644)
        let_through("add", relay, value["port"])
        pid, terminal = pty.fork()
        if pid == 0:
            sudo = ["sudo", "-n", "-u", relay, "/usr/local/lib/pgssi/remote-relay"]
            os.execve("/usr/sbin/runuser", ["runuser", "-u", account, "--", *sudo], environment)
        select.select([listener], [], [], LOCKED)
    said = b""
    try:
        listener.settimeout(40)
        with listener.accept()[0] as line:
            window.unlink(missing_ok=True)
            os.write(terminal, marker.encode() + b"\n")
            line.settimeout(5)
            heard = line.recv(4096)
            line.sendall(b"REPONSE-" + heard.strip()[::-1] + b"\n")
            say("READY")
            end = time.monotonic() + hold
            while (left := end - time.monotonic()) > 0 and select.select([terminal], [], [], left)[0]:
                with contextlib.suppress(OSError):
                    if data := os.read(terminal, 4096):
                        said += data
                        continue
                break
    except TimeoutError:
        with contextlib.suppress(OSError):
            if select.select([terminal], [], [], 0)[0]:
                said = os.read(terminal, 4096)
        say(f"REFUSED {said.decode(errors='replace')[-300:]!r}")
    finally:
        window.unlink(missing_ok=True)
        let_through("delete", relay, value["port"])
        os.close(terminal)
    os.waitpid(pid, 0)
    say("END")


def field(number: int, value: bytes) -> bytes:
    size = bytearray()
    left = len(value)
    while left > 0x7F:
        size.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([number << 3 | 2]) + bytes([*size, left]) + value


def frame(number: int, body: bytes) -> bytes:
    message = field(number, body)
    return struct.pack("!I", len(message)) + message


def attack(server: str, port: int, name: str, address: str, root: str = "/srv/pgssi-recordings") -> None:
    point, again = field(2, b"\x08\x00\x10\x00"), field(1, name.encode())
    data = frame(7, field(1, b"\x08\x00\x10\x01") + field(2, b"FAUX" * 50)) + frame(8, field(2, b"FAUX" * 50))
    absolute = field(1, f"{root}/recordings/{name}".encode())
    sent = {
        "restart": frame(4, again + point) + data + frame(3, b""),
        "restart by path": frame(4, absolute + point) + data + frame(3, b""),
        "data without opening": data,
        "garbage": b"\x00\x00\x00\x09FAUXFAUXF",
    }
    say(json.dumps({what: exchange(server, port, address, payload, True) for what, payload in sent.items()}
                     | {"no certificate": exchange(server, port, address, sent["restart"], False)}))  # fmt: skip


def exchange(server: str, port: int, address: str, payload: bytes, certified: bool) -> str:
    """Return what became of one conversation: ``hello`` alone means that nothing was taken."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    if certified:
        context.load_cert_chain(CERTIFICATE, KEY)
    heard = b""
    try:
        with (
            socket.create_connection((address, port), timeout=6) as raw,
            context.wrap_socket(raw, server_hostname=server) as line,
        ):
            line.sendall(payload)
            while part := line.recv(4096):
                heard += part
    except (OSError, ssl.SSLError) as error:
        return f"{len(heard)} octets, {type(error).__name__}"
    return heard[4:].decode("utf-8", "replace")


if __name__ == "__main__":
    {"session": session, "attack": attack}[sys.argv[1]](**json.loads(sys.argv[2]))
