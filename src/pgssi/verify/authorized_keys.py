"""Lines of authorized_keys as sshd reads them, and where it looks for them. Source: sshd(8), sshd_config(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

# One option and what follows it: a comma, or the blanks before the key.
OPTION = re.compile(r'([A-Za-z0-9-]+)(?:="((?:\\"|[^"])*)")?(,|[ \t]+|$)')
KEY = re.compile(r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+(?:\s|$)")


def key_options(text: str) -> Iterator[Mapping[str, str]]:
    """Yield the options of each key line, by lower-case name, empty without a value; comments are none."""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("#"):
            continue
        found: dict[str, str] = {}
        place = 0
        while not KEY.match(line, place) and (option := OPTION.match(line, place)):
            found[option[1].lower()] = (option[2] or "").replace('\\"', '"')
            place = option.end()
            if option[3] != ",":
                break
        yield found


def key_files(patterns: str, login: str, uid: str, home: str) -> list[str]:
    """Return the files that an ``AuthorizedKeysFile`` names for an account: %h %u %U %% expanded, the rest from its home."""
    known = {"%h": home, "%u": login, "%U": uid, "%%": "%"}
    found = []
    for pattern in patterns.split():
        path = re.sub("%.", lambda match: known.get(match[0], match[0]), pattern)
        found += [] if pattern == "none" else [path if path.startswith("/") else f"{home}/{path}"]
    return found
