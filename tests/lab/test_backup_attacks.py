"""Root on a backup client, with its key and its passphrase, loses nothing; damage is reported; restores are real."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgssi.evidence import Journal
from pgssi.inventory import load_inventory
from pgssi.lab.lifecycle import Lab
from pgssi.lab.podman import PODMAN, podman

from . import support
from .support import play, verify

PALIER = ("-e", "site_palier=3")
CLIENT, SERVER, SCRATCH = "dpi1", "bkp1", "scratch1"
STORE = f"/srv/pgssi-backup/{CLIENT}"
REPOSITORY = f"{STORE}/borg/main"
# What the client itself uses; an intruder with root there has it all.
BORG = f"""
export LC_ALL=C.UTF-8 HOME=/root BORG_RSH='ssh -F /etc/pgssi/backup/ssh_config'
export BORG_REPO=ssh://borg-{CLIENT}@{SERVER}{REPOSITORY} BORG_PASSCOMMAND='cat /etc/pgssi/backup/passphrase'
export BORG_DELETE_I_KNOW_WHAT_I_AM_DOING=YES BORG_CHECK_I_KNOW_WHAT_I_AM_DOING=YES
"""
JOURNAL = f"ssh -F /etc/pgssi/backup/ssh_config {SERVER} journal"
# Content, type, rights, owner, time, link, ACL and extended attributes of everything below the working directory.
DESCRIBE = """
import hashlib, os
for folder, names, files in sorted(os.walk(".")):
    for path in sorted(os.path.join(folder, name) for name in [*names, *files]):
        seen = os.lstat(path)
        regular = path in [os.path.join(folder, name) for name in files] and not os.path.islink(path)
        text = open(path, "rb").read() if regular else os.readlink(path).encode() if os.path.islink(path) else b""
        more = [(name, os.getxattr(path, name, follow_symlinks=False)) for name in os.listxattr(path, follow_symlinks=False)]
        rights = oct(seen.st_mode), seen.st_uid, seen.st_gid, int(seen.st_mtime) if regular else "-"
        print(path.encode(), *rights, hashlib.sha256(text).hexdigest(), more)
"""
LISTEN = """
import json, select, socket, sys
words = [bytes.fromhex(word) for word in json.loads(sys.stdin.readline())]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
print("listening", flush=True)
size, seen, tail = 0, [0] * len(words), b""
while True:
    ready = select.select([raw, sys.stdin], [], [])[0]
    if raw in ready:
        packet = raw.recv(65535)
        size, text, tail = size + len(packet), tail + packet, packet[-200:]
        seen = [count + (word in text) for count, word in zip(seen, words)]
    elif not sys.stdin.readline():
        break
print(json.dumps([size, seen]))
"""
# A tar of the archive with one file less and one file open to all, as an intruder would slip it in.
FALSIFY = """
import sys, tarfile
given = tarfile.open(fileobj=sys.stdin.buffer, mode="r|")
made = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)
dropped = opened = False
for member in given:
    if "biologie" in member.name and not dropped:
        dropped = True
        continue
    if "hospitalisation" in member.name and not opened:
        member.mode, opened = 0o666, True
    made.addfile(member, given.extractfile(member) if member.isreg() else None)
