"""What an ordinary account, a thief of media or a listener on the network gets: nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from testinfra.host import Host

Seen = Mapping[str, Any]
AS_NOBODY = "runuser -u nobody -- "
SEALED = ("repokey-blake2", "keyfile-blake2", "repokey", "keyfile")


@pytest.mark.rule("backup-encrypted-at-rest")
def test_objects_are_encrypted(seen: Seen, context: Any, observe: Callable[[str], None]) -> None:
    """The type byte of the newest manifest of each repository, read on the server without any key, says encrypted and sealed."""
    assert seen, "le serveur de sauvegarde ne connaît aucun dépôt de cet hôte"
    observe(f"chiffrement : {seen['encryption']}")
    assert seen["encryption"] in SEALED, "le dépôt n'est pas chiffré"
    open_ = [name for name, kind in seen["others"].items() if kind is not None and kind not in SEALED]
    remedy = f"pgssi-backup-store discard {context.name} {open_[0]}" if open_ else ""
    assert not open_, f"autre dépôt non chiffré : {', '.join(open_)} ; à retirer sur le serveur par : {remedy}"


@pytest.mark.rule("backup-encrypted-at-rest")
@pytest.mark.acts
def test_server_finds_no_marker(marked_run: Any, host: Host, server: Host, context: Any, observe: Callable[[str], None]) -> None:
    """After a run that saved a marker, the server searches every byte of the repository and does not find it."""
    assert marked_run.status == "0", f"la sauvegarde échoue : {marked_run.said}"
    found = server.run(f"grep -rqaF {marked_run.marker} /srv/pgssi-backup/{context.name}", timeout=300)
    secret = host.check_output("cat /etc/pgssi/backup/passphrase").strip()
    kept = server.run("grep -rqaF -f /dev/stdin /etc/pgssi /srv/pgssi-backup /var/lib/pgssi-backup", stdin=secret.encode())
    observe(f"marqueur absent : {found.rc == 1} ; phrase secrète absente du serveur : {kept.rc == 1}")
    assert found.rc == 1, "le marqueur se lit en clair dans le dépôt"
    assert kept.rc == 1, "le serveur détient la phrase secrète de son client"


GOOD = {"aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"}


@pytest.fixture
def ssh_options(facts: Any, site: Mapping[str, Any]) -> dict[str, str]:
    """The options in effect when this client connects to the backup server; empty when nothing is set up."""
    server = site["site_backup"]["server"]
    said = facts("backup-ssh", f"[ -e /etc/pgssi/backup/ssh_config ] && ssh -G -F /etc/pgssi/backup/ssh_config {server}")
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)


@pytest.mark.rule("backup-encrypted-in-transit")
def test_ciphers_in_effect(ssh_options: dict[str, str], observe: Callable[[str], None]) -> None:
    """The client offers the backup server nothing but authenticated ciphers of the list."""
    offered = set(ssh_options.get("ciphers", "").split(","))
    observe(f"proposés : {', '.join(sorted(offered)) or 'rien'}")
    assert ssh_options, "aucune liaison avec un serveur de sauvegarde n'est installée"
    assert offered <= GOOD, f"le client accepterait aussi : {', '.join(sorted(offered - GOOD))}"


@pytest.mark.rule("backup-encrypted-in-transit")
@pytest.mark.acts
def test_session_cipher(client: Any, observe: Callable[[str], None]) -> None:
    """A real session to the backup server negotiates an authenticated cipher of the list."""
    done = client.ssh("-v", "status")
    ciphers = {line.split("cipher: ")[1].split()[0] for line in done.stderr.splitlines() if "cipher: " in line}
    observe(f"négocié : {', '.join(sorted(ciphers)) or 'rien'}")
    assert ciphers, f"aucune session chiffrée avec le serveur : {done.stderr.strip()[-150:]}"
    assert ciphers <= GOOD, f"chiffrement négocié : {ciphers}"


@pytest.mark.rule("backup-encrypted-in-transit")
@pytest.mark.acts
def test_capture_shows_no_marker(marked_run: Any, observe: Callable[[str], None]) -> None:
    """Every packet of a run that saves a marker is captured on the client; none shows it."""
    assert marked_run.status == "0", f"aucune sauvegarde n'a pu être faite pendant la capture : {marked_run.said}"
    lines = marked_run.capture
    assert lines[0] == "listening", f"capture impossible : {' '.join(lines)[-200:]}"
    count, size, found = (int(word) for word in lines[1].split())
    observe(f"{count} paquets, {size} octets, marqueur vu {found} fois")
    assert size > 10000, "la capture n'a pas vu passer la sauvegarde"
    assert found == 0, "le marqueur passe en clair sur le réseau"


@pytest.mark.rule("backup-server-key-checked")
def test_only_the_authority_is_trusted(ssh_options: dict[str, str], facts: Any, observe: Callable[[str], None]) -> None:
    """In effect: strict checking, certificates only, and one file that names an authority and no loose key."""
    strict, algorithms = ssh_options.get("stricthostkeychecking"), ssh_options.get("hostkeyalgorithms", "")
    observe(f"contrôle {strict}, algorithmes {algorithms}")
    assert strict in ("true", "yes"), "une clé de serveur inconnue serait acceptée"
    assert all("-cert-" in name for name in algorithms.split(",")), "une clé non signée serait acceptée"
    known = facts("backup-known", f"cat {ssh_options['userknownhostsfile']} {ssh_options['globalknownhostsfile']}")
    lines = [line for line in known.splitlines() if line.strip() and not line.startswith("#")]
    assert lines and all(line.startswith("@cert-authority ") for line in lines), (
        "des clés hors de l'autorité du site sont admises"
    )
    signer = facts("backup-signer", "ssh-keygen -L -f /etc/pgssi/backup/id_ed25519-cert.pub | sed -n 's/.*Signing CA: //p'")
    trusted = {hashlib.sha256(base64.b64decode(line.split()[3])).digest() for line in lines}
    prints = {base64.b64encode(one).decode().rstrip("=") for one in trusted}
    observe(f"{len(prints)} autorité(s) admise(s)")
    assert len(prints) == 1 and prints.pop() in signer, "une autre autorité que celle du site est admise"


@pytest.mark.rule("backup-server-key-checked")
@pytest.mark.acts
def test_unknown_server_is_refused(client: Any, host: Host, observe: Callable[[str], None]) -> None:
    """With the site's authority taken away from the client, as in front of another server, the session stops."""
    normal = client.ssh("", "status")
    assert normal.rc == 0, f"aucune session avec le serveur de sauvegarde : {normal.stderr.strip()[-150:]}"
    other = client.ssh("-o UserKnownHostsFile=/dev/null -o HostKeyAlias=inconnu.invalid", "status")
    observe(f"serveur inconnu : code {other.rc}")
    assert other.rc == 255 and "host key" in other.stderr.lower(), "un serveur inconnu est accepté"
    borg = host.run("grep -h ssh_command /etc/pgssi/backup/borgmatic.d/*.yaml").stdout
    assert "StrictHostKeyChecking" not in borg, "borgmatic contourne le contrôle du serveur"


