"""Shared by the tests of the host baseline: the kernel as it is, and what an ordinary account can do with it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from pgssi.verify import not_applicable, not_verified

SCRIPT = Path(__file__).with_name("on_host.py").read_text("utf-8")


@dataclass(frozen=True)
class Kernel:
    """The kernel of the host. seen: the answer of on_host.py."""

    seen: Mapping[str, Any]

    def own(self) -> Kernel:
        """Return itself; end the test in a container, whose kernel is not its own."""
        if self.seen["container"]["inside"]:
            not_applicable("conteneur : ce réglage est celui du noyau de la machine qui le porte")
        return self

    def own_network(self) -> Kernel:
        """Return itself; end the test in a container that may not set the parameters of its network."""
        if self.seen["container"]["inside"] and not self.seen["container"]["network"]:
            not_applicable("conteneur : les réglages de son réseau lui sont en lecture seule, ils se règlent où on le crée")
        return self

    def value(self, name: str) -> int | None:
        """Return a parameter as a number; None when the kernel does not have it."""
        text = self.seen["parameters"].get(name.replace(".", "/"), "").split()
        return int(text[0]) if text and text[0].lstrip("-").isdigit() else None

    def interfaces(self, name: str) -> dict[str, int]:
        """Return a parameter of each interface (``net/ipv4/conf/*/rp_filter``), all and default included."""
        found = {key: text for key, text in self.seen["parameters"].items() if fnmatchcase(key, name)}
        return {key.split("/")[3]: int(text) for key, text in found.items()}

    def faults(self, **wanted: Any) -> list[str]:
        """Return the parameters that differ: ``faults(kernel__sysrq=(0, 0))`` (lowest and highest allowed)."""
        found = []
        for key, (low, high) in wanted.items():
            name = key.replace("__", ".")
            now = self.value(name)
            if now is None or not low <= now <= high:
                found.append(f"{name}={now}")
        return found


@pytest.fixture(scope="session")
def kernel(facts) -> Kernel:
    """What the kernel says and lets an ordinary account do, asked once."""
    answer = facts.result("hardening-kernel", f"python3 -c {shlex.quote(SCRIPT)} state", timeout=60)
    if answer.rc:
        not_verified(f"l'hôte ne répond pas : {answer.stderr.strip()[-200:]}")
    return Kernel(json.loads(answer.stdout))


@pytest.fixture
def script(host):
    """``script("traps")``: the answer of on_host.py to one of its other tasks."""

    def run(task: str) -> Any:
        return json.loads(host.run(f"python3 -c {shlex.quote(SCRIPT)} {task}", timeout=60).stdout)

    return run


@pytest.fixture(scope="session")
def router(site, context) -> bool:
    """Whether the site declares that this host forwards for others."""
    declared = site.get("system_hardening_forwards", "gateways" in context.groups)
    return declared in (True, "True", "true", "yes")
