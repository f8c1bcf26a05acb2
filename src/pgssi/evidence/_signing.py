"""SSH signatures through OpenSSH's own ssh-keygen; who may sign comes from the site model."""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pgssi.errors import PgssiError
from pgssi.evidence._texts import text
from pgssi.habilitations import as_date, fingerprint

NAMESPACE = "pgssi-evidence"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_TIMEOUT = 120


class SigningError(PgssiError):
    """The key cannot sign, or is nobody's; what was to be signed is untouched."""


@dataclass(frozen=True)
class Signer:
    """A key that may sign. principal: login, role of a contact, or a name of our own for a sealing recipient.

    kind: ``person``, ``role`` (contacts, sealing recipients) or ``automation`` (seals, approves nothing).
    starts, ends: first and last day on which a signature counts, None when open.
    """

    principal: str
    key: str
    kind: str = "person"
    name: str = ""
    starts: date | None = None
    ends: date | None = None

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` of the key."""
        return fingerprint(self.key)

    def counts_on(self, day: date) -> bool:
        """Return whether a signature of that day is this person's to give."""
        return (self.starts is None or self.starts <= day) and (self.ends is None or day <= self.ends)


def _usable(signer: Signer) -> bool:
    try:
        return bool(signer.fingerprint)
    except ValueError:  # an age recipient, or a key that pgssi check reports
        return False


def _declared(site: Mapping[str, Any]) -> Iterator[Signer]:
    for person in site.get("site_people") or ():
        dates = as_date(person.get("starts")), as_date(person.get("leaves"))
        for account in person.get("accounts") or ():
            for key in account.get("keys") or ():
                yield Signer(account["login"], str(key).strip(), "person", person.get("name", ""), *dates)
    for role, contact in (site.get("site_contacts") or {}).items():
        for key in contact.get("keys") or ():
            yield Signer(role, str(key).strip(), "role", contact.get("name", ""))
    automation = site.get("site_automation") or {}
    for key in automation.get("keys") or ():
        yield Signer(automation["login"], str(key).strip(), "automation")
    for former in site.get("site_evidence_signers") or ():
        dates = as_date(former.get("starts")), as_date(former.get("ends"))
        for key in former["keys"]:
            yield Signer(former["login"], str(key).strip(), "person", former.get("name", ""), *dates)


def signers_of(site: Mapping[str, Any]) -> tuple[Signer, ...]:
    """Return who may sign evidence: site_people, site_contacts, site_automation, site_sealing_recipients.

    A sealing recipient is named by the comment of its key when that is a contact's role, else ``sealing-N``.
    ``site_evidence_signers: [{login, name, keys, starts, ends}]`` keeps former keys, so that what they signed
    stays verifiable after a rotation. The first declaration of a key wins.
    """
    found: dict[str, Signer] = {}
    contacts = site.get("site_contacts") or {}
    sealing = []
    for number, recipient in enumerate(site.get("site_sealing_recipients") or (), 1):
        key = str(recipient).strip()
        role = key.split()[-1].split("@")[0] if key else ""
        name = str(contacts[role].get("name", "")) if role in contacts else ""
        sealing.append(Signer(role if role in contacts else f"sealing-{number}", key, "role", name))
    for signer in [*_declared(site), *sealing]:
        if _usable(signer):
            found.setdefault(signer.fingerprint, signer)
    return tuple(found.values())


def allowed_signers(signers: Sequence[Signer]) -> str:
    """Return the text of an allowed_signers file for these keys (ssh-keygen(1), ALLOWED SIGNERS)."""
    lines = (f'{s.principal} namespaces="{NAMESPACE}" {" ".join(_bare(s.key))}' for s in signers)
    return "".join(f"{line}\n" for line in lines)


def _bare(key: str) -> tuple[str, str]:
    words = key.split()
    start = next(i for i, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-", "sk-")))
    return words[start], words[start + 1]


def _run(arguments: Sequence[str], message: bytes, interactive: bool) -> subprocess.CompletedProcess[bytes]:
    environment = dict(os.environ)
    if not interactive:
        environment["SSH_ASKPASS_REQUIRE"] = "never"
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments],
            input=message,
            capture_output=True,
            timeout=_TIMEOUT,
            env=environment,
            start_new_session=not interactive,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SigningError(text("ssh_keygen_failed", detail=str(error))) from error


def sign(message: bytes, key: Path, *, interactive: bool = False) -> str:
    """Return the SSHSIG blob of a message, base64 on one line.

    key: private key, or public key whose private half is in ssh-agent. Not interactive: a passphrase is never
    asked for. Raises PgssiError when ssh-keygen refuses.
    """
    done = _run(["-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)], message, interactive)
    armour = done.stdout.decode("ascii", "replace")
    if done.returncode or _BEGIN not in armour:
        detail = done.stderr.decode("utf-8", "replace").strip()
        raise SigningError(text("signing_failed", key=str(key), detail=detail))
    return "".join(armour.replace(_BEGIN, "").replace(_END, "").split())


def key_of(blob: str) -> str:
    """Return the fingerprint of the key inside an SSHSIG blob; raise ValueError when it is not one."""
    return fingerprint(public_key_of(blob))


def public_key_of(blob: str) -> str:
    """Return the public key line inside an SSHSIG blob; raise ValueError when it is not one.

    The blob must be written in the one way that base64 allows, so that no bit of it can change unseen.
    """
    try:
        raw = base64.b64decode(blob, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if base64.b64encode(raw).decode() != blob or raw[:10] != b"SSHSIG\0\0\0\1" or len(raw) < 14:
        raise ValueError("not an SSH signature")
    length = int.from_bytes(raw[10:14], "big")
    public = raw[14 : 14 + length]
    kind = public[4 : 4 + int.from_bytes(public[:4], "big")].decode("ascii", "replace")
    return f"{kind} {base64.b64encode(public).decode()}"


def is_valid(message: bytes, blob: str, signer: Signer) -> bool:
    """Return whether the blob is this signer's signature of the message, as ssh-keygen judges it."""
    body = "\n".join(blob[i : i + 70] for i in range(0, len(blob), 70))
    with tempfile.TemporaryDirectory(prefix="pgssi-evidence-") as directory:
        signature, allowed = Path(directory, "sig"), Path(directory, "allowed_signers")
        signature.write_text(f"{_BEGIN}\n{body}\n{_END}\n", "ascii")
        allowed.write_text(allowed_signers([signer]), "utf-8")
        arguments = [
            "-Y",
            "verify",
            "-n",
            NAMESPACE,
            "-I",
            signer.principal,
            "-f",
            str(allowed),
            "-s",
            str(signature),
        ]
        return _run(["-q", *arguments], message, interactive=False).returncode == 0


def public_half(key: Path, *, interactive: bool = False) -> str:
    """Return the public key line of a key: the file itself, its ``.pub``, or what ssh-keygen says."""
    for candidate in (key, key.with_name(key.name + ".pub")):
        try:
            line = candidate.read_text("ascii", "replace").strip()
            fingerprint(line)
        except (OSError, ValueError):
            continue
        return line
    done = _run(["-y", "-f", str(key)], b"", interactive)
    line = done.stdout.decode("ascii", "replace").strip()
    if done.returncode or not line:
        detail = done.stderr.decode("utf-8", "replace").strip()
        raise SigningError(text("signing_failed", key=str(key), detail=detail))
    return line
