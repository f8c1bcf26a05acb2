"""Checks of SSH public keys: real, strong enough, one account each."""

from __future__ import annotations

import base64
from collections.abc import Generator, Iterator

from pgssi.habilitations import fingerprint
from pgssi.site.model import Finding, Path, Site

RSA_BITS = 2048  # below, sshd of Debian 13 itself may refuse (RequiredRSASize)


def check_keys(site: Site) -> Iterator[Finding]:
    """Yield the keys that cannot be used, and those that two accounts share."""
    owners: dict[str, tuple[str, Path]] = {}
    for path, owner, key in account_keys(site):
        mark = yield from usable_key(path, key)
        if not mark:
            continue
        if mark in owners:
            yield Finding("key_twice", path, mark, {"owner": owner, "other": owners[mark][0]})
        owners.setdefault(mark, (owner, path))
    others = [((*path, "keys", i), key) for path, entry in _other_keys(site) for i, key in enumerate(entry["keys"])]
    others += list(site.entries("site_sealing_recipients"))
    for path, key in others:
        yield from usable_key(path, key)


def account_keys(site: Site) -> Iterator[tuple[Path, str, str]]:
    """Yield every key that opens an account of the site: where it stands, the login, the key."""
    for path, person in site.entries("site_people"):
        for index, account in enumerate(person["accounts"]):
            for number, key in enumerate(account["keys"]):
                yield (*path, "accounts", index, "keys", number), account["login"], key
    automation = site.sound("site_automation")
    if automation:
        for number, key in enumerate(automation["keys"]):
            yield ("site_automation", "keys", number), automation["login"], key


def _other_keys(site: Site) -> Iterator[tuple[Path, dict[str, list[str]]]]:
    for path, contact in site.entries("site_contacts"):
        if "keys" in contact:
            yield path, contact
    yield from site.entries("site_evidence_signers")


def usable_key(path: Path, key: str) -> Generator[Finding, None, str]:
    """Yield what is wrong with one key; return its fingerprint, or an empty text when it is none."""
    if "PRIVATE KEY" in key:
        yield Finding("private_key", path, "(…)")
        return ""
    if "\n" in key.strip():
        yield Finding("bad_key", path, key[:40])
        return ""
    try:
        mark = fingerprint(key)
    except ValueError:
        yield Finding("bad_key", path, key[:40])
        return ""
    words = key.split()
    kind = next(word for word in words if word.startswith(("ssh-", "ecdsa-", "sk-")))
    if kind == "ssh-dss":
        yield Finding("weak_key", path, kind, {"why": "DSA"})
    if kind == "ssh-rsa" and (bits := _rsa_bits(words[words.index(kind) + 1])) < RSA_BITS:
        yield Finding("weak_key", path, kind, {"why": f"RSA {bits}"})
    return mark


def _rsa_bits(blob: str) -> int:
    """Return the size of the modulus: the third field of the key (RFC 4253, 6.6)."""
    raw, fields = base64.b64decode(blob), []
    while raw:
        length = int.from_bytes(raw[:4], "big")
        fields.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return int.from_bytes(fields[2], "big").bit_length() if len(fields) > 2 else 0
