"""Servers of the wild on the loopback: TLS of every age, clear text, both on one port, SSH, protocols that upgrade."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Talk = Callable[[socket.socket], object]
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nMARTIN\n"
BAD = b"HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port"
AWAY = b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://portail/\r\n\r\n"
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16/"


HELLO_10 = re.compile(rb".{9}\x03\x01", re.DOTALL)  # a ClientHello that offers TLS 1.0


def certificate(path: Path) -> Path:
    """Write a key and a certificate that signs itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "portail")])
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    signed = built.sign(key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


def context(pem: Path, lowest: str = "TLSv1_2", highest: str = "TLSv1_3", client: bool = False) -> ssl.SSLContext:
    """Return the settings of a server that takes these versions; client: it wants a certificate of the other side."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version, made.maximum_version = ssl.TLSVersion[lowest], ssl.TLSVersion[highest]
    if lowest in ("TLSv1", "TLSv1_1"):
        made.set_ciphers("ALL:@SECLEVEL=0")
    if client:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(pem)
    return made


def tls(settings: ssl.SSLContext, clear: bytes = b"", quiet: re.Pattern[bytes] | None = None) -> Talk:
    """Speak TLS; answer an HTTP request in clear text with these words, if any; say nothing to what begins as ``quiet``."""

    def talk(peer: socket.socket) -> None:
        if quiet and quiet.match(peer.recv(11, socket.MSG_PEEK)):
            silent(peer)
            return
        if clear and peer.recv(1, socket.MSG_PEEK) == b"G":
            peer.recv(4096)
            peer.sendall(clear)
            return
        with settings.wrap_socket(peer, server_side=True) as secured:
            secured.recv(4096)

    return talk


def says(words: bytes) -> Talk:
    """Speak first."""
    return lambda peer: (peer.sendall(words), peer.recv(4096))


def answers(words: bytes, to: bytes = b"") -> Talk:
    """Answer whatever comes, or what begins so only."""

    def talk(peer: socket.socket) -> None:
        if peer.recv(4096).startswith(to):
            peer.sendall(words)

    return talk


def silent(peer: socket.socket) -> None:
    """Take everything and say nothing."""
    while peer.recv(4096):
        pass


@contextlib.contextmanager
def serving(talk: Talk, address: str) -> Iterator[int]:
    """Serve every connection to this loopback address; give the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:

        def one(peer: socket.socket) -> None:
            with contextlib.suppress(OSError), peer:
                peer.settimeout(60)
                talk(peer)

        def every() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=one, args=server.accept()[:1], daemon=True).start()

        threading.Thread(target=every, daemon=True).start()
        yield int(server.getsockname()[1])
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