made.close()
"""


@dataclass(frozen=True)
class Hospital:
    """Root on the hosts of the lab, and what the verifier says of them."""

    lab: Lab
    directory: Path

    def command(self, host: str, *command: str) -> list[str]:
        return [str(PODMAN), "exec", "-i", self.lab.model.container(host), *command]

    def tried(self, host: str, script: str, timeout: int = 240) -> subprocess.CompletedProcess[str]:
        """Run a script as root; it may fail."""
        return subprocess.run(
            self.command(host, "sh", "-eus"), input=script, capture_output=True, text=True, timeout=timeout, check=False
        )

    def done(self, host: str, script: str, timeout: int = 240) -> str:
        """Run a script as root that must succeed; return what it says."""
        run = self.tried(host, script, timeout)
        assert run.returncode == 0, f"{host}: {script[-300:]}\n{run.stdout[-1000:]}{run.stderr[-2000:]}"
        return run.stdout

    def verdict(self, host: str, rule: str) -> str:
        """Return what ``pgssi verify`` says of one rule on one host, by reading alone."""
        results = verify(self.directory / rule, *PALIER, "--limit", host, "--rule", rule, "--no-acting")
        (verdict,) = (v["verdict"] for v in results["verdicts"] if (v["host"], v["rule"]) == (host, rule))
        return str(verdict)

    def archives(self) -> dict[str, str]:
        """Return {id: name} of what the client finds in its repository."""
        listed = json.loads(self.done(CLIENT, f"{BORG} borg list --json"))["archives"]
        return {archive["id"]: archive["name"] for archive in listed}

    def restored(self, name: str) -> str:
        """Restore an archive on the client into an empty folder; return the description of what came back."""
        script = f"folder=$(mktemp -d /var/tmp/essai.XXXXXX); cd $folder; borg extract --numeric-ids ::{name}; "
        return self.done(CLIENT, f"{BORG} {script} python3 - <<'END'\n{DESCRIBE}\nEND\ncd /; rm -rf $folder")

    def journal(self, component: str, archive: Mapping[str, str], **more: Any) -> None:
        """Tell the server, with the client's key, that this archive is a sound backup."""
        entry = {"device": "borg", "perimeter": component, "type": "complète", "files": {"what": "", "count": 9}, "date": "2099",
                 "status": "success", "component": component, "verification": "success", "run": "", "message": "",
                 "kind": "manual", "archive": dict(archive)}  # fmt: skip
        self.done(CLIENT, f"{JOURNAL} <<'END'\n{json.dumps(entry | more)}\nEND\n")

    def state(self, *options: str) -> dict[str, Any]:
        """Return what the server sees now of the client."""
        said = self.done(SERVER, f"pgssi-backup-store status --client {CLIENT} --json {' '.join(options)}")
        state: dict[str, Any] = json.loads(said)[CLIENT]
        return state

    def watch(self) -> list[str]:
        """Let the server's watch pass; return its findings about the client."""
        self.done(SERVER, "systemctl start pgssi-backup-watch.service")
        findings = json.loads(self.done(SERVER, "cat /var/lib/pgssi-backup/status.json"))["findings"]
        return [line for line in findings if line.startswith(CLIENT)]


