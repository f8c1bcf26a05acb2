"""A whole `pgssi verify` on hosts that this machine plays: verdicts, exit codes, results, processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fake_host
import pytest
from jsonschema import Draft202012Validator

from pgssi.catalogue import load_catalogue
from pgssi.errors import InvalidInput
from pgssi.paths import CATALOGUE
from pgssi.verify.plan import Selection, make_plan

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
RULES = {  # rule: (palier, groups)
    "demo-passes": (1, "all"),
    "demo-fails": (1, "all"),
    "demo-breaks": (1, "all"),
    "demo-no-object": (1, "all"),
    "demo-not-seen": (1, "all"),
    "demo-skipped": (1, "all"),
    "demo-expected-failure": (1, "all"),
    "demo-hangs": (1, "all"),
    "demo-acts": (1, "all"),
    "demo-no-test": (1, "all"),
    "demo-setup-fails": (1, "all"),
    "demo-cleanup-fails": (1, "all"),
    "demo-two-tests": (1, "all"),
    "demo-waived": (1, "all"),
    "demo-later": (3, "all"),
    "demo-servers-only": (1, "servers"),
    "demo-evidence": (1, "all"),
    "demo-secret": (1, "all"),
}
TESTS = """
import pytest
from pgssi.verify import not_applicable, not_verified

@pytest.mark.rule("demo-passes")
def test_passes(host, context, site, facts, observe, other, control):
    observe(f"nom {site['inventory_hostname']}")
    assert host.run("echo %s", context.name).stdout.strip() == site["inventory_hostname"]
    assert facts("k", "echo $$") == facts("k", "echo other")
    assert other("h2").run("echo there").stdout == "there\\n"
    assert control.run(["echo", "ici"]).stdout == "ici\\n"

@pytest.mark.rule("demo-fails")
def test_fails(host, observe):
    observe("code 3")
    assert host.run("exit 3").rc == 0, "le code est 3"

@pytest.mark.rule("demo-breaks")
def test_breaks():
    raise RuntimeError("cassé")

@pytest.mark.rule("demo-no-object")
def test_no_object():
    not_applicable("pas de base de données")

@pytest.mark.rule("demo-not-seen")
def test_not_seen():
    not_verified("conteneur")

@pytest.mark.rule("demo-skipped")
def test_skipped():
    pytest.skip("pas aujourd'hui")

@pytest.mark.rule("demo-expected-failure")
@pytest.mark.xfail
def test_expected_failure():
    assert False

@pytest.mark.rule("demo-hangs")
def test_hangs(host):
    host.run("sleep 30", timeout=0.3)

@pytest.mark.rule("demo-acts")
@pytest.mark.acts
def test_acts(host):
    assert host.run("true").rc == 0

@pytest.fixture
def account():
    assert False, "useradd absent"

@pytest.mark.rule("demo-setup-fails")
def test_setup_fails(account):
    pass

@pytest.fixture
def dirty():
    yield
    assert False, "compte resté"

@pytest.mark.rule("demo-cleanup-fails")
def test_cleanup_fails(dirty):
    pass

@pytest.mark.rule("demo-two-tests")
@pytest.mark.parametrize("way", ["su", "ssh-key"])
def test_first(way):
    pass

@pytest.mark.rule("demo-two-tests")
def test_second():
    pytest.fail("le second échoue")

@pytest.mark.rule("demo-waived")
def test_waived():
    assert False, "manque"

@pytest.mark.rule("demo-later")
def test_later():
    assert False, "au palier 3"

@pytest.mark.rule("demo-servers-only")
def test_servers_only(host):
    pass

@pytest.mark.rule("demo-evidence")
def test_evidence(evidence):
    assert evidence == ()

@pytest.mark.rule("demo-secret")
def test_secret(site):
    assert site["api_password"] == "x", f"vu {site['api_password']} et $y$j9T$abcdefghijklmnop$qrst"
