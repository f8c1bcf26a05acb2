"""Pytest plugin: for each break, the rule's tests are green, the host is broken, the same tests are red.

Loaded beside the verifier (``-p saboteur``), so that a break is judged by the very tests that judge production,
over the same open channel. ``--breaks FILE`` says what to do: [{rule, host, on, shell}], where host is the one whose
rule is judged ($HOST in the script) and on the one where the script runs, if another. ``--outcomes FILE`` receives
[{rule, host, before, after, message}]; a break whose rule is not green beforehand is left for a later batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from pgssi.verify.fixtures import HOSTS, OBSERVED
from pgssi.verify.outcome import worst
from pgssi.verify.plugin import PHASES, PROPERTY, TARGET


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--breaks", type=Path)
    parser.addoption("--outcomes", type=Path)


def _judge(items: Iterable[pytest.Item]) -> tuple[str, str]:
    """Run the tests of one rule on one host again, from nothing; return their worst outcome and its message."""
    records: list[dict[str, Any]] = []
    for item in items:
        item.stash[PHASES], item.stash[OBSERVED] = [], []
        item._initrequest()
        for report in runtestprotocol(item, nextitem=None, log=False):
            records += [value for name, value in report.user_properties if name == PROPERTY]
    outcome = worst(record["outcome"] for record in records)
    return outcome, next((r["message"] for r in records if r["outcome"] == outcome), "")


def pytest_runtestloop(session: pytest.Session) -> bool:
    if session.testsfailed:
        raise session.Interrupted("the compliance tests could not be collected")
    hosts = session.config.stash[HOSTS]
    outcomes = []
    for sabotage in json.loads(session.config.getoption("breaks").read_text("utf-8")):
        rule, name = sabotage["rule"], sabotage["host"]
        items = [
            item
            for item in session.items
            if item.get_closest_marker("rule").args == (rule,) and item.callspec.params[TARGET] == name
        ]
        before, message = _judge(items)
        after = ""
        if before == "conforme":
            script = f"set -eu\nHOST={name}\n{sabotage['shell']}"
            done = hosts.get(sabotage["on"]).host.run(script, timeout=180)
            hosts.forget()
            if done.rc == 0:
                after, message = _judge(items)
            else:
                after, message = "break_failed", f"rc {done.rc}: {done.stderr[-300:]}"
        outcomes.append({"rule": rule, "host": name, "before": before, "after": after, "message": message})
        session.config.getoption("outcomes").write_text(json.dumps(outcomes, ensure_ascii=False), "utf-8")
    return True
