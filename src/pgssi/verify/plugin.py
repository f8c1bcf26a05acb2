"""Pytest plugin: one test per rule and host that carries it, one verdict for each.

``pytest tests/compliance -p pgssi.verify.plugin --inventory inventories/demo`` or ``pgssi verify``.
Molecule's testinfra verifier gives ``--ansible-inventory``, which serves as well.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pgssi.catalogue import load_catalogue
from pgssi.errors import PgssiError
from pgssi.verify import NotVerified, fixtures
from pgssi.verify.fixtures import HOSTS, OBSERVED, PLAN
from pgssi.verify.hosts import Hosts
from pgssi.verify.outcome import Redactor, judge, worst
from pgssi.verify.plan import Plan, Selection, make_plan
from pgssi.verify.results import Collector

COLLECTOR = "pgssi-collector"
TARGET = "_pgssi_target"
PROPERTY = "pgssi"  # name under which a test's outcome travels in its last report
# When a test that acts runs among those of its host, by the arguments of its mark; what only reads comes before, as 0.
TURNS = {("first",): 1, (): 2, ("last",): 3}
PHASES = pytest.StashKey[list[tuple[str, str]]]()
STARTED = pytest.StashKey[float]()
REDACTOR = pytest.StashKey[Redactor]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of `pgssi verify`."""
    group = parser.getgroup("pgssi", "PGSSI-S verification")
    group.addoption("--inventory", action="append", default=[], help="Ansible inventory; repeatable.")
    group.addoption("--limit", help="Ansible pattern of hosts.")
    group.addoption("--palier", type=int, choices=(1, 2, 3), help="Target, and highest palier of the rules run.")
    group.addoption("--guide", action="append", default=[], help="Only this guide; repeatable.")
    group.addoption("--rule", action="append", default=[], help="Only this rule; repeatable.")
    group.addoption("--extra-vars", action="append", default=[], help="As ansible-playbook -e; repeatable.")
    group.addoption("--acting", dest="acting", action="store_true", default=None, help="Run tests that act.")
    group.addoption("--no-acting", dest="acting", action="store_false", help="Never run tests that act.")
    group.addoption("--catalogue", help="Directory of another catalogue than the toolkit's.")
    group.addoption("--results", help="Directory to write results.json and the report to.")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Resolve the plan, or take the one of the controlling process."""
    config.addinivalue_line("markers", "rule(id): the rule of the catalogue that the test proves.")
    config.addinivalue_line(
        "markers", "acts(turn): the test changes something on the host for a moment; turn, if any: first or last."
    )
    if not hasattr(config, "workerinput"):
        collector = config.pluginmanager.get_plugin(COLLECTOR)  # `pgssi verify` brings its own
        if collector is None:
            collector = Collector(_plan(config), config.getoption("results"))
            config.pluginmanager.register(collector, COLLECTOR)
        config.stash[PLAN] = collector.plan
    else:
        config.stash[PLAN] = pickle.loads(config.workerinput["pgssi"])
    plan = config.stash[PLAN]
    config.stash[HOSTS] = Hosts(plan)
    secrets = (host.variables.secrets() for host in plan.inventory.hosts.values())
    config.stash[REDACTOR] = Redactor(frozenset().union(*secrets))
    config.pluginmanager.register(fixtures, "pgssi-fixtures")  # after testinfra, whose `host` it replaces


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker the plan through its own pipe, never a file: the variables hold secrets."""
    node.workerinput["pgssi"] = pickle.dumps(node.config.stash[PLAN])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all the tests of a host to one process."""
    from pgssi.verify.schedule import make_scheduler  # only where xdist is at work

    return make_scheduler(config, log, config.stash[PLAN].inventory.selected)


def _plan(config: pytest.Config) -> Plan:
    sources = config.getoption("inventory") or [config.getoption("ansible_inventory", None)]
    if not sources[0]:
        raise pytest.UsageError("--inventory is required")
    option = config.getoption
    selection = Selection(option("palier"), option("limit"), tuple(option("guide")), tuple(option("rule")), option("acting"))
    try:
        catalogue = load_catalogue(Path(option("catalogue"))) if option("catalogue") else load_catalogue()
        return make_plan(sources, selection, option("extra_vars"), catalogue)
    except PgssiError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each selected host that carries its rule; a wrong marker is a collection error."""
    plan = metafunc.config.stash[PLAN]
    markers = list(metafunc.definition.iter_markers("rule"))
    ours = {"host", "facts", "context", "site", "control", "observe"} & set(metafunc.fixturenames)
    if not markers and not ours:
        return
    name = metafunc.definition.nodeid
    if len(markers) != 1 or len(markers[0].args) != 1:
        raise pytest.Collector.CollectError(f'{name}: exactly one @pytest.mark.rule("id") is needed')
    acts = metafunc.definition.get_closest_marker("acts")
    if acts and acts.args not in TURNS:
        raise pytest.Collector.CollectError(f'{name}: @pytest.mark.acts takes nothing, "first" or "last"')
    rule = markers[0].args[0]
    if rule not in plan.catalogue.rules:
        raise pytest.Collector.CollectError(f"{name}: the catalogue has no rule {rule!r}")
    hosts = [pytest.param(host, id=host) for host in plan.hosts_of(rule)]
    metafunc.parametrize(TARGET, hosts, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Host by host, reading before acting; tests of rules that no selected host carries are left out."""
    order = {name: position for position, name in enumerate(config.stash[PLAN].inventory.selected)}
    outside = [item for item in items if item.get_closest_marker("rule") and _host(item) not in order]
    if outside:
        config.hook.pytest_deselected(items=outside)
        left_out = set(outside)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: (order.get(_host(item) or "", -1), _turn(item)))


def _turn(item: pytest.Item) -> int:
    """Return when a test runs on its host."""
    acts = item.get_closest_marker("acts")
    return TURNS[acts.args] if acts else 0


def _host(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    name = callspec.params.get(TARGET) if callspec else None
    return name if isinstance(name, str) else None


def _identity(item: pytest.Item, host: str) -> str:
    """Return the test's id without the host: ``backup/test_plan.py::test_daily``, its own parameters kept."""
    name, _, parameters = item.nodeid.partition("[")  # "test.py::test[host-own]@host" under xdist
    own = parameters.rpartition("]")[0].replace(host, "", 1).strip("-")
    return f"{name}[{own}]" if own else name


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a test that acts where it may not."""
    host = _host(item)
    if host and item.get_closest_marker("acts") and not item.config.stash[PLAN].acting(host):
        raise NotVerified("essai agissant sur l'hôte : non autorisé ici (site_acting_tests, --acting)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge each phase; the last report of a test carries its outcome."""
    report = yield
    host, marker = _host(item), item.get_closest_marker("rule")
    if host is None or marker is None:
        return report
    rule = marker.args[0]
    config = item.config
    error = call.excinfo.value if call.excinfo else None
    outcome, message = judge(call.when, error, hasattr(report, "wasxfail"))
    message = config.stash[REDACTOR](message)
    if call.when == "setup":
        item.stash[STARTED] = time.monotonic() - call.duration
    phases = item.stash.setdefault(PHASES, [])
    if outcome != "conforme" or call.when == "call":
        phases.append((outcome, message))
    if call.when == "teardown":
        final = worst(outcome for outcome, _ in phases)
        record = {
            "host": host,
            "rule": rule,
            "id": _identity(item, host),
            "outcome": final,
            "message": next((text for outcome, text in phases if outcome == final), ""),
            "observed": [config.stash[REDACTOR](text) for text in item.stash.get(OBSERVED, [])],
            "seconds": round(time.monotonic() - item.stash[STARTED], 4),
        }
        report.user_properties = [*report.user_properties, (PROPERTY, record)]
    plan = config.stash[PLAN]
    excused = _excuse(plan, host, rule, outcome)
    if excused and not report.passed:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"{excused} : {message}")
    return report


def _excuse(plan: Plan, host: str, rule: str, outcome: str) -> str:
    """Return why a test that did not pass is no failure of the run, or an empty string."""
    context = plan.contexts[host]
    if outcome == "non_applicable":
        return "sans objet"
    if context.waiver(rule):
        return "dérogation"
    if plan.catalogue.rules[rule].palier > context.palier:
        return "au-delà du palier visé"
    return ""


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the channels, once all fixtures have cleaned up; a worker tells what became of its hosts."""
    hosts = session.config.stash.get(HOSTS, None)
    if hosts is None:
        return
    hosts.close()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["pgssi"] = hosts.states()
