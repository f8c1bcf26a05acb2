"""Which process runs which test: all the tests of a host in one, over its one connection.

xdist's own ``loadgroup`` relies on an attribute of pytest's nodes that pytest 9.2 no longer has, and then
spreads the tests of a host over all processes without a word.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = "test_proof.py"


class HostScheduling(LoadScopeScheduling):
    """Gives each process the whole of one host's tests at a time."""

    def __init__(self, config: pytest.Config, log: Any, hosts: Collection[str]) -> None:
        """Keep the names of the hosts, as they stand in the ids of the tests."""
        super().__init__(config, log)
        self._hosts = sorted(hosts, key=len, reverse=True)

    def _split_scope(self, nodeid: str) -> str:
        return host_of(nodeid, self._hosts)


def host_of(nodeid: str, hosts: Collection[str]) -> str:
    """Return the host in a test id (``test_a.py::test_b[web-1-other]``); the id itself when there is none.

    The tests of a file that tries all hosts together, once, go to one process: its name is returned.
    hosts: longest names first, so that ``web-1`` is not taken for ``web``.
    """
    file = nodeid.partition("::")[0]
    if file.endswith(TOGETHER):
        return file
    parameters = nodeid.partition("[")[2].rpartition("]")[0]
    padded = f"-{parameters}-"
    return next((host for host in hosts if f"-{host}-" in padded), nodeid)


def make_scheduler(config: Any, log: Any, hosts: Collection[str]) -> HostScheduling:
    """Return the scheduler of a run over these hosts."""
    return HostScheduling(config, log, hosts)
