"""In a network namespace of its own: thousands of flows end at once while the program that records them is held up.

Prints as JSON how many ends were made and written, how often at most, the record of a datagram, and those of TCP flows.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ADDRESSES = ("198.18.0.1", "2001:db8::1")
FLOWS, FIRST = 1500, 20000
TALK, PAUSE = 50_000, 1.0
NETFILTER, REQUEST, ACK = 12, 1, 4


def run(*command: str, stdin: str = "") -> None:
    """Run a command of the system; fail with what it says."""
    subprocess.run(command, input=stdin, text=True, check=True)


def records(log: Path) -> list[Any]:
    """Return the records that are written so far."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []


def wait_for(what: Any, seconds: float = 60) -> None:
    """Wait until something holds, or time is over: the test then says what is missing."""
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.2)


def forget() -> None:
    """Have the kernel end every flow that it knows (IPCTNL_MSG_CT_DELETE of linux/netfilter/nfnetlink_conntrack.h)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as kernel:
        kernel.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, REQUEST | ACK, 1, 0, socket.AF_UNSPEC, 0, 0))
        refused = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
        assert refused == 0, refused


def talk(address: str) -> int:
    """Hold one TCP connection for a second, send in both directions; return its source port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 443), family=family) as server, socket.socket(family) as client:
        client.connect((address, 443))
        one, _ = server.accept()
        with one:
            client.sendall(b"x" * TALK)
            one.sendall(b"y" * 100)
            time.sleep(PAUSE)
            port: int = client.getsockname()[1]
        return port


def main() -> None:
    """Make the world, the flows and their end; say what was written."""
    folder, program = Path(sys.argv[1]), Path(sys.argv[2])
    log = folder / "flows.jsonl"
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{ADDRESSES[0]}/32", "dev", "lo")
    run("ip", "address", "add", f"{ADDRESSES[1]}/128", "dev", "lo", "nodad")
    run("nft", "-f", "-", stdin="table inet t { chain c { type filter hook input priority 0; ct state new counter; }; }")
    for name in ("acct", "timestamp"):
        Path(f"/proc/sys/net/netfilter/nf_conntrack_{name}").write_text("1", "ascii")
    process = subprocess.Popen([sys.executable, str(program)])
    try:
        time.sleep(1)
        wanted = set()
        for address in ADDRESSES:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((address, 0))
                for port in range(FIRST, FIRST + FLOWS):
                    sender.sendto(b"x" * 10, (address, port))
                    wanted.add(("udp", address, port))
        ports = [talk(address) for address in ADDRESSES]
        process.send_signal(signal.SIGSTOP)
        forget()
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: wanted <= {(r["protocol"], r["destination"], r["destination_port"]) for r in records(log)})
        written = records(log)
    finally:
        process.kill()
        process.wait()
    seen = Counter((r["protocol"], r["destination"], r["destination_port"]) for r in written)
    said = {
        "made": len(wanted),
        "written": sum(1 for flow in wanted if seen[flow]),
        "often": max(seen[flow] for flow in wanted),
        "datagram": next(r for r in written if (r["protocol"], r["source"]) == ("udp", ADDRESSES[0])),
        "talks": [r for r in written if r["protocol"] == "tcp" and r["source_port"] in ports],
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