@pytest.fixture(scope="module")
def hospital(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """The lab at palier 3."""
    hospital = Hospital(lab, tmp_path_factory.mktemp("attacks"))
    if hospital.tried(SERVER, "pgssi-backup-store status").returncode:
        play("site", *PALIER).succeeded()
    return hospital


@pytest.fixture(scope="module")
def known(hospital: Hospital) -> dict[str, str]:
    """What was backed up before the attacks: {archive name: description of its content}, the newest of each component."""
    hospital.done(CLIENT, "pgssi-backup run dpi-base dpi-documents")
    names = [component["archive"]["name"] for component in hospital.state()["components"].values()]
    return {name: hospital.restored(name) for name in names}


HIDING = (
    "borg delete ::{documents}",
    "borg create ::{documents} /etc/hostname",
    "borg create --timestamp 1990-01-01T00:00:00 ::dpi-documents-1990 /etc/hostname",
    "borg create --timestamp 2099-01-01T00:00:00 ::dpi-documents-2099 /etc/hostname",
    "for i in 1 2 3 4 5; do borg create ::flood-$i /etc/hostname; done",
    "borg rename ::{base} ancienne",
    "borg recreate --exclude 'srv' --exclude 'root' ::ancienne",
    "borg prune --keep-last 1",
    "borg delete --glob-archives '*'",
    "pgssi-backup run dpi-documents",  # the night run, before anybody looks
    "borg create ::{base} /etc/hostname",
    "borg compact --threshold 0",
    "BORG_NEW_PASSPHRASE=rancon borg key change-passphrase",
)
REFUSED = (
    "BORG_PASSCOMMAND= BORG_PASSPHRASE=rancon borg check --repair",
    "BORG_PASSCOMMAND= BORG_PASSPHRASE=rancon borg delete",
    f"ssh -F /etc/pgssi/backup/ssh_config {SERVER} rm -rf {REPOSITORY}",
    f"echo faux | ssh -F /etc/pgssi/backup/ssh_config {SERVER} 'borg serve' >/dev/null; exit 1",
    "borg init --encryption none",
)


def test_what_a_client_hides_is_reported_and_comes_back_by_one_command(hospital: Hospital, known: dict[str, str]) -> None:
    """Delete, overwrite, forge dates, flood, rewrite, prune, compact, change the key: nothing that was there is lost."""
    before = hospital.archives()
    size = int(hospital.done(SERVER, f"du -sb {REPOSITORY}/data | cut -f1"))
    names = {kind: next(name for name in known if name.startswith(f"dpi-{kind}-")) for kind in ("base", "documents")}
    for attack in HIDING:
        run = hospital.tried(CLIENT, f"{BORG} {attack.format(**names)}")
        assert run.returncode in (0, 1), f"the attack itself did not work: {attack}\n{run.stderr[-500:]}"
    for attack in REFUSED:
        assert hospital.tried(CLIENT, f"{BORG} {attack}").returncode != 0, attack
    assert int(hospital.done(SERVER, f"du -sb {REPOSITORY}/data | cut -f1")) >= size, "something was really freed"

    records = [json.loads(line) for line in hospital.done(SERVER, f"cat {STORE}/journal.jsonl").splitlines()]
    told = {record["archive"]["id"]: record["archive"]["name"] for record in records if record["status"] == "success"}
    assert {told[key] for key in before.keys() & told.keys()} <= set(hospital.state()["hidden"])
    findings = hospital.watch()
    assert any("masquée" in line and f"pgssi-backup-store recover {CLIENT}" in line for line in findings), findings
    assert any("clé" in line for line in findings), findings
    alarms = hospital.done(SERVER, "journalctl --since -10min -t pgssi-backup -o cat")
    assert f"recover {CLIENT}" in alarms
    assert hospital.verdict(SERVER, "backup-nothing-hidden") == "non_conforme"
    refused = hospital.tried(CLIENT, "pgssi-backup ensure --change before_change")
    assert refused.returncode and f"recover {CLIENT}" in refused.stderr, "a change went on over hidden archives"

    play("backup_recover", *PALIER, "-e", f"backup_client={CLIENT}").succeeded()

    assert hospital.archives() == before
    assert {name: hospital.restored(name) for name in known} == known
    hospital.done(CLIENT, f"{BORG} borg check --archives-only --verify-data")
    assert hospital.watch() == []
    assert hospital.verdict(SERVER, "backup-nothing-hidden") == "conforme"
    hospital.done(CLIENT, "pgssi-backup ensure --change before_change")


def test_a_patched_borg_that_hides_without_deleting_is_reported_and_undone(hospital: Hospital, known: dict[str, str]) -> None:
    """A client that only rewrites the list of archives, and sends no DELETE at all, is seen and undone too."""
    before = hospital.archives()
    patched = "from borg import archiver, remote; remote.RemoteRepository.delete = lambda *a, **k: None; archiver.main()"
    hospital.done(CLIENT, f"{BORG} python3 -c '{patched}' delete --glob-archives '*'")
    assert hospital.archives() == {}
    findings = hospital.watch()
    assert any(f"recover {CLIENT}" in line for line in findings), findings
    play("backup_recover", *PALIER, "-e", f"backup_client={CLIENT}").succeeded()
    assert hospital.archives() == before
    assert {name: hospital.restored(name) for name in known} == known
    assert hospital.watch() == []


def test_forged_dates_defeat_neither_retention_nor_the_alarm(hospital: Hospital, known: dict[str, str]) -> None:
    """Archives stamped 1990 and 2099, journaled as good: age and retention follow their arrival by the server's clock."""
    for year in ("1990", "2099"):
        name = f"dpi-documents-{year}-01-01"
        hospital.done(CLIENT, f"{BORG} borg create --timestamp {year}-01-01T00:00:00 ::{name} /etc/hostname")
        identifier = next(key for key, value in hospital.archives().items() if value == name)
        hospital.journal("dpi-documents", {"id": identifier, "name": name})
    months = 60 * 60 * 24 * 90
    late = hospital.state("--now", f"$(( $(date +%s) + {months} ))")["components"]
    assert all(component["late"] for component in late.values()), late
    secret = hospital.done(CLIENT, "cat /etc/pgssi/backup/passphrase").strip()
    asked = f"pgssi-backup-store retention {CLIENT} <<'END'\n{secret}\nEND\n"
    assert json.loads(hospital.done(SERVER, asked))["deleted"] == [], "what has just arrived was deleted for its date"

    # Years pass at the server since one of them arrived.
    hospital.done(SERVER, f'sed -i -E \'/2099-01-01/s/("received": ")[0-9]+/\\12001/\' {STORE}/journal.jsonl')
    assert json.loads(hospital.done(SERVER, asked))["deleted"] == ["dpi-documents-2099-01-01"]
    left = set(hospital.archives().values())
    assert "dpi-documents-1990-01-01" in left and set(known) <= left
    hospital.done(CLIENT, "pgssi-backup run dpi-documents")
    assert hospital.watch() == []


def test_a_flipped_byte_is_reported_by_the_next_verification(hospital: Hospital, known: dict[str, str]) -> None:
    """One byte of the largest segment is flipped on the server: its reread and the client's next run say so."""
    assert known
    segment = hospital.done(SERVER, f"ls -S {REPOSITORY}/data/0/* | head -n1").strip()
    flip = f"""python3 - <<'END'
with open("{segment}", "r+b") as stream:
    place = stream.seek(0, 2) // 2
    stream.seek(place)
    byte = stream.read(1)[0]
    stream.seek(place)
    stream.write(bytes([byte ^ 1]))
END
"""
    hospital.done(SERVER, flip)
    try:
        assert hospital.tried(SERVER, "systemctl start pgssi-backup-verify.service").returncode != 0
        said = hospital.done(SERVER, "journalctl --since -5min -t pgssi-backup -o cat")
        assert f"{CLIENT} : dépôt altéré" in said
        assert hospital.verdict(SERVER, "backup-repository-reread") == "non_conforme"
        assert hospital.tried(CLIENT, "pgssi-backup run dpi-documents").returncode != 0
    finally:
        hospital.done(SERVER, flip)
    hospital.done(SERVER, "systemctl start pgssi-backup-verify.service")
    assert "Result=success" in hospital.done(SERVER, "systemctl show -p Result pgssi-backup-verify.service")
    hospital.done(CLIENT, "pgssi-backup run dpi-documents")


@contextmanager
def _capture(hospital: Hospital, words: list[bytes]) -> Iterator[Callable[[], tuple[int, list[int]]]]:
    """Listen on every interface of the backup server; the result is (bytes seen, packets with each word)."""
    command = hospital.command(SERVER, "python3", "-c", LISTEN)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdin and listener.stdout
        listener.stdin.write(json.dumps([word.hex() for word in words]) + "\n")
        listener.stdin.flush()
        assert listener.stdout.readline() == "listening\n"

        def result() -> tuple[int, list[int]]:
            said, _ = listener.communicate(timeout=60)
            size, seen = json.loads(said)
            return size, seen

        yield result


def test_a_capture_of_a_backup_shows_neither_content_nor_passphrase(hospital: Hospital) -> None:
    """All packets of a real run of files and database are captured on the server: SSH, and nothing that can be read."""
    marker = "MARQUEUR-5f1c0a7e-PATIENT"
    secret = hospital.done(CLIENT, "cat /etc/pgssi/backup/passphrase").strip()
    plant = f"yes {marker} | head -n 500 > /srv/dpi/documents/essai.txt; runuser -u postgres -- psql -qX dpi -c "
    try:
        hospital.done(CLIENT, plant + f"\"create table essai as select '{marker}' from generate_series(1, 500)\"")
        with _capture(hospital, [b"SSH-2.0-", marker.encode(), secret.encode(), b"BORG"]) as result:
            hospital.done(CLIENT, "pgssi-backup run dpi-base dpi-documents")
            size, (control, *seen) = result()
    finally:
        hospital.done(CLIENT, "rm /srv/dpi/documents/essai.txt; runuser -u postgres -- psql -qXc 'drop table essai' dpi")
    assert control and size > 20_000, "the capture saw no backup"
    assert seen == [0, 0, 0]


def _sheets() -> list[Mapping[str, Any]]:
    """Return the restore sheets of the evidence journal, oldest first."""
    inventory = load_inventory([str(support.INVENTORY)])
    journal = Journal.of_site(inventory.hosts[SERVER].variables, support.INVENTORY)
    return [record.as_dict() for record in journal.records("restore_drill")] if journal.directory.exists() else []


def test_a_drill_on_a_falsified_archive_fails_and_says_what_differs(hospital: Hospital, known: dict[str, str]) -> None:
    """An archive with a file less and rights too wide, journaled as good: the drill fails, and its sheet names both."""
    good = next(name for name in known if name.startswith("dpi-documents-"))
    false = f"{good}-faux"
    falsify = f"borg export-tar ::{good} /run/essai.tar\npython3 -c '{FALSIFY}' < /run/essai.tar > /run/faux.tar\n"
    hospital.done(CLIENT, f"{BORG} {falsify} borg import-tar ::{false} /run/faux.tar; rm /run/essai.tar /run/faux.tar")
    identifier = next(key for key, value in hospital.archives().items() if value == false)
    hospital.journal("dpi-documents", {"id": identifier, "name": false})
    count = len(_sheets())
    drill = play("restore_drill", *PALIER, "-e", "restore_components=dpi-documents")
    assert drill.returncode != 0
    (sheet,) = _sheets()[count:]
    failed = " ".join(check["check"] for check in sheet["details"]["checks"] if not check["ok"])
    assert sheet["result"] == "failure"
    assert "Tous les fichiers sont revenus" in failed and "Droits identiques" in failed, failed


def test_the_drill_restores_database_and_rights_and_writes_its_sheets(hospital: Hospital) -> None:
    """After an honest run both components come back on the scratch host, within their DMARD, and nothing stays there."""
    hospital.done(CLIENT, "pgssi-backup run dpi-base dpi-documents")
    count = len(_sheets())
    play("restore_drill", *PALIER, "-e", "restore_components=dpi-base,dpi-documents").succeeded()
    sheets = {sheet["details"]["component"]: sheet for sheet in _sheets()[count:]}
    assert set(sheets) == {"dpi-base", "dpi-documents"}
    assert {sheet["result"] for sheet in sheets.values()} == {"success"}
    checks = {check["check"] for sheet in sheets.values() for check in sheet["details"]["checks"]}
    assert {"Propriétaires et groupes identiques", "Droits identiques", "La base se recharge sans erreur"} <= checks
    assert "pgssi_drill" not in hospital.done(SCRATCH, "ls /var/tmp /run; runuser -u postgres -- psql -XAtl || :")


def _reaches(hospital: Hospital, host: str) -> bool:
    return hospital.tried(host, f"timeout 8 ssh -F /etc/pgssi/backup/ssh_config {SERVER} status").returncode == 0


def test_the_red_button_isolates_and_operators_still_get_in(hospital: Hospital) -> None:
    """Pressed twice and through a restart: clients are cut off, operators get in; released: backups work again."""
    press = ("red_button", *PALIER, "-e", "red_button_confirm=oui")
    assert _reaches(hospital, CLIENT)
    play(*press).succeeded()
    try:
        rules = hospital.done(SERVER, "nft list table inet pgssi_red_button")
        assert not _reaches(hospital, CLIENT)
        assert hospital.tried(CLIENT, "pgssi-backup run dpi-documents").returncode != 0
        assert hospital.tried(CLIENT, f"ping -c1 -W2 {_address(hospital)}").returncode != 0
        play(*press).succeeded()
        assert hospital.done(SERVER, "nft list table inet pgssi_red_button") == rules
        podman("stop", "--time", "5", hospital.lab.model.container(SERVER))
        podman("start", hospital.lab.model.container(SERVER))
        hospital.lab.up(SERVER)
        assert "enfoncé" in hospital.done(SERVER, "systemctl is-system-running --wait >/dev/null || :; pgssi-red-button status")
        assert not _reaches(hospital, CLIENT)
    finally:
        play(*press, "-e", "red_button=release").succeeded()
    assert _reaches(hospital, CLIENT)
    hospital.done(CLIENT, "pgssi-backup run dpi-documents")
    assert hospital.verdict(SERVER, "backup-red-button") == "conforme"


def _address(hospital: Hospital) -> str:
    return str(hospital.lab.model.hosts[SERVER].address)
