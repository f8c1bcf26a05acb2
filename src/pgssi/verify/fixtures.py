"""The fixtures that compliance tests use. Registered after testinfra's, so that these prevail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.inventory import Variables
from pgssi.verify import NotVerified
from pgssi.verify.control import Control
from pgssi.verify.facts import Facts
from pgssi.verify.hosts import Hosts
from pgssi.verify.plan import Plan

PLAN = pytest.StashKey[Plan]()
HOSTS = pytest.StashKey[Hosts]()
OBSERVED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", autouse=True)
def _pgssi_target(request: pytest.FixtureRequest) -> str | None:
    """Name of the host that the test is about."""
    name: str | None = getattr(request, "param", None)
    return name


@pytest.fixture(scope="session")
def pgssi_plan(request: pytest.FixtureRequest) -> Plan:
    """What this run verifies."""
    return request.config.stash[PLAN]


@pytest.fixture(scope="session")
def pgssi_hosts(request: pytest.FixtureRequest) -> Iterator[Hosts]:
    """All hosts that this process has opened."""
    yield request.config.stash[HOSTS]


@pytest.fixture(scope="session")
def host(_pgssi_target: str, pgssi_hosts: Hosts) -> Host:
    """Testinfra host, root, over its one channel: ``host.run(cmd, timeout=30, stdin=b"")``, ``host.file``…"""
    return pgssi_hosts.get(_pgssi_target).host


@pytest.fixture(scope="session")
def facts(_pgssi_target: str, pgssi_hosts: Hosts) -> Facts:
    """Effective state of the host, asked once: ``facts("key", "command")``, ``facts.sshd()``…"""
    return pgssi_hosts.get(_pgssi_target).facts


@pytest.fixture(scope="session")
def context(_pgssi_target: str, pgssi_plan: Plan) -> HostContext:
    """What decides the rules of the host: groups, palier, guidance, waivers, today."""
    return pgssi_plan.contexts[_pgssi_target]


@pytest.fixture(scope="session")
def site(_pgssi_target: str, pgssi_plan: Plan) -> Variables:
    """All variables of the host as Ansible resolves them (``site["site_people"]``)."""
    return pgssi_plan.inventory.hosts[_pgssi_target].variables


@pytest.fixture(scope="session")
def other(pgssi_plan: Plan, pgssi_hosts: Hosts) -> Callable[[str], Host]:
    """``other("bkp1")``, ``other("backup_servers")`` (its first host): another host, over its own channel."""

    def find(name: str) -> Host:
        members = pgssi_plan.inventory.members(name)
        if not members:
            raise NotVerified(f"ni hôte ni groupe de l'inventaire : {name}")
        return pgssi_hosts.get(members[0]).host

    return find


@pytest.fixture(scope="session")
def control(_pgssi_target: str, pgssi_plan: Plan) -> Control:
    """Commands of the control node, and new SSH sessions as other users: ``control.ssh("alice", key=…)``."""
    return Control(pgssi_plan.inventory, _pgssi_target)


@pytest.fixture(scope="session")
def evidence(pgssi_plan: Plan) -> tuple[Mapping[str, Any], ...]:
    """Evidence records of the site, oldest first; a damaged journal proves nothing."""
    if pgssi_plan.evidence.fault:
        raise NotVerified(pgssi_plan.evidence.fault)
    return pgssi_plan.evidence.records


@pytest.fixture
def observe(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """``observe("minlen effectif 10")``: say what was seen, before asserting; shown in the report."""
    seen = request.node.stash.setdefault(OBSERVED, [])
    return lambda text: seen.append(str(text))
