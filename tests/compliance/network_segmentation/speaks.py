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

PATIENCE = 10.0  # seconds for an answer; none in that time proves nothing, the host may be busy
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
GREETINGS = (b"220", b"* OK", b"* PREAUTH", b"+OK")  # SMTP and FTP, IMAP, POP3


class Mute(Exception):
    """No answer in time, or no connection where there was one before: neither an answer nor a refusal."""


def reach(address, port):
    """Return a connection."""
    try:
        return socket.create_connection((address, port), timeout=PATIENCE)
    except OSError as error:
        raise Mute(str(error)) from error


def heard(link, patience, enough=bool):
    """Return what came, once it is enough or the other side has ended (nothing: it ended at once)."""
    data, end = b"", time.monotonic() + patience
    try:
        while not enough(data) and len(data) < 65536:
            link.settimeout(max(0.01, end - time.monotonic()))
            some = link.recv(16384)
            if not some:
                break
            data += some
    except TimeoutError:
        if not data:
            raise Mute("aucune réponse") from None
    except OSError:  # reset by the other side, which has ended it too
        pass
    return data


def asked(address, port, words, enough=bool):
    """Connect, say something, return the answer; nothing when the other side hangs up."""
    with reach(address, port) as link:
        try:
            link.sendall(words)
        except OSError:
            return b""
        return heard(link, PATIENCE, enough)


def ahead(data):
    """Return whether a greeting is that of a protocol that goes on under TLS when asked to."""
    mysql = len(data) > 5 and data[3:5] == b"\0\n"
    return mysql or data.startswith(GREETINGS)


def kind(data):
    """Return what an answer to clear text is: ``refused``, ``upgrade``, or in words what it looks like."""
    if not data or ahead(data):
        return "upgrade" if data else "refused"
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
    with reach(address, port) as link:
        try:
            return kind(heard(link, GREETING))
        except Mute:
            pass
        try:
            link.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        except OSError:
            return "refused"
        return kind(heard(link, PATIENCE, lambda seen: b"\r\n\r\n" in seen or (bool(seen) and not seen.startswith(b"H"))))


def session(address, port):
    """Open a session of TLS 1.2 or later, whoever has signed the certificate; return its version, and why there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with reach(address, port) as link:
        try:
            with context.wrap_socket(link) as secured:
                return secured.version(), ""
        except TimeoutError:
            raise Mute("aucune réponse") from None
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
    """Return how a service that is to speak TLS answers: to clear text, to TLS, to what TLS was before 1.2.

    ``mute`` holds what it gave no answer to.
    """
    mute = []

    def tried(what, action, *args, otherwise):
        try:
            return action(address, port, *args)
        except Mute:
            mute.append(what)
            return otherwise

    told = {"clear": tried("texte clair", clear, otherwise="mute"), "mute": mute}
    told["version"], told["error"] = tried("TLS courant", session, otherwise=("", "aucune réponse"))
    if (
        not told["version"]
        and "TLS courant" not in mute
        and tried("TLS courant", agreed, NEW, otherwise=(0, False)) == (NEW, True)
    ):
        told["version"] = "TLSv1.2"  # up to the certificate that we do not have
    if not told["version"] and told["clear"] in ("refused", "mute"):
        upgrades = any(re.match(answer, tried("demande de TLS", asked, words, otherwise=b"")) for words, answer in UPGRADES)
        told["clear"] = "upgrade" if upgrades else told["clear"]
    taken = set()
    if "TLS courant" not in mute:
        taken = {tried(name, agreed, version, otherwise=(0, False))[0] for name, version in OLD.items()}
    told["old"] = [name for name, version in OLD.items() if version in taken]
    return told


def over_ssh(address, port):
    """Return what a service that is to speak SSH begins with (RFC 4253, 4.2: other lines may come before its version)."""
    try:
        with reach(address, port) as link:
            data = heard(link, PATIENCE, lambda seen: re.search(rb"^SSH-[^\n]*\n", seen, re.MULTILINE))
    except Mute:
        data = b""
    found = re.search(rb"^SSH-([0-9.]+)-", data, re.MULTILINE)
    return {"version": found[1].decode() if found else "", "clear": kind(data) if data and not found else ""}


def speaks(target):
    """Return what one target says; ``listens`` is false when nobody answers there."""
    address, port = target["address"], target["port"]
    try:
        reach(address, port).close()
    except Mute as error:
        return {**target, "listens": False, "error": str(error)}
    told = over_ssh(address, port) if target["encrypted"] == "ssh" else over_tls(address, port)
    return {**target, "listens": True, **told}


def main(targets):
    """Print what each target says."""
    sys.stdout.write(json.dumps([speaks(target) for target in targets]))
