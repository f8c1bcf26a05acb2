"""The Wi-Fi authority: an EC key on the control node that signs RADIUS servers and devices, and revokes devices.

Source: RFC 5280 (certificates, revocation lists); RFC 5216 (EAP-TLS); ANSSI, TLS, R1 to R9.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pgssi.remote import authority as logs

LASTS, RENEWED = timedelta(days=730), timedelta(days=180)  # any run in its last half year renews a certificate
LIST_LASTS, LIST_RENEWED = timedelta(days=400), timedelta(days=200)  # of revocations: one that is over closes the Wi-Fi
# A number that no certificate in use bears, revoked on every site: what proves that revocation works.
TRIAL_SERIAL = int.from_bytes(b"pgssi-revoked-trial", "big")


@dataclass(frozen=True)
class Subject:
    """Whom a certificate names. use: of a device's network (professionals, technical); empty for a RADIUS server."""

    name: str
    use: str = ""

    def as_name(self) -> x509.Name:
        """Return it as a certificate bears it."""
        unit = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, self.use)] if self.use else []
        return x509.Name([*unit, x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    @property
    def purpose(self) -> x509.ObjectIdentifier:
        """Return what the certificate may be used for: a server's never opens the network to a device."""
        return ExtendedKeyUsageOID.CLIENT_AUTH if self.use else ExtendedKeyUsageOID.SERVER_AUTH


def certificate_path(authority: Path) -> Path:
    """Return where the authority's own certificate is kept, beside its key."""
    return logs.certificate_path(authority)


def make(authority: Path) -> bool:
    """Make the authority when it is absent; return whether it was."""
    return logs.make(authority, "Wi-Fi authority")


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
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([subject.purpose]), critical=False)
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
        and subject.purpose in purposes
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
