"""Run on a host by the tests of the audit trail, over standard input: what a stranger, or a liar, would send a log server."""

import json
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path


def frame(number, command, text=b""):
    """Return one RELP frame. Source: the RELP specification of librelp, version 0."""
    return b"%d %s %d %s\n" % (number, command, len(text), text) if text else b"%d %s 0\n" % (number, command)


def context(identity):
    """Return how this client shows itself: certificate and key (PEM), or nothing. Whom it speaks to is not the question here."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if identity:
        with tempfile.NamedTemporaryFile("w", dir="/run") as both:
            Path(both.name).chmod(0o600)
            both.write(identity["certificate"] + identity["key"])
            both.flush()
            made.load_cert_chain(both.name)
    return made


def answered(line):
    """Return whether an answer of RELP accepts what was sent."""
    line.settimeout(8)
    try:
        return b" rsp " in (said := line.recv(4096)) and b"200 OK" in said
    except OSError:
        return False


def send(address, port, record, tls=True, identity=None):
    """Offer one record to a log server; return whether it was acknowledged, and whether anybody listens at all."""
    try:
        plain = socket.create_connection((address, port), timeout=8)
    except OSError as error:
        return {"listens": False, "taken": False, "why": str(error)}
    with plain:
        try:
            line = context(identity).wrap_socket(plain) if tls else plain
            line.sendall(frame(1, b"open", b"relp_version=0\nrelp_software=essai\ncommands=syslog"))
            if not answered(line):
                return {"listens": True, "taken": False, "why": "pas de réponse à l'ouverture"}
            line.sendall(frame(2, b"syslog", record.encode()))
            taken = answered(line)
            time.sleep(0.5)
        except OSError as error:
            return {"listens": True, "taken": False, "why": str(error)[:120]}
    return {"listens": True, "taken": taken, "why": "reçu" if taken else "pas d'accusé de réception"}


def main(orders):
    """Send every order in turn and print what became of each."""
    sys.stdout.write(json.dumps([send(**order) for order in orders]))
