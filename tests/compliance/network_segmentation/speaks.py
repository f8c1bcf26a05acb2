"""Runs on a host under test, from memory: how its own services answer, in clear text, over TLS, over SSH. Standard library only.

Fed to ``python3 -`` with a last line that calls main([{"address", "port", "encrypted": tls or ssh}, …]). Prints JSON:
for each target, what was seen. What a service says stays on the host: only the kind of its answer is told.
"""

import json
import os
import re
import socket
import ssl
import struct
import sys
import time

PATIENCE = 5.0  # seconds for an answer
GREETING = 1.0  # seconds for whoever speaks first
OLD = {"SSL 3.0": 0x0300, "TLS 1.0": 0x0301, "TLS 1.1": 0x0302}
NEW = 0x0303
HANDSHAKE, ALERT = 22, 21
SERVER_HELLO, CERTIFICATE_REQUEST, DONE = 2, 13, 14
# ECDHE, DHE and RSA with AES, ChaCha20 and 3DES: whatever the key of the server and its age.
SUITES = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC009, 0xC00A, 0xC013, 0xC014, 0x009E, 0x009F, 0x0033, 0x0039,
          0x009C, 0x009D, 0x002F, 0x0035, 0x000A, 0x00FF)  # fmt: skip
# Requests to go on under TLS, and how a service says that it knows them: PostgreSQL, LDAP.
UPGRADES = (
    (struct.pack("!II", 8, 80877103), rb"S\Z"),
    (bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037", rb"\x30"),
)
MUTE = "aucune réponse"
GREETINGS = (b"220", b"* OK", b"* PREAUTH", b"+OK")  # SMTP and FTP, IMAP, POP3


def reach(address, port):
    """Return a connection, or raise OSError."""
    return socket.create_connection((address, port), timeout=PATIENCE)


def heard(link, patience, enough=lambda data: bool(data)):
    """Return what came within a time, once it is enough or the other side has ended."""
    data, end = b"", time.monotonic() + patience
    try:
        while not enough(data) and len(data) < 65536 and time.monotonic() < end:
            link.settimeout(max(0.01, end - time.monotonic()))
            some = link.recv(16384)
            if not some:
                break
            data += some
    except OSError:
        pass
    return data


def asked(address, port, words, patience=PATIENCE, **enough):
    """Connect, say something, return the answer; nothing when the connection does not hold."""
    try:
        with reach(address, port) as link:
            link.sendall(words)
            return heard(link, patience, **enough)
    except OSError:
        return b""


def ahead(data):
    """Return whether a greeting is that of a protocol that goes on under TLS when asked to."""
    mysql = len(data) > 5 and data[3:5] == b"\0\n"
    return mysql or data.startswith(GREETINGS)


def kind(data):
    """Return what an answer to clear text is: ``refused``, ``silent``, ``upgrade``, or in words what it looks like."""
    if not data or ahead(data):
        return "upgrade" if data else "silent"
    found = re.match(rb"HTTP/1\.[01] (\d{3})", data)
    if data[:2] == bytes((ALERT, 3)):
        return "refused"
    if found:
        away = re.search(rb"\r\nlocation: *https://", data.partition(b"\r\n\r\n")[0] + b"\r\n", re.IGNORECASE)
        status = found[1].decode()
        # What web servers say to clear text on a TLS port, or a way to the encrypted one.
        return "refused" if status in ("400", "426") or (status[0] == "3" and away) else f"HTTP {status}"
    return "SSH" if data.startswith(b"SSH-") else f"{len(data)} octets"


def clear(address, port):
    """Speak clear text: wait for a greeting, then ask for a page; return what it was."""
    name = f"[{address}]" if ":" in address else address
    try:
        with reach(address, port) as link:
            data = heard(link, GREETING)
            if data:
                return kind(data)
            link.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            return kind(heard(link, PATIENCE, lambda seen: b"\r\n\r\n" in seen or (bool(seen) and not seen.startswith(b"H"))))
    except OSError:
        return "silent"


def session(address, port):
    """Open a session of TLS 1.2 or later, whoever has signed the certificate; return its version, and why there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with reach(address, port) as link, context.wrap_socket(link) as secured:
            return secured.version(), ""
    except TimeoutError:
        return "", MUTE
    except ssl.SSLError as error:
        return "", error.reason or str(error)
    except OSError as error:
        return "", str(error) or type(error).__name__


def hello(version):
    """Return a ClientHello that offers this version and no later one."""
    lists = struct.pack("!HHH", 10, 10, 8) + struct.pack("!4H", 29, 23, 24, 25) + struct.pack("!HHBB", 11, 2, 1, 0)
    if version >= NEW:
        signatures = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
        packed = struct.pack(f"!{len(signatures)}H", *signatures)
        lists += struct.pack("!HHH", 13, len(packed) + 2, len(packed)) + packed
    suites = struct.pack(f"!{len(SUITES)}H", *SUITES)
    body = struct.pack("!H", version) + os.urandom(32) + b"\0" + struct.pack("!H", len(suites)) + suites + b"\x01\0"
    if version > OLD["SSL 3.0"]:
        body += struct.pack("!H", len(lists)) + lists
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BHH", HANDSHAKE, min(version, OLD["TLS 1.0"]), len(message)) + message


def messages(data):
    """Return the handshake messages, as (type, body), that the records of an answer begin with."""
    flow, found = b"", []
    while len(data) >= 5 and data[0] == HANDSHAKE and data[1] == 3:
        size = int.from_bytes(data[3:5], "big")
        flow, data = flow + data[5 : 5 + size], data[5 + size :]
    while len(flow) >= 4 and len(flow) >= 4 + int.from_bytes(flow[1:4], "big"):
        size = int.from_bytes(flow[1:4], "big")
        found.append((flow[0], flow[4 : 4 + size]))
        flow = flow[4 + size :]
    return found


def agreed(address, port, version):
    """Offer one version; return the one that the server goes on with (0: none), and whether it wants a certificate of ours."""
    wanted = {SERVER_HELLO} if version < NEW else {DONE}
    data = asked(address, port, hello(version), enough=lambda seen: any(one in wanted for one, _ in messages(seen)))
    found = messages(data)
    chosen = next((int.from_bytes(body[:2], "big") for one, body in found if one == SERVER_HELLO), 0)
    return chosen, any(one == CERTIFICATE_REQUEST for one, _ in found)


def over_tls(address, port):
    """Return how a service that is to speak TLS answers: to clear text, to TLS, to what TLS was before 1.2."""
    told = {"clear": clear(address, port)}
    told["version"], told["error"] = session(address, port)
    mute = told["error"] == MUTE
    if not told["version"] and not mute and agreed(address, port, NEW) == (NEW, True):
        told["version"] = "TLSv1.2"  # up to the certificate that we do not have
    if not told["version"] and told["clear"] in ("silent", "refused"):
        upgrades = any(re.match(answer, asked(address, port, words)) for words, answer in UPGRADES)
        told["clear"] = "upgrade" if upgrades else told["clear"]
    taken = {agreed(address, port, version)[0] for version in OLD.values()} if not mute else set()
    told["old"] = [name for name, version in OLD.items() if version in taken]
    return told


def over_ssh(address, port):
    """Return what a service that is to speak SSH begins with (RFC 4253, 4.2: other lines may come before its version)."""
    with reach(address, port) as link:
        data = heard(link, PATIENCE, lambda seen: re.search(rb"^SSH-[^\n]*\n", seen, re.MULTILINE))
    found = re.search(rb"^SSH-([0-9.]+)-", data, re.MULTILINE)
    return {"version": found[1].decode() if found else "", "clear": "" if found else kind(data)}


def speaks(target):
    """Return what one target says; ``listens`` is false when nobody answers there."""
    address, port = target["address"], target["port"]
    try:
        reach(address, port).close()
        told = over_ssh(address, port) if target["encrypted"] == "ssh" else over_tls(address, port)
    except OSError as error:
        return {**target, "listens": False, "error": str(error)}
    return {**target, "listens": True, **told}


def main(targets):
    """Print what each target says."""
    sys.stdout.write(json.dumps([speaks(target) for target in targets]))
