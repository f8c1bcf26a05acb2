"""Run on a RADIUS server by the tests of the Wi-Fi, over standard input: what an access point would send it."""

import hashlib
import hmac
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

ACCESS_REQUEST, ACCOUNTING_REQUEST = 1, 4
USER, ADDRESS, CALLED, CALLING, STATUS, INPUT, OUTPUT = 1, 8, 30, 31, 40, 42, 43
SESSION, SECONDS, CAUSE, AUTHENTICATOR = 44, 46, 49, 80
UNUSABLE = 0x48  # IFA_F_TENTATIVE, IFA_F_DADFAILED
SAYS = re.compile(r"EAP|SSL|TLS|OpenSSL|RADIUS message|SUCCESS|FAILURE")


def eapol(asked):
    """Let devices talk to the server, all at once."""
    os.umask(0o077)
    with TemporaryDirectory(prefix="pgssi-essai.", dir="/run") as folder, ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda one: talk(f"{folder}/{one[0]}", **one[1]), enumerate(asked)))


def talk(place, files, port, secret, called, mac):
    """Let a device talk to the server through eapol_test; return what was said, and the certificates that it was shown."""
    for name, content in files.items():
        Path(f"{place}.{name}").write_text(content.replace("%PLACE%", place), encoding="ascii")
    program = next(path for path in ("/usr/bin/eapol_test", "/usr/sbin/eapol_test") if Path(path).exists())
    command = [program, "-c", f"{place}.conf", "-a", "127.0.0.1", "-p", str(port), "-s", secret, "-t", "25", "-M", mac]
    command += [f"-N{CALLED}:s:{called}", "-o", f"{place}.shown"]
    shown = Path(f"{place}.shown")
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=60)
    certificates = shown.read_text("ascii") if shown.exists() else ""
    _, _, accept = done.stdout.partition("RADIUS message: code=2 ")
    said = [line for line in done.stdout.splitlines() if SAYS.search(line) and "hexdump" not in line]
    return {"text": "\n".join(said), "accept": accept[:4000], "shown": certificates}


def attribute(kind, value):
    return struct.pack("!BB", kind, len(value) + 2) + value


def packet(code, secret, attributes, signed=True):
    """Return one RADIUS request; signed: with Message-Authenticator (RFC 2869), as the server must demand it."""
    body = b"".join(attribute(kind, value) for kind, value in attributes)
    identifier = os.urandom(1)[0]
    if code == ACCOUNTING_REQUEST:
        head = struct.pack("!BBH", code, identifier, 20 + len(body))
        return head + hashlib.md5(head + bytes(16) + body + secret).digest() + body
    random = os.urandom(16)
    size = 20 + len(body) + (18 if signed else 0)
    head = struct.pack("!BBH", code, identifier, size) + random
    if not signed:
        return head + body
    body = attribute(AUTHENTICATOR, bytes(16)) + body
    mark = hmac.new(secret, head + body, "md5").digest()
    return head + attribute(AUTHENTICATOR, mark) + body[18:]


def answers(server, port, data, source="", seconds=6.0):
    """Send a request; return the code of the answer, 0 when there is none."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as line:
        if source:
            line.bind(socket.getaddrinfo(source, 0, family)[0][4])
        line.settimeout(seconds)
        line.connect(socket.getaddrinfo(server, port, family)[0][4])
        line.send(data)
        try:
            return line.recv(4096)[0]
        except OSError:
            return 0


def link_local():
    """Return the addresses that this host gave itself, v6, one for each link: no access point is declared by one of them."""
    lines = Path("/proc/net/if_inet6").read_text("ascii").splitlines() if Path("/proc/net/if_inet6").exists() else []
    found = [
        (bytes.fromhex(words[0]), words[5])
        for words in map(str.split, lines)
        if words[3] == "20" and not int(words[4], 16) & UNUSABLE
    ]
    return [f"{socket.inet_ntop(socket.AF_INET6, address)}%{link}" for address, link in found]


def strangers(port, secret, called, sources):
    """Ask without EAP in several ways, each of which has to stay without answer but the first, all at once; return the codes."""
    what = [(USER, b"essai"), (CALLED, called.encode()), (2, bytes(16))]
    good, wrong, known = secret.encode(), os.urandom(16).hex().encode(), b"testing123"
    asked = {}
    for server in ("127.0.0.1", "::1"):
        asked[f"secret déclaré, {server}"] = (server, packet(ACCESS_REQUEST, good, what))
        asked[f"sans Message-Authenticator, {server}"] = (server, packet(ACCESS_REQUEST, good, what, signed=False))
        asked[f"autre secret, {server}"] = (server, packet(ACCESS_REQUEST, wrong, what))
        asked[f"secret d'usine, {server}"] = (server, packet(ACCESS_REQUEST, known, what))
    for server, source in [("127.0.0.1", "127.0.0.2"), *((address, address) for address in (*sources, *link_local()))]:
        for name, value in (("secret déclaré", good), ("secret d'usine", known)):
            asked[f"{name}, depuis {source}"] = (server, packet(ACCESS_REQUEST, value, what), source)
    with ThreadPoolExecutor(len(asked)) as pool:
        codes = pool.map(lambda one: answers(one[0], port, *one[1:]), asked.values())
        return dict(zip(asked, codes, strict=True))


def session(port, secret, identity, called, mac, number):
    """Tell the server of a session, its start and its end; return the codes of its answers."""
    common = [(USER, identity.encode()), (CALLED, called.encode()), (CALLING, mac.encode()), (SESSION, number.encode()),
              (ADDRESS, socket.inet_aton("192.0.2.77"))]  # fmt: skip
    start = [*common, (STATUS, struct.pack("!I", 1))]
    end = [*common, (STATUS, struct.pack("!I", 2)), (SECONDS, struct.pack("!I", 4321)), (INPUT, struct.pack("!I", 123456)),
           (OUTPUT, struct.pack("!I", 654321)), (CAUSE, struct.pack("!I", 1))]  # fmt: skip
    codes = []
    for what in (start, end):
        codes.append(answers("127.0.0.1", port, packet(ACCOUNTING_REQUEST, secret.encode(), what)))
        time.sleep(0.2)
    return codes


ACTIONS = {action.__name__: action for action in (eapol, strangers, session)}


def main(order):
    """Do what an order says and print its answer."""
    sys.stdout.write(json.dumps(ACTIONS[order.pop("do")](**order)))