"""
EXPECTED = {
    "demo-passes": "conforme",
    "demo-fails": "non_conforme",
    "demo-breaks": "non_verifie",
    "demo-no-object": "non_applicable",
    "demo-not-seen": "non_verifie",
    "demo-skipped": "non_verifie",
    "demo-expected-failure": "non_verifie",
    "demo-hangs": "non_verifie",
    "demo-acts": "non_verifie",
    "demo-no-test": "non_verifie",
    "demo-setup-fails": "non_verifie",
    "demo-cleanup-fails": "non_verifie",
    "demo-two-tests": "non_conforme",
    "demo-waived": "derogation",
    "demo-later": "non_conforme",
    "demo-evidence": "conforme",
    "demo-secret": "non_conforme",
}


class Site:
    """A scratch site: catalogue, inventory of three hosts (one away), tests."""

    def __init__(self, folder: Path, tests: str = TESTS) -> None:
        self.folder = folder
        rules = folder / "catalogue" / "rules"
        rules.mkdir(parents=True)
        (folder / "catalogue" / "pssi.yml").write_text("requirements: []\n", "utf-8")
        text = {"fr": "texte", "en": "text"}
        raw = [
            {
                "id": rule,
                "title": text,
                "statement": text,
                "why": text,
                "palier": palier,
                "requirements": ["4.5.1.4"],
                "groups": [group],
            }
            for rule, (palier, group) in RULES.items()
        ]
        (rules / "backup.yml").write_text(json.dumps({"guide": "backup", "rules": raw}), "utf-8")
        self.tests = folder / "tests"
        self.tests.mkdir()
        (self.tests / "test_demo.py").write_text(tests, "utf-8")
        waiver = {
            "rule": "demo-waived",
            "scope": ["all"],
            "reason": "r",
            "owner": "o",
            "expires": "2999-01-01",
        }
        hosts = {"h1": {}, "h2": {}, "h3": {"ansible_host": "away"}}
        self.inventory = fake_host.inventory(folder, hosts, site_waivers=[waiver], api_password="chut-chut")

    def command(self, *options: str) -> list[str]:
        """Return the command line of a verification."""
        argv = [
            sys.executable,
            "-m",
            "pgssi.cli",
            "verify",
            "-i",
            self.inventory,
            "-o",
            str(self.folder / "output"),
        ]
        return [*argv, "--tests", str(self.tests), "--catalogue", str(self.folder / "catalogue"), *options]

    def verify(self, *options: str) -> tuple[int, dict[str, Any], str]:
        """Run the command; return its exit code, its results ({} when there are none) and what it said."""
        done = subprocess.run(
            self.command(*options),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=ENVIRONMENT,
            check=False,
        )
        found = self.folder / "output" / "results.json"
        return (
            done.returncode,
            json.loads(found.read_text("utf-8")) if found.exists() else {},
            done.stdout + done.stderr,
        )


def by_rule(results: Mapping[str, Any], host: str) -> dict[str, dict[str, Any]]:
    return {v["rule"]: v for v in results["verdicts"] if v["host"] == host}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any], str, Path]:
    site = Site(tmp_path_factory.mktemp("site"))
    return (*site.verify("-n", "3"), site.folder / "output")


Ran = tuple[int, dict[str, Any], str, Path]


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_verdicts(ran: Ran, host: str) -> None:
    """Each way in which a test can end has its one verdict, on every host alike."""
    assert {rule: v["verdict"] for rule, v in by_rule(ran[1], host).items()} == EXPECTED


def test_rules_out_of_scope_are_absent(ran: Ran) -> None:
    """A rule of another group is no verdict of this host."""
    assert "demo-servers-only" not in by_rule(ran[1], "h1")


def test_results_follow_the_schema(ran: Ran) -> None:
    """results.json is what its schema promises."""
    schema = json.loads((CATALOGUE / "schema" / "results.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(ran[1])] == []


def test_messages_say_what_was_seen(ran: Ran) -> None:
    """Observations and the author's own words reach the results; the comparison's noise does not."""
    verdict = by_rule(ran[1], "h1")["demo-fails"]
    assert (verdict["observed"], verdict["message"]) == (["code 3"], "le code est 3")
    assert by_rule(ran[1], "h2")["demo-passes"]["observed"] == ["nom h2"]
    assert by_rule(ran[1], "h1")["demo-setup-fails"]["message"] == "préparation impossible : useradd absent"
    assert by_rule(ran[1], "h1")["demo-cleanup-fails"]["message"] == "remise en état impossible : compte resté"
    assert "0.3 s" in by_rule(ran[1], "h1")["demo-hangs"]["message"]


def test_tests_are_named_without_their_host(ran: Ran) -> None:
    """The same test has the same id on every host, its own parameters included."""
    for host in ("h1", "h2"):
        ids = [test["id"] for test in by_rule(ran[1], host)["demo-two-tests"]["tests"]]
        assert ids == [
            "test_demo.py::test_first[su]",
            "test_demo.py::test_first[ssh-key]",
            "test_demo.py::test_second",
        ]


def test_waiver_keeps_the_raw_verdict(ran: Ran) -> None:
    """A waived rule says so, with what the test really found."""
    verdict = by_rule(ran[1], "h1")["demo-waived"]
    assert (verdict["raw"], verdict["waiver"]["owner"]) == ("non_conforme", "o")


def test_secrets_stay_out(ran: Ran) -> None:
    """Secret values of the inventory and password hashes are masked everywhere."""
    text = json.dumps(ran[1], ensure_ascii=False) + ran[2]
    assert "chut-chut" not in text
    assert "$y$" not in text
    assert "[masqué]" in by_rule(ran[1], "h1")["demo-secret"]["message"]


def test_host_away(ran: Ran) -> None:
    """A host that cannot be reached has no verdict but non_verifie wherever the host was needed."""
    away = next(host for host in ran[1]["hosts"] if host["name"] == "h3")
    assert away["status"] == "unreachable"
    assert "No route to host" in away["message"]
    verdicts = by_rule(ran[1], "h3")
    assert verdicts["demo-fails"]["verdict"] == "non_verifie"
    assert "No route to host" in verdicts["demo-fails"]["message"]
    assert "conforme" not in {v["verdict"] for r, v in verdicts.items() if r in ("demo-passes", "demo-acts")}


def test_exit_code_and_files(ran: Ran) -> None:
    """Gaps exit with 1, and the report stands beside the results."""
    code, _, said, folder = ran
    assert code == 1, said
    assert {"results.json", "report.html", "junit.xml"} <= {path.name for path in folder.iterdir()}
    assert "h3 : injoignable" in said


def test_one_process_gives_the_same(tmp_path: Path) -> None:
    """Without parallel processes, and with acting tests, only the acting test's verdict differs."""
    _, results, said = Site(tmp_path).verify("-l", "h1", "--acting")
    found = {rule: v["verdict"] for rule, v in by_rule(results, "h1").items()}
    assert found == {**EXPECTED, "demo-acts": "conforme"}, said


