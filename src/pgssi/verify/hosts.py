"""The hosts of one test process: one channel each, opened when first needed, closed at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from pgssi.transport.backend import channel_for, open_host
from pgssi.transport.channel import Channel, Unreachable
from pgssi.verify.facts import Facts
from pgssi.verify.plan import Plan


@dataclass
class Opened:
    """One host of this process. seconds: what connecting took; fault: why it cannot be reached."""

    host: Host
    channel: Channel
    facts: Facts
    seconds: float = 0.0
    fault: str = ""


class Hosts:
    """Hands out connected hosts; a host that could not be reached fails at once from then on."""

    def __init__(self, plan: Plan) -> None:
        """Take the plan, for the connections; nothing is opened yet."""
        self._plan = plan
        self._opened: dict[str, Opened] = {}

    def get(self, name: str) -> Opened:
        """Return the host, connected; raises Unreachable, or KeyError for a name that the inventory lacks."""
        known = self._open(name)
        if known.fault:
            raise Unreachable(known.fault)
        return known

    def channel(self, name: str) -> Channel:
        """Return the channel of a host; one that could not be reached says so again when it is used."""
        return self._open(name).channel

    def _open(self, name: str) -> Opened:
        known = self._opened.get(name)
        if known is None:
            channel = channel_for(self._plan.inventory.hosts[name].connection)
            host = open_host(name, channel)
            known = self._opened[name] = Opened(host, channel, Facts(host))
            started = time.monotonic()
            try:
                channel.connect()
            except Unreachable as error:
                known.fault = str(error)
            known.seconds = time.monotonic() - started
        return known

    def forget(self) -> None:
        """Forget every fact of every host: for whoever changed one of them."""
        for opened in self._opened.values():
            opened.facts.forget()

    def close(self) -> None:
        """Close every channel."""
        for opened in self._opened.values():
            opened.channel.close()

    def states(self) -> dict[str, dict[str, Any]]:
        """Return what became of each host that was asked for: reached, message, os, seconds to connect."""
        return {
            name: {
                "reached": not opened.fault,
                "message": opened.fault,
                "os": _pretty_name(opened.channel.release),
                "seconds": opened.seconds,
            }
            for name, opened in self._opened.items()
        }


def _pretty_name(release: str) -> str:
    for line in release.splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip().strip("\"'")
    return ""
