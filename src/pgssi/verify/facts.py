"""Effective state asked once per host and shared by all its tests."""

from __future__ import annotations

import shlex

from testinfra.backend.base import CommandResult
from testinfra.host import Host

from pgssi.transport import TransportError


class Facts:
    """``facts("mounts", "findmnt -rn")`` runs the command once per host and session and returns its stdout.

    A command that fails by itself still has an output; one whose outcome is unknown raises its
    TransportError again for every test that asks.
    """

    def __init__(self, host: Host) -> None:
        """Take the host to ask; nothing is asked yet."""
        self._host = host
        self._known: dict[str, CommandResult | TransportError] = {}

    def __call__(self, key: str, command: str, timeout: float = 30.0) -> str:
        """Return the stdout of the command known by this key."""
        return str(self.result(key, command, timeout).stdout)

    def result(self, key: str, command: str, timeout: float = 30.0) -> CommandResult:
        """Return rc, stdout and stderr of the command known by this key."""
        if key not in self._known:
            try:
                self._known[key] = self._host.run(command, timeout=timeout)
            except TransportError as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, TransportError):
            raise known
        return known

    def forget(self, key: str | None = None) -> None:
        """Ask again next time, for this key or for all: for whoever changed what they tell."""
        if key is None:
            self._known.clear()
        else:
            self._known.pop(key, None)

    def sshd(self, **connection: str) -> dict[str, str]:
        """Return ``sshd -T`` by lower-case keyword; repeated keywords are joined by spaces.

        connection: ``user="x", host="h", addr="192.0.2.1"`` asks what holds for that login (Match blocks).
        """
        criteria = ",".join(f"{name}={value}" for name, value in sorted(connection.items()))
        option = f" -C {shlex.quote(criteria)}" if criteria else ""
        settings: dict[str, str] = {}
        for line in self(f"sshd:{criteria}", f"/usr/sbin/sshd -T{option}").splitlines():
            keyword, _, value = line.strip().partition(" ")
            settings[keyword] = f"{settings[keyword]} {value}" if keyword in settings else value
        return settings

    def getent(self, database: str) -> list[list[str]]:
        """Return the entries of passwd, group, shadow… as lists of fields."""
        output = self(f"getent:{database}", f"getent {shlex.quote(database)}")
        return [line.split(":") for line in output.splitlines()]

    def shadow(self) -> dict[str, list[str]]:
        """Return the fields of /etc/shadow by login (field 0 is the login). Never put them in a message."""
        return {fields[0]: fields for fields in self.getent("shadow")}
