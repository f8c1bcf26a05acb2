"""Certificates of a window, signed on the control node by the suppliers' authority. Source: ssh-keygen(1), CERTIFICATES."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pgssi.errors import PgssiError
from pgssi.remote.model import Remote
from pgssi.remote.request import Window

GATE = "/usr/local/lib/pgssi/pgssi-remote-gate"
SKEW = 30  # seconds that a host may be behind this machine


class SigningFailed(PgssiError):
    """ssh-keygen refused."""


class Authority:
    """The authority, opened: ``private`` is a readable copy of its key (vault opened). Use as a context manager."""

    def __init__(self, private: bytes) -> None:
        """Take the content of the private key."""
        self._private = private
        self._folder = tempfile.TemporaryDirectory()
        self._count = 0

    def __enter__(self) -> Authority:
        """Write the key where ssh-keygen can read it, for this user only."""
        path = Path(self._folder.name, "ca")
        path.touch(0o600)
        path.write_bytes(self._private)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove every file."""
        self._folder.cleanup()

    def sign(self, public: str, name: str, principal: str, start: int, end: int, options: Sequence[str]) -> str:
        """Return a user certificate. start, end: seconds, UTC; options: as ``ssh-keygen -O``, after ``clear``."""
        self._count += 1
        file = Path(self._folder.name, f"{self._count}.pub")
        file.write_text(public + "\n", "utf-8")
        validity = f"{_stamp(start)}:{_stamp(end)}"
        argv = ["ssh-keygen", "-q", "-s", str(Path(self._folder.name, "ca")), "-I", name, "-n", principal, "-V", validity]
        for option in ("clear", *options):
            argv += ["-O", option]
        done = subprocess.run(
            [*argv, str(file)], capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C", "TZ": "UTC"}
        )
        if done.returncode:
            raise SigningFailed(f"ssh-keygen: {done.stderr.strip()}")
        return Path(self._folder.name, f"{self._count}-cert.pub").read_text("utf-8").strip()


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")


def personal(authority: Authority, window: Window) -> list[str]:
    """Return the person's certificates, one per key: this account, these addresses, this time, the gate and no more."""
    access = window.access
    options = [f"force-command={GATE}", f"source-address={','.join(access.supplier.addresses)}", "permit-pty"]
    return [
        authority.sign(key, window.id, access.account, window.start - SKEW, window.end, options) for key in access.person.keys
    ]


def relays(authority: Authority, remote: Remote, granted: Sequence[Window], keys: Mapping[str, str]) -> dict[str, str]:
    """Return, by window, the certificate of the bastion's key for the equipment. keys: public, by relay account."""
    addresses = ",".join(address for bastion in remote.bastions for address in bastion.addresses)
    options = [f"source-address={addresses}", "permit-pty"]
    return {
        window.id: authority.sign(
            keys[window.access.relay], window.id, window.access.relay, window.start - SKEW, window.end, options
        )
        for window in granted
        if window.access.equipment.protocol == "ssh"
    }