@pytest.mark.rule("backup-secrets-private")
def test_ordinary_account_reads_no_secret(facts: Any, observe: Callable[[str], None]) -> None:
    """An ordinary account tries to read the passphrase, the key, the configurations and the local journal."""
    names = "/etc/pgssi/backup/passphrase /etc/pgssi/backup/id_ed25519 /etc/pgssi/backup/client.json"
    names += " /etc/pgssi/backup/borgmatic.d /root/.config/borg /var/log/pgssi/backup.jsonl"
    attempt = f'{AS_NOBODY}sh -c "if [ -d $f ]; then ls $f; else cat $f; fi" >/dev/null 2>&1'
    script = f"for f in {names}; do [ -e $f ] && echo there $f; {attempt} && echo read $f; done; true"
    said = facts("backup-secrets", script).split("\n")
    there = [line[6:] for line in said if line.startswith("there ")]
    read = [line[5:] for line in said if line.startswith("read ")]
    observe(f"{len(there)} secrets présents, {len(read)} lisibles par un compte ordinaire")
    assert "/etc/pgssi/backup/passphrase" in there, "aucune sauvegarde chiffrée n'est installée sur cet hôte"
    assert not read, f"lisible par tous : {', '.join(read)}"


@pytest.mark.rule("backup-operators-only")
def test_ordinary_account_cannot_operate(plan: list[Seen], facts: Any, observe: Callable[[str], None]) -> None:
    """An ordinary account tries to start, read and stop backups, by the command and by systemd; each attempt is refused."""
    name = plan[0]["component"]
    tries = (
        f"pgssi-backup run {name}",
        "pgssi-backup status",
        f"systemctl start --no-ask-password pgssi-backup@{name}.service",
        f"systemctl stop --no-ask-password pgssi-backup-{name}.timer",
    )
    script = "command -v pgssi-backup >/dev/null && echo installed; "
    script += "".join(f"{AS_NOBODY}{command} >/dev/null 2>&1 && echo 'done {command}'; " for command in tries) + "true"
    said = facts("backup-operators", script).split("\n")
    allowed = [line[5:] for line in said if line.startswith("done ")]
    observe(f"{len(tries)} essais d'un compte ordinaire, {len(allowed)} acceptés")
    assert "installed" in said, "aucune sauvegarde n'est installée sur cet hôte"
    assert not allowed, f"un compte ordinaire peut : {', '.join(allowed)}"
    members = facts("backup-sudo", "sudo -n -l -U nobody 2>&1")
    assert "pgssi-backup" not in members and "NOPASSWD: ALL" not in members, "sudo donne les sauvegardes à un compte ordinaire"
