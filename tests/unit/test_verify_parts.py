"""The parts of the verifier, each by itself: outcomes, masking, facts, evidence, logins from outside."""

from __future__ import annotations

from pathlib import Path

import fake_host
import pytest

from pgssi.evidence import Journal
from pgssi.inventory import load_inventory
from pgssi.transport import CommandTimeout
from pgssi.transport.backend import open_host
from pgssi.verify import NotVerified, control
from pgssi.verify.control import Control
from pgssi.verify.facts import Facts
from pgssi.verify.outcome import HIDDEN, Redactor, judge, worst
from pgssi.verify.records import SiteEvidence
from pgssi.verify.schedule import host_of


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["conforme", "non_applicable"], "conforme"),
        (["non_applicable", "non_applicable"], "non_applicable"),
        (["conforme", "non_verifie"], "non_verifie"),
        (["non_verifie", "non_conforme", "conforme"], "non_conforme"),
        ([], "non_verifie"),
    ],
)
def test_worst_outcome_wins(outcomes: list[str], expected: str) -> None:
    """Several tests of one rule become their worst; none at all proves nothing."""
    assert worst(outcomes) == expected


def test_comparison_noise_is_left_out() -> None:
    """The author's message is kept, what pytest adds to it is not."""
    assert judge("call", AssertionError("minlen vaut 8\nassert 8 >= 10\n +  where 8 = f()"), False) == (
        "non_conforme",
        "minlen vaut 8",
    )


def test_masking() -> None:
    """Known secrets, password hashes and private keys are masked; the rest is not."""
    mask = Redactor(frozenset({"hunter22"}))
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----"
    shown = mask(f"root:$6$salt$hashhashhash: hunter22 {key} fin")
    assert shown == f"root:{HIDDEN}: {HIDDEN} {HIDDEN} fin"


def test_facts_are_asked_once(tmp_path: Path) -> None:
    """A fact costs one command however often it is read, and its failure one timeout."""
    channel = fake_host.channel(tmp_path)
    facts = Facts(open_host("h", channel))
    counter = tmp_path / "counter"
    for _ in range(3):
        assert facts("k", f"echo x >> {counter}; wc -l < {counter}").strip() == "1"
        with pytest.raises(CommandTimeout):
            facts("slow", f"echo x >> {counter}2; sleep 5", timeout=0.2)
    assert Path(f"{counter}2").read_text("utf-8") == "x\n"
    facts.forget("k")
    assert facts("k", f"echo x >> {counter}; wc -l < {counter}").strip() == "2"
    assert facts.shadow().keys() >= {"root"}
    channel.close()


def test_evidence_of_a_site(tmp_path: Path) -> None:
    """Sound records are handed over; one changed byte and none of them is."""
    variables = {"site_evidence_dir": "journal", "inventory_dir": str(tmp_path)}
    assert SiteEvidence.of(variables) == SiteEvidence()
    journal = Journal(tmp_path / "journal")
    journal.append(
        kind="red_button",
        what="Essai du bouton rouge",
        where=["bkp1"],
        who={"operator": "adm-adurand"},
        when={"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T10:05:00Z"},
        result="success",
        details={"reason": "exercice", "isolated": True},
    )
    known = SiteEvidence.of(variables)
    assert known.fault == ""
    assert [(line["kind"], line["when"], line["where"]) for line in known.summary()] == [
        ("red_button", "2026-01-01T10:05:00Z", ["bkp1"])
    ]
    assert known.records[0]["approved"] == []
    lines = tmp_path / "journal" / "journal.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b"Essai", b"Essay"))
    damaged = SiteEvidence.of(variables)
    assert (damaged.records, damaged.fault.startswith("journal de preuves")) == ((), True)


def outside(folder: Path, ssh: str) -> Control:
    """Return the control of a host that is reached by this fake ssh."""
    source = fake_host.inventory(folder, {"h1": {}}, ansible_ssh_executable=fake_host.script(folder / "login", ssh))
    return Control(load_inventory([source]), "h1")


def test_refused_login_is_an_answer(tmp_path: Path) -> None:
    """A login that the host refuses is an outcome like another."""
    ssh = "#!/bin/sh\necho 'alice@h1: Permission denied (password).' >&2; exit 255\n"
    assert outside(tmp_path, ssh).ssh("alice", password="mauvais mot").rc == 255


@pytest.mark.parametrize("words", ["Connection refused", "kex_exchange_identification: Connection closed"])
def test_host_that_cannot_be_asked_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """A host that is away, or turns this address away, is not one that refuses the user."""
    monkeypatch.setattr(control, "PATIENCE", (0.01,))
    with pytest.raises(NotVerified, match="aucune connexion SSH"):
        outside(tmp_path, f"#!/bin/sh\necho '{words}' >&2; exit 255\n").ssh("alice", password="mot")


def test_password_reaches_ssh_unseen(tmp_path: Path) -> None:
    """The password is given through ssh's helper, and stands in no command line."""
    ssh = '#!/bin/sh\n"$SSH_ASKPASS" prompt; printf \'%s\\n\' "$*"\n'
    said = outside(tmp_path, ssh).ssh("alice", "id", password="le bon mot").stdout.splitlines()
    assert said[0] == "le bon mot"
    assert "mot" not in said[1]
    assert "User=alice" in said[1]


def test_command_of_the_control_node(tmp_path: Path) -> None:
    """A missing command or a silent one is not verified rather than failed."""
    here = outside(tmp_path, "#!/bin/sh\n")
    assert here.run(["sh", "-c", "cat; exit 4"], stdin=b"in").stdout == "in"
    with pytest.raises(NotVerified, match="absente"):
        here.run(["no-such-command-here"])
    with pytest.raises(NotVerified, match=r"0\.2 s"):
        here.run(["sleep", "5"], timeout=0.2)


@pytest.mark.parametrize(
    ("nodeid", "host"),
    [("a.py::t[web]", "web"), ("a.py::t[web-1]", "web-1"), ("a.py::t[x-web-1-y]", "web-1"), ("a.py::t[web2]", "a.py::t[web2]")],
)
def test_tests_are_scheduled_by_host(nodeid: str, host: str) -> None:
    """The host is found in the id of a test, the longest name first."""
    assert host_of(nodeid, ["web-1", "web"]) == host
