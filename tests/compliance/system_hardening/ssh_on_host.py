"""Runs on the host, as root, through `python3 -c`: what each SSH server that listens offers, read from the wire.

Prints one JSON answer. Standard library only. RFC 4253, 4.2 and 7.1.
"""

import json
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

SERVERS = ("sshd", "dropbear", "dropbearmulti", "tinysshd", "systemd")  # systemd holds the socket of a server that it starts
LISTS = ("kex", "host_keys", "ciphers_in", "ciphers_out", "macs_in", "macs_out")
MARKERS = ("ext-info-s", "kex-strict-s-v00@openssh.com")  # not algorithms
ANY = {"*": "::1", "::": "::1", "0.0.0.0": "127.0.0.1"}


def run(*command):
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def program(pid):
    """Return the name of the program that a process runs, updated or not since."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.split(" ")[0]
    except OSError:
        return ""


def speaks_ssh(pid):
    """Tell whether a process may be an SSH server: by its program, or by the title that sshd takes under any name."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return program(pid) in SERVERS or b" [listener] " in title


def places():
    """Return (address to connect to, port) of every socket of a program that may be an SSH server."""
    found = set()
    for line in run("ss", "-Htlnp").splitlines():
        if not any(speaks_ssh(pid) for pid in re.findall(r"pid=(\d+)", line)):
            continue
        address, _, port = line.split()[3].rpartition(":")
        address = address.strip("[]").partition("%")[0]
        found.add((ANY.get(address, address), int(port)))
        if address == "*":  # both families
            found.add(("127.0.0.1", int(port)))
    return sorted(found)


def connect(address, port, number):
    """Return a connection; from an address of its own, since a server may hold connections against theirs."""
    source = (f"127.8.{number // 250}.{number % 250 + 1}", 0) if address == "127.0.0.1" else None
    return socket.create_connection((address, port), 5, source_address=source)


def offer(address, port, number):
    """Return what a server says of itself and its lists of algorithms; None when it speaks no SSH."""
    with connect(address, port, number) as link:
        read, end = b"", time.monotonic() + 10
        while b"\n" not in read and time.monotonic() < end:
            piece = link.recv(4096)
            if not piece:
                break
            read += piece
        if not read.startswith(b"SSH-"):
            return None
        link.sendall(b"SSH-2.0-essai\r\n")
        name, _, rest = read.partition(b"\n")
        while (len(rest) < 4 or len(rest) < 4 + struct.unpack(">I", rest[:4])[0]) and time.monotonic() < end:
            piece = link.recv(8192)
            if not piece:
                break
            rest += piece
    found, body, strict = {"name": name.decode("ascii", "replace").strip()}, rest[22:], False
    for part in LISTS:
        (size,) = struct.unpack(">I", body[:4])
        names = body[4 : 4 + size].decode("ascii").split(",")
        strict = strict or MARKERS[1] in names
        found[part] = [name for name in names if name and name not in MARKERS]
        body = body[4 + size :]
    return {**found, "address": address, "port": port, "strict": strict}


def keys(address, port, algorithms):
    """Return the host keys that a server shows: [bits, type]."""
    kinds = {"ssh-rsa" if "rsa" in name else name for name in algorithms if "cert" not in name and "webauthn" not in name}
    types = {"ssh-rsa": "rsa", "ssh-ed25519": "ed25519", "ssh-dss": "dsa"}
    wanted = sorted({types.get(kind, "ecdsa") for kind in kinds if not kind.startswith("sk-")})
    shown = run("ssh-keyscan", "-T", "10", "-p", str(port), "-t", ",".join(wanted), address)
    read = subprocess.run(["ssh-keygen", "-l", "-f", "-"], input=shown, capture_output=True, text=True, check=False).stdout
    return [[int(line.split()[0]), line.split()[-1].strip("()")] for line in read.splitlines()]


def main():
    """Print the offers of every server, or why one could not be read."""
    answer = []
    for number, (address, port) in enumerate(places()):
        try:
            found = offer(address, port, number)
        except (OSError, ValueError, struct.error) as error:
            if program_is_ssh(port):
                answer.append({"address": address, "port": port, "fault": f"{type(error).__name__} {error}"})
            continue
        if found:
            answer.append({**found, "keys": keys(address, port, found["host_keys"])})
    sys.stdout.write(json.dumps(answer) + "\n")


def program_is_ssh(port):
    """Tell whether something else than systemd listens on a port: its silence matters then."""
    lines = [line for line in run("ss", "-Htlnp").splitlines() if line.split()[3].endswith(f":{port}")]
    return any(speaks_ssh(pid) and program(pid) != "systemd" for line in lines for pid in re.findall(r"pid=(\d+)", line))


main()
