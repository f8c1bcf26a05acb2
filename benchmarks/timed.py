"""Pytest plugin: what each read-only test of a run took, and for what; written to the file that BENCH_TIMES names.

Loaded into `pgssi verify` of one host by benchmarks/verify.py. Per test: rule, seconds in all, seconds of what all tests
share (connection, network model: the fixtures of the session, for whoever asks first), commands that it had the host run,
seconds of those.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pgssi.transport import Channel


class Times:
    """Sums what the current test takes; a command within a shared fixture counts for the fixture."""

    def __init__(self) -> None:
        """Start with no test."""
        self.tests: list[dict[str, Any]] = []
        self.shared = self.asked = 0.0
        self.commands = self.depth = 0
        self._run = Channel.run

    def start(self) -> None:
        """Time every command of every channel."""
        plain = self._run

        def run(channel: Channel, *args: Any, **options: Any) -> Any:
            if self.depth:
                return plain(channel, *args, **options)
            started = time.perf_counter()
            try:
                return plain(channel, *args, **options)
            finally:
                self.commands += 1
                self.asked += time.perf_counter() - started

        Channel.run = run

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        """Time the fixtures of the session, the outermost only."""
        if fixturedef.scope != "session" or self.depth:
            return (yield)
        self.depth += 1
        started = time.perf_counter()
        try:
            return (yield)
        finally:
            self.depth -= 1
            self.shared += time.perf_counter() - started

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Time one test, from its preparation to its clearing away."""
        self.shared = self.asked = 0.0
        self.commands = 0
        started = time.perf_counter()
        try:
            return (yield)
        finally:
            marker = item.get_closest_marker("rule")
            if marker and not item.get_closest_marker("acts"):
                seconds = time.perf_counter() - started
                found = {"rule": marker.args[0], "seconds": seconds, "shared": self.shared}
                self.tests.append({**found, "commands": self.commands, "asked": self.asked})

    def pytest_sessionfinish(self) -> None:
        """Write what was measured, and time nothing any more."""
        Channel.run = self._run
        Path(os.environ["BENCH_TIMES"]).write_text(json.dumps(self.tests), "utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    times = Times()
    times.start()
    config.pluginmanager.register(times, "bench-times")
