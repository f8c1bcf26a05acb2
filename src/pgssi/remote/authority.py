"""The small authority of the logs: an EC key on the control node that signs the TLS certificate of each host.

It lets a bastion and a log server know each other, and nobody else, without a word between them beforehand.
Source: RFC 5280; ANSSI, TLS, R1 to R9 (mutual authentication, TLS 1.3).
"""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LASTS, RENEWED = timedelta(days=1095), timedelta(days=365)  # any run in its last year renews a certificate
FOREVER = timedelta(days=7300)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def certificate_path(authority: Path) -> Path:
    """Return where the authority's own certificate is kept, beside its key."""
    return authority.with_name(f"{authority.name}.pem")


def make(authority: Path, name: str = "pgssi-log-authority") -> bool:
    """Make the authority of this name when it is absent, under a lock (several hosts arrive here together); tell whether."""
    if authority.exists():
        return False
    authority.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with authority.with_name(f"{authority.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if authority.exists():
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = _name(name)
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + FOREVER)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        certificate = builder.sign(key, hashes.SHA256())
        certificate_path(authority).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        handle = os.open(authority, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(
                key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            )
    return True


def holds(certificate: str, public: str, name: str, authority: str) -> bool:
    """Return whether a certificate (PEM) is for this key and name, of this authority, and not soon over."""
    if not certificate:
        return False
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        signer = x509.load_pem_x509_certificate(authority.encode())
        found.verify_directly_issued_by(signer)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):  # whatever is wrong, it is signed again
        return False
    key = found.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return (
        key.decode().strip() == public.strip()
        and found.subject == _name(name)
        and names.get_values_for_type(x509.DNSName) == [name]
        and found.not_valid_after_utc - datetime.now(UTC) > RENEWED
    )


def sign(public: str, name: str, key: bytes, authority: str) -> str:
    """Return a certificate (PEM) of this public key (PEM) for a host; key: the authority's, PEM."""
    signer = serialization.load_pem_private_key(key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an EC key")
    issuer = x509.load_pem_x509_certificate(authority.encode())
    subject = serialization.load_pem_public_key(public.encode())
    if not isinstance(subject, ec.EllipticCurvePublicKey):
        raise ValueError(f"the key of {name} is not an EC key")
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(issuer.subject, _name(name), subject, x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