def test_hosts_one_after_the_other(tmp_path: Path) -> None:
    """In one process each host has its own fixtures, built for it and torn down after it."""
    _, results, said = Site(tmp_path).verify("-l", "h1,h2", "-n", "1", "-r", "demo-passes")
    seen = {v["host"]: v["observed"] for v in results["verdicts"]}
    assert seen == {"h1": ["nom h1"], "h2": ["nom h2"]}, said


CLEANS = """
import pytest

@pytest.fixture(scope="session")
def account(host, site):
    host.run("touch %s", f"{site['inventory_dir']}/trace-{site['inventory_hostname']}")
    yield
    host.run("rm %s", f"{site['inventory_dir']}/trace-{site['inventory_hostname']}")

@pytest.mark.rule("demo-passes")
def test_long(host, account):
    host.run("sleep 60", timeout=90)
"""


@pytest.mark.parametrize("hosts", ["h1", "h1,h2"])
def test_interruption_cleans_up(tmp_path: Path, hosts: str) -> None:
    """Ctrl-C ends a run with exit 2, after the fixtures have undone what they did on the hosts."""
    site = Site(tmp_path, CLEANS)
    running = subprocess.Popen(
        site.command("-l", hosts),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests run in the background ignore Ctrl-C
    )
    for _ in range(300):
        if len(list(tmp_path.glob("trace-*"))) == len(hosts.split(",")):
            break
        time.sleep(0.1)
    time.sleep(0.3)
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=30)[0].decode()
    assert running.returncode == 2, said
    assert "interrompue" in said
    assert list(tmp_path.glob("trace-*")) == []


def test_all_in_target_conform(tmp_path: Path) -> None:
    """Exit 0 when what was asked for conforms; --palier sets the target."""
    code, results, said = Site(tmp_path).verify("-l", "h1,h2", "-r", "demo-passes", "--palier", "1")
    assert code == 0, said
    assert {v["rule"] for v in results["verdicts"]} == {"demo-passes"}
    assert {host["palier"] for host in results["hosts"]} == {1}


