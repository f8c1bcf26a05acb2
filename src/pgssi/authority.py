"""A small authority of the site: an EC key on the control node that signs the TLS certificates of hosts, and revokes them.

One such authority lets the hosts that keep logs know each other, and nobody else; another one opens the Wi-Fi.
Source: RFC 5280 (certificates, revocation lists); RFC 5216 (EAP-TLS); ANSSI, TLS, R1 to R9 (mutual authentication).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOREVER = timedelta(days=7300)  # of an authority
LASTS, RENEWED = timedelta(days=730), timedelta(days=365)  # any run in its last year renews a certificate
LIST_LASTS, LIST_RENEWED = timedelta(days=400), timedelta(days=200)  # of revocations: one that is over closes the door
PURPOSES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}
# A number that no certificate in use bears, revoked on every site: what proves that revocation works.
TRIAL_SERIAL = int.from_bytes(b"pgssi-revoked-trial", "big")


@dataclass(frozen=True)
class Subject:
    """Whom a certificate names, and what it is for; unit: a part of the name, such as the network of a device."""

    name: str
    purposes: tuple[str, ...]
    unit: str = ""

    def as_name(self) -> x509.Name:
        """Return it as a certificate bears it."""
        unit = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, self.unit)] if self.unit else []
        return x509.Name([*unit, x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    def as_purposes(self) -> x509.ExtendedKeyUsage:
        """Return what the certificate may be used for: a server's never opens a door to a client."""
        return x509.ExtendedKeyUsage([PURPOSES[purpose] for purpose in sorted(self.purposes)])


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


def make(authority: Path, name: str) -> bool:
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
        subject = Subject(name, ()).as_name()
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


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an EC key")
    return key


def sign(
    public: str,
    subject: Subject,
    key: bytes,
    authority: str,
    *,
    serial: int = 0,
    starts: datetime | None = None,
    ends: datetime | None = None,
) -> str:
    """Return a certificate (PEM) of this EC public key (PEM); key and authority: the signer's, PEM."""
    signer, issuer = _key(key), x509.load_pem_x509_certificate(authority.encode())
    bearer = serialization.load_pem_public_key(public.encode())
    if not isinstance(bearer, ec.EllipticCurvePublicKey):
        raise ValueError(f"the key of {subject.name} is not an EC key")
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(issuer.subject, subject.as_name(), bearer, serial or x509.random_serial_number())
        .not_valid_before(starts or now - timedelta(days=1))
        .not_valid_after(ends or now + LASTS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(subject.as_purposes(), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject.name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(bearer), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def holds(certificate: str, public: str, subject: Subject, authority: str) -> bool:
    """Return whether a certificate (PEM) is for this key and subject, of this authority, and not soon over."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
        purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):  # whatever is wrong, it is signed again
        return False
    key = found.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return (
        key.decode().strip() == public.strip()
        and found.subject == subject.as_name()
        and set(purposes) == set(subject.as_purposes())
        and found.not_valid_after_utc - datetime.now(UTC) > RENEWED
    )


def revocations(revoked: Iterable[tuple[int, date]], key: bytes, authority: str) -> str:
    """Return the list of revocations (PEM): those of the site, (serial, date), and the trial number."""
    issuer, now = x509.load_pem_x509_certificate(authority.encode()), datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - timedelta(hours=1))
        .next_update(now + LIST_LASTS)
    )
    known = {TRIAL_SERIAL: date(2026, 1, 1), **dict(revoked)}
    for serial, day in sorted(known.items()):
        when = datetime(day.year, day.month, day.day, tzinfo=UTC)
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when)
        builder = builder.add_revoked_certificate(one.build())
    return builder.sign(_key(key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def revokes(listed: str, revoked: Iterable[tuple[int, date]], authority: str) -> bool:
    """Return whether a list (PEM) of this authority names exactly these serials and the trial number, and is not soon over."""
    try:
        found = x509.load_pem_x509_crl(listed.encode())
        signer = x509.load_pem_x509_certificate(authority.encode()).public_key()
    except ValueError:
        return False
    over = found.next_update_utc
    return (
        isinstance(signer, ec.EllipticCurvePublicKey)
        and found.is_signature_valid(signer)
        and {one.serial_number for one in found} == {TRIAL_SERIAL, *(serial for serial, _ in revoked)}
        and over is not None
        and over - datetime.now(UTC) > LIST_RENEWED
    )
