"""The access review on live hosts: what is planted by hand is found, and nothing is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgssi.evidence import Journal
from pgssi.inventory import load_inventory

from .support import INVENTORY, play

HOST = "dpi1"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEIMnz1pUblB0J1J1u6e2Iv0j9nl8cBLFViHKEPDKoJt plante"
PLANT = f"""
useradd --create-home --shell /bin/bash revue-test
install -d -m 700 -o revue-test ~revue-test/.ssh
echo 'from="10.0.0.0/8" {KEY}' > ~revue-test/.ssh/authorized_keys
mkfifo ~revue-test/.ssh/authorized_keys2
usermod --append --groups shadow clemoine
printf 'clemoine ALL=(postgres) NOPASSWD: /usr/bin/psql\\n' > /etc/sudoers.d/zz-revue-test
chmod 440 /etc/sudoers.d/zz-revue-test
"""
UNPLANT = """
rm -f /etc/sudoers.d/zz-revue-test
gpasswd --delete clemoine shadow
userdel --remove revue-test
"""


def root_runs(script: str, directory: Path, inventory: Path = INVENTORY, host: str = HOST) -> None:
    task = {"name": "Run", "ansible.builtin.shell": {"cmd": script}, "changed_when": True}
    book = directory / "shell.yml"
    book.write_text(yaml.safe_dump([{"hosts": host, "gather_facts": False, "tasks": [task]}]), "utf-8")
    play(book, inventory=inventory).succeeded()


def differences(directory: Path, *options: str) -> set[tuple[str, str]]:
    """Run the playbook, return the differences that its record holds for the host."""
    play("access_review", "-e", f"site_evidence_dir={directory}", *options).succeeded()
    record = Journal(directory).records("access_review")[-1]
    return {(one["code"], one["account"]) for one in record.details["differences"] if one["host"] == HOST}


@pytest.fixture
def planted(lab: Any, tmp_path: Path) -> Iterator[set[tuple[str, str]]]:
    """What the review said before, while the plants are in place."""
    assert HOST in lab.hosts
    before = differences(tmp_path / "evidence", "--limit", HOST)
    root_runs(PLANT, tmp_path)
    yield before
    root_runs(UNPLANT, tmp_path)


def test_what_is_planted_is_found_and_the_record_is_signed(planted: set[tuple[str, str]], tmp_path: Path) -> None:
    """An account, a group and a sudo rule added by hand appear with their account; the RSSI then signs."""
    evidence = tmp_path / "evidence"
    assert differences(evidence) - planted == {
        ("undeclared_account", "revue-test"),
        ("extra_key", "revue-test"),
        ("extra_group", "clemoine"),
        ("extra_sudo", "clemoine"),
    }
    inventory = load_inventory([str(INVENTORY)])
    variables = inventory.hosts[HOST].variables
    journal = Journal.of_site({**variables, "site_evidence_dir": str(evidence)}, INVENTORY)
    record = journal.records("access_review")[-1]
    assert set(record.details["sample"]["hosts"]["observed"]) == set(inventory.hosts)
    assert journal.verify().approved(record.id) == ()
    journal.sign(record.id, Path(variables["ansible_ssh_private_key_file"]).with_name("rssi"))
    verification = journal.verify()
    assert verification.ok
    assert verification.approved(record.id)


@pytest.mark.usefixtures("lab")
def test_the_review_changes_nothing_on_the_hosts(tmp_path: Path) -> None:
    """Only the record counts as a change, and in check mode there is none to read."""
    done = play("access_review", "-e", f"site_evidence_dir={tmp_path / 'evidence'}", "--check").succeeded()
    assert {task for _, task in done.changed()} == {"Cross the four lists and record the review"}
    assert not (tmp_path / "evidence").exists()
