"""Gathers outcomes on the controlling process and writes results.json (``pgssi-results/1``)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pgssi import __version__
from pgssi.catalogue import Rule
from pgssi.errors import InvalidInput
from pgssi.inforce import Waiver
from pgssi.network.live import network_of
from pgssi.network.register import as_data as network_data
from pgssi.verify.fixtures import HOSTS
from pgssi.verify.outcome import worst
from pgssi.verify.plan import Plan

SCHEMA = "pgssi-results/1"
ACCEPTED = frozenset({"conforme", "derogation", "non_applicable"})


class Collector:
    """A plugin that turns reports into verdicts, under xdist or not.

    watch: called with each test's record as it comes, for a progress display.
    """

    def __init__(self, plan: Plan, directory: str | None, watch: Callable[[Mapping[str, Any]], None] | None = None):
        """Take the plan, and where to write the results when the session ends (None: nowhere)."""
        self.plan = plan
        self.results: dict[str, Any] | None = None
        self.watch = watch
        self._directory = Path(directory) if directory else None
        self._records: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
        self._states: dict[str, dict[str, Any]] = {}
        self.crashes: list[str] = []
        self.collection_errors: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome that a test's last report carries."""
        for name, record in report.user_properties:
            if name == "pgssi" and isinstance(record, Mapping):
                self._records[record["host"], record["rule"]].append(record)
                if self.watch:
                    self.watch(record)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a test file could not be read."""
        if report.failed:
            text = str(report.longrepr).strip()
            if text not in self.collection_errors:
                self.collection_errors.append(text)

    def pytest_internalerror(self, excrepr: object) -> None:
        """Keep what broke the verifier itself."""
        self.crashes.append(str(excrepr))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take over what a worker knows of its hosts."""
        if error:
            self.crashes.append(str(error))
        for name, state in (getattr(node, "workeroutput", None) or {}).get("pgssi", {}).items():
            if name not in self._states or state["reached"]:
                self._states[name] = state

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Any:
        """Settle the verdicts; the exit status says whether everything in the target is accepted."""
        yield
        if exitstatus not in (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            return
        if session.config.getoption("collectonly", False):
            return
        if self.collection_errors:  # under xdist pytest goes on with the rest: half a verification misleads
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            return
        self._states.update(session.config.stash[HOSTS].states())
        self.results = self.build()
        session.exitstatus = pytest.ExitCode.OK if in_target_accepted(self.results) else pytest.ExitCode.TESTS_FAILED
        if self._directory:
            write(self.results, self._directory)

    def build(self) -> dict[str, Any]:
        """Return the results document."""
        plan = self.plan
        variables = plan.site()
        verdicts = [self._verdict(host, rule) for host in plan.contexts for rule in plan.rules_of(host)]
        document = {
            "schema": SCHEMA,
            "generated": datetime.now(UTC).isoformat(timespec="seconds"),
            "toolkit": {"version": __version__},
            "catalogue": {
                "digest": plan.catalogue.digest,
                "rules": len(plan.catalogue.rules),
                "requirements": len(plan.catalogue.requirements),
            },
            "site": {
                "name": str(variables.get("site_name", "")),
                "palier": min(context.palier for context in plan.contexts.values()),
                "guidance": next(iter(plan.contexts.values())).guidance,
                "trajectory": variables.get("site_trajectory") or [],
                "contacts": variables.get("site_contacts") or {},
            },
            "selection": {
                "palier": plan.selection.palier,
                "limit": plan.selection.limit,
                "guides": list(plan.selection.guides),
                "rules": list(plan.selection.rules),
                "acting": plan.selection.acting,
            },
            "hosts": [self._host(name) for name in plan.contexts],
            "verdicts": verdicts,
            "attestations": variables.get("site_attestations") or [],
            "evidence": plan.evidence.summary(),
            **self._network(),
        }
        plain: dict[str, Any] = json.loads(json.dumps(document, default=_text, ensure_ascii=False))
        return plain

    def _network(self) -> dict[str, Any]:
        """Return the declared network; nothing for a site without a matrix, or with one that pgssi check refuses."""
        try:
            network = network_of(self.plan.inventory, self.plan.catalogue)
        except InvalidInput:
            return {}
        return {"network": network_data(network)} if network.described else {}

    def _host(self, name: str) -> dict[str, Any]:
        context, state = self.plan.contexts[name], self._states.get(name, {})
        tests = [r["seconds"] for (host, _), records in self._records.items() if host == name for r in records]
        return {
            "name": name,
            "groups": list(context.groups),
            "os": state.get("os", ""),
            "palier": context.palier,
            "status": "ok" if state.get("reached", True) else "unreachable",
            "message": state.get("message", ""),
            "seconds": round(sum(tests), 3),
        }

    def _verdict(self, host: str, rule: Rule) -> dict[str, Any]:
        records = self._records.get((host, rule.id), [])
        raw = worst(record["outcome"] for record in records)
        waiver = self.plan.contexts[host].waiver(rule.id)
        said = [r["message"] for r in records if r["outcome"] == raw and r["message"]]
        return {
            "host": host,
            "rule": rule.id,
            "guide": rule.guide,
            "palier": rule.palier,
            "requirements": list(rule.requirements),
            "verdict": "derogation" if waiver else raw,
            "raw": raw,
            "message": " ; ".join(dict.fromkeys(said)) if records else self._nothing_said(),
            "observed": [text for record in records for text in record["observed"]],
            "tests": [{"id": r["id"], "outcome": r["outcome"], "seconds": r["seconds"]} for r in records],
            "waiver": _waiver(waiver) if waiver else None,
        }

    def _nothing_said(self) -> str:
        return "essai interrompu avec son processus" if self.crashes else "aucun essai n'a été exécuté pour cette règle"


def in_target_accepted(results: Mapping[str, Any]) -> bool:
    """Return whether every rule within its host's target is conforming, waived or without object."""
    targets = {host["name"]: host["palier"] for host in results["hosts"]}
    return all(v["verdict"] in ACCEPTED for v in results["verdicts"] if v["palier"] <= targets[v["host"]])


def write(results: Mapping[str, Any], directory: Path) -> Path:
    """Write results.json, and the report beside it; return the path of results.json."""
    from pgssi.report import write as write_report

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "results.json"
    path.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", "utf-8")
    write_report(results, directory)
    return path


def _waiver(waiver: Waiver) -> dict[str, Any]:
    return {
        "rule": waiver.rule,
        "scope": list(waiver.scope),
        "reason": waiver.reason,
        "owner": waiver.owner,
        "expires": waiver.expires.isoformat(),
    }


def _text(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Iterable):
        return list(value)
    return str(value)
