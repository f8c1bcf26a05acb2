"""A testinfra backend on a channel: testinfra's own modules (File, User, Sudo…) work on it."""

from __future__ import annotations

from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from pgssi.transport.askpass import environment
from pgssi.transport.channel import Channel
from pgssi.transport.connection import Connection


class ChannelBackend(BaseBackend):
    """Commands run as root over one channel; ``host.run(cmd, timeout=5, stdin=b"…")`` is understood."""

    NAME = "pgssi"

    def __init__(self, hostname: str, channel: Channel) -> None:
        """Name the host and the channel that reaches it; nothing is opened yet."""
        super().__init__(hostname)
        self.channel = channel

    def run(self, command: str, *args: str, timeout: float = 30.0, stdin: bytes = b"", **_: Any) -> CommandResult:
        """Run one command; raises pgssi.transport.TransportError when its outcome is not exactly known."""
        line = self.get_command(command, *args).encode("utf-8", "surrogateescape")
        result = self.channel.run(line, stdin=stdin, timeout=timeout)
        return self.result(result.rc, line, result.stdout, result.stderr)

    def get_encoding(self) -> str:
        """Return UTF-8: no command is spent on asking."""
        return "UTF-8"

    def decode(self, data: bytes) -> str:
        """Decode for reading; ``stdout_bytes`` stays exact."""
        return data.decode("utf-8", "backslashreplace")

    def encode(self, data: str) -> bytes:
        """Encode as the reverse of what the file system gives."""
        return data.encode("utf-8", "surrogateescape")


def channel_for(connection: Connection) -> Channel:
    """Return a channel, not yet open, for a resolved connection."""
    options = ("-o", "BatchMode=yes")
    if connection.password:
        options = ("-o", "NumberOfPasswordPrompts=1")
    return Channel(
        connection.argv(options=options),
        become=connection.become,
        password=connection.become_password,
        python=connection.python,
        connect_timeout=connection.timeout + 20.0,
        environment=environment(connection.password) if connection.password else None,
    )


def open_host(name: str, channel: Channel) -> Host:
    """Return a testinfra Host whose commands go through this channel."""
    backend = ChannelBackend(name, channel)
    host = Host(backend)
    backend.set_host(host)
    return host
