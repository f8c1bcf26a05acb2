"""Bad input stops ``pgssi check`` and every playbook before any host is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from site_builder import demo_inventory

from pgssi.paths import PLAYBOOKS, ROOT

BIN = Path(sys.executable).parent


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the virtual environment from the clone."""
    return subprocess.run(
        [sys.executable, "-m", *command] if command[0] == "pgssi.cli" else [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A sound inventory, to spoil."""
    return demo_inventory(tmp_path / "site")


def spoil(site: Path, name: str, old: str, new: str) -> None:
    """Replace one text in one file of group_vars/all."""
    file = site / "group_vars" / "all" / name
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_sound_site_passes(site: Path) -> None:
    """A sound inventory gives code 0, on the command line and as the first play."""
    checked = run("pgssi.cli", "check", "-i", str(site))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "valide : 9 hôtes" in checked.stdout
    played = run("ansible-playbook", "-i", str(site), str(PLAYBOOKS / "preflight.yml"), "-e", "site_palier=1")
    assert played.returncode == 0, played.stdout + played.stderr


def test_bad_site_is_refused_in_both_languages(site: Path) -> None:
    """Code 1; file with line, key, value and remedy; French, or English on demand."""
    spoil(site, "people.yml", "functions: [medecin]", "functions: [medcin]")
    checked = run("pgssi.cli", "check", "-i", str(site))
    assert checked.returncode == 1 and "Traceback" not in checked.stdout + checked.stderr
    for part in ("people.yml:", "site_people[0].functions[0] = 'medcin'", "Vouliez-vous dire « medecin »"):
        assert part in checked.stdout, checked.stdout
    english = run("pgssi.cli", "check", "-i", str(site), "--lang", "en")
    assert 'Did you mean "medecin"' in english.stdout


def test_no_such_inventory() -> None:
    """An inventory that does not exist is said so."""
    checked = run("pgssi.cli", "check", "-i", "inventories/nowhere")
    assert checked.returncode == 1 and "Traceback" not in checked.stdout + checked.stderr
    assert "inventories/nowhere" in checked.stdout


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("people.yml", "functions: [medecin]", "functions: [medcin]", "site_people[0].functions[0]"),
        ("backup.yml", "    host: log1\n", "    host: log9\n", "site_backup_plan[3].host"),
        ("network.yml", "10.90.3.0/24", "10.90.2.0/25", "recouvre la zone servers"),
        (
            "waivers.yml",
            "[]",
            "[{rule: backup-encrypted-in-transit, scope: [all], reason: r, owner: o, expires: 2020-01-01}]",
            "échue",
        ),
        ("backup.yml", "    pdma_hours: 24\n", "", "site_backup_plan[0].pdma_hours"),
        ("people.yml", "leaves: ", "leavs: ", "« leaves »"),
    ],
    ids=["function", "host", "networks", "expiry", "pdma", "typo"],
)
def test_playbook_stops_before_any_host(site: Path, name: str, old: str, new: str, told: str) -> None:
    """site.yml stops in its first task, contacting no host, even when the limit leaves the fault out."""
    spoil(site, name, old, new)
    spoil(
        site,
        "connection.yml",
        "ansible_user: pgssi",
        "ansible_user: pgssi\nansible_ssh_executable: /bin/false",
    )
    played = run("ansible-playbook", "-i", str(site), str(PLAYBOOKS / "site.yml"), "--limit", "off1")
    assert played.returncode == 2
    assert told in played.stdout + played.stderr and name in played.stdout + played.stderr, played.stdout
    assert "unreachable=0" in played.stdout and "ok=0" in played.stdout, played.stdout
    assert played.stdout.count("TASK [") == 1


@pytest.mark.parametrize("whole", [False, True], ids=["value", "file"])
def test_unreadable_vault(site: Path, tmp_path: Path, whole: bool) -> None:
    """A vault without its password stops check and playbook, naming the file and the remedy."""
    (tmp_path / "password").write_text("lab", "ascii")
    password = ("--vault-password-file", str(tmp_path / "password"))
    secret = site / "host_vars" / "dpi1.yml"
    secret.parent.mkdir()
    if whole:
        secret.write_text("site_backup_passphrase: a secret of twenty characters\n", "ascii")
        assert run("ansible-vault", "encrypt", *password, str(secret)).returncode == 0
    else:
        text = run(
            "ansible-vault",
            "encrypt_string",
            *password,
            "a secret of twenty characters",
            "--name",
            "site_backup_passphrase",
        )
        secret.write_text(text.stdout, "ascii")
    checked = run("pgssi.cli", "check", "-i", str(site))
    assert checked.returncode == 1
    assert "host_vars/dpi1.yml" in checked.stdout and "ANSIBLE_VAULT_PASSWORD_FILE" in checked.stdout
    played = run("ansible-playbook", "-i", str(site), str(PLAYBOOKS / "site.yml"), "--limit", "gw1")
    assert played.returncode == 2
    output = played.stdout + played.stderr
    assert "host_vars/dpi1.yml" in output and "ANSIBLE_VAULT_PASSWORD_FILE" in output, output
    opened = run("pgssi.cli", "check", "-i", str(site), ANSIBLE_VAULT_PASSWORD_FILE=str(tmp_path / "password"))
    assert opened.returncode == 0, opened.stdout
