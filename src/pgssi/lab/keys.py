"""The lab's keys and the host keys it pins."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

# pgssi: the account that playbooks connect with; rssi: who opens what the hosts seal; the suppliers' people; and the
# scanner itself, whose key the bastion has to know beforehand.
NAMES = ("pgssi", "rssi", "acme-jdurand", "acme-pmartin", "medidoc-tleroy", "irm1")
TEMPORARY = ".new"


def make_keys(directory: Path) -> None:
    """Make the key pairs ``keys/<name>`` that do not exist yet, and an empty ``known_hosts``."""
    keys = directory / "keys"
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in NAMES:
        key = keys / name
        if key.exists() and key.with_suffix(".pub").exists():
            continue
        key.unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@lab", "-f", str(key)],
            stdin=subprocess.DEVNULL,
            check=True,
        )
    (directory / "known_hosts").touch(mode=0o644)


def pin(directory: Path, keys: Mapping[str, Iterable[str]]) -> None:
    """Replace what ``known_hosts`` says of these addresses; an address without keys is forgotten."""
    path = directory / "known_hosts"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if re.split(r"[\s,]", line, maxsplit=1)[0] not in keys]
    added = [f"{address} {' '.join(key.split()[:2])}" for address, public in keys.items() for key in public]
    new = path.with_suffix(TEMPORARY)
    new.write_text("".join(f"{line}\n" for line in [*kept, *added]), "utf-8")
    new.replace(path)