def test_beyond_the_target_is_no_gap(tmp_path: Path) -> None:
    """A rule above the target is verified and reported, but does not fail the run."""
    code, results, _ = Site(tmp_path).verify("-l", "h1", "-r", "demo-passes", "-r", "demo-later")
    assert code == 0
    assert by_rule(results, "h1")["demo-later"]["verdict"] == "non_conforme"


@pytest.mark.parametrize(
    ("selection", "extra", "told"),
    [
        (Selection(rules=("no-such-rule",)), "", "no-such-rule"),
        (Selection(guides=("no-such-guide",)), "", "no-such-guide"),
        (Selection(limit="nobody"), "", "nobody"),
        (Selection(palier=1, rules=("demo-passes", "demo-later")), "", "demo-later.*palier 3"),
        (Selection(limit="h1", rules=("demo-servers-only",)), "", "demo-servers-only.*aucun"),
        (Selection(palier=1, guides=("backup",), rules=("demo-later",)), "", "demo-later.*palier 3"),
        (Selection(), "site_palier=7", r"site_palier \(h1\) = 7"),
        (Selection(), "site_waivers=[1]", "site_waivers"),
        (Selection(), "site_palier={{ nothing }}", "undefined"),
    ],
)
def test_bad_requests(tmp_path: Path, selection: Selection, extra: str, told: str) -> None:
    """What cannot be done is refused before any host is touched."""
    site = Site(tmp_path)
    with pytest.raises(InvalidInput, match=told):
        make_plan([site.inventory], selection, [extra], load_catalogue(tmp_path / "catalogue"))


def test_bad_request_on_the_command_line(tmp_path: Path) -> None:
    """A refusal is one clear line and exit 2."""
    code, results, said = Site(tmp_path).verify("-l", "nobody")
    assert (code, results) == (2, {}), said
    assert "nobody" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("tests", "told"),
    [
        (
            "import pytest\n@pytest.mark.rule('no-such-rule')\ndef test_x(host): pass\n",
            "no rule 'no-such-rule'",
        ),
        ("def test_x(host): pass\n", "exactly one"),
        (
            "import pytest\n@pytest.mark.rule('demo-passes')\n@pytest.mark.acts('fist')\ndef test_x(host): pass\n",
            '"first" or "last"',
        ),
        ("import no_such_module\n", "no_such_module"),
    ],
    ids=["unknown-rule", "no-rule", "unknown-turn", "broken-file"],
)
@pytest.mark.parametrize("hosts", ["h1", "h1,h2"])
def test_bad_tests_are_told(tmp_path: Path, tests: str, told: str, hosts: str) -> None:
    """A test file that cannot be trusted stops the run with exit 2, in one process or several."""
    code, results, said = Site(tmp_path, tests).verify("-l", hosts)
    assert (code, results) == (2, {}), said
    assert told in said


CRASH = """
import os, pytest
@pytest.mark.rule("demo-passes")
def test_crash(context):
    if context.name == "h1":
        os._exit(1)
"""


def test_crashed_process_is_not_a_pass(tmp_path: Path) -> None:
    """When a process of the verifier dies, its hosts' rules are not verified, and the others still are."""
    code, results, said = Site(tmp_path, CRASH).verify("-l", "h1,h2", "-r", "demo-passes", "-n", "2")
    assert code == 1, said
    assert by_rule(results, "h1")["demo-passes"]["verdict"] == "non_verifie"
    assert by_rule(results, "h2")["demo-passes"]["verdict"] == "conforme"


def test_pytest_alone(tmp_path: Path) -> None:
    """The plugin serves a plain pytest run as well (Molecule), beside testinfra's own plugin."""
    site = Site(tmp_path)
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "pgssi.verify.plugin",
        "-p",
        "no:cacheprovider",
        str(site.tests),
    ]
    argv += [
        "--ansible-inventory",
        site.inventory,
        "--catalogue",
        str(tmp_path / "catalogue"),
        "--limit",
        "h1",
    ]
    argv += ["--rule", "demo-passes", "--rule", "demo-waived", "--results", str(tmp_path / "out")]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout
    assert (tmp_path / "out" / "results.json").exists()
