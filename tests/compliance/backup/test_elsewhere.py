"""What is kept on other hosts: off-site copies, manifests, the sealed key."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import re
import shlex
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.verify.timers import DAY, timer

Seen = Mapping[str, Any]
ESCROW = "/srv/pgssi-escrow"


@pytest.fixture
def copies(facts: Any) -> Seen:
    """What the off-site host finds now among its copies."""
    done = facts.result("offsite-status", "pgssi-offsite status")
    return json.loads(done.stdout) if done.rc == 0 else {"copies": [], "newest": None, "missing": []}


@pytest.fixture
def escrow(site: Mapping[str, Any], other: Callable[[str], Host]) -> Host:
    """The host that keeps keys and manifests."""
    return other(site["site_backup"]["escrow"])


@pytest.mark.rule("backup-offsite-recent")
def test_copy_is_recent_and_whole(
    copies: Seen, facts: Any, overridden: Callable[..., list[str]], observe: Callable[[str], None]
) -> None:
    """The off-site host has an intact copy, at most seven days old, of the repositories of all clients, and its timer works."""
    newest = copies["newest"]
    assert newest, "aucune copie hors site"
    observe(f"copie {newest['copy']}, {newest['age_days']} jour(s), {len(newest['clients'])} clients")
    ahead = copies["now"] - time.time()
    assert abs(ahead) < 300, f"l'horloge de l'hôte hors site s'écarte de {ahead:.0f} s de celle du poste de contrôle"
    assert -0.01 <= newest["age_days"] <= 7, "la copie hors site n'est pas de ces sept derniers jours"
    assert not copies["missing"], f"absents de la copie : {', '.join(copies['missing'])}"
    fault = timer(facts, "pgssi-offsite.timer").fault("copie hors site", DAY)
    assert not fault, fault
    faults = overridden("pgssi-offsite.timer", "pgssi-offsite.service")
    assert not faults, " ; ".join(faults)
    last = facts("offsite-last", "systemctl show -p Result --value pgssi-offsite.service").strip()
    assert last == "success", f"la dernière copie a échoué ({last}) : journalctl -u pgssi-offsite"


@pytest.mark.rule("backup-offsite-recent")
def test_copy_holds_what_had_arrived(
    copies: Seen, journal_of: Callable[[str], list[Seen]], observe: Callable[[str], None]
) -> None:
    """The newest copy goes as far as what the backup server had journaled of each client when the copy was taken."""
    newest = copies["newest"]
    assert newest, "aucune copie hors site"
    for client, reached in newest["transactions"].items():
        before = [
            int(record["transaction"] or 0)
            for record in journal_of(client)
            if datetime.fromisoformat(record["received"]).timestamp() < newest["taken"] - 600
        ]
        observe(f"{client} : transaction {reached}, attendue {max(before, default=0)}")
        assert reached >= max(before, default=0), f"la copie de {client} est plus vieille que sa date : la source est figée"


@pytest.mark.rule("backup-copy-immutable")
def test_copies_are_out_of_reach(copies: Seen, facts: Any, site: Any, observe: Callable[[str], None]) -> None:
    """Each copy has the digests of the day it was taken, is private to root and kept 30 days; nobody here serves backups."""
    assert copies["copies"], "aucune copie hors site"
    for copy in copies["copies"]:
        days = (copy["keep_until"] - copy["taken"]) / 86400
        observe(f"{copy['copy']} : intacte {copy['intact']}, fermée {copy['private']}, gardée {days:.0f} jours")
        assert copy["present"], f"la copie {copy['copy']} a disparu avant terme"
        assert copy["intact"], f"la copie {copy['copy']} a changé depuis sa prise"
        assert copy["private"], f"la copie {copy['copy']} s'ouvre à d'autres que root"
        assert days >= 30, f"la copie {copy['copy']} n'est gardée que {days:.0f} jours"
    listening = facts("offsite-doors", "ss -Hltn 'sport = :8022'; true")
    assert not listening.strip(), "le service des sauvegardes écoute aussi sur l'hôte hors site"


def _manifest(packed: bytes) -> list[str]:
    """Return the lines of a manifest, nothing when it is damaged."""
    try:
        return gzip.decompress(packed).decode("utf-8", "replace").splitlines()
    except (OSError, EOFError, zlib.error):
        return []


@pytest.mark.rule("backup-manifest-elsewhere")
def test_newest_archives_have_a_manifest(
    plan: list[Seen], seen: Seen, escrow: Host, context: Any, observe: Callable[[str], None]
) -> None:
    """The escrow host holds a SHA-256 manifest of the newest archive of each component."""
    folder = f"{ESCROW}/{context.name}/deposits"
    for component in plan:
        archive = (seen.get("components", {}).get(component["component"]) or {}).get("archive")
        assert archive, f"aucune archive de {component['component']}"
        there = escrow.run(f"cat {folder}/{shlex.quote(archive['name'])}.sha256.gz")
        assert there.rc == 0, f"aucun manifeste de {archive['name']} sur l'hôte de séquestre"
        lines = _manifest(there.stdout_bytes)
        observe(f"{archive['name']} : {len(lines)} empreintes")
        assert lines and len(lines[0].split(" ")[0]) == 64, "le manifeste ne porte pas d'empreintes SHA-256"


@pytest.mark.rule("backup-manifest-elsewhere")
@pytest.mark.acts
def test_manifest_tells_the_truth(
    plan: list[Seen], seen: Seen, escrow: Host, context: Any, client: Any, site: Any, observe: Callable[[str], None]
) -> None:
    """Three files drawn from an archive have the digests of the manifest kept elsewhere; the client cannot replace it."""
    component = next(entry for entry in plan if entry["type"] == "files")
    archive = (seen.get("components", {}).get(component["component"]) or {}).get("archive")
    assert archive, f"aucune archive de {component['component']}"
    there = escrow.run(f"cat {ESCROW}/{context.name}/deposits/{shlex.quote(archive['name'])}.sha256.gz")
    assert there.rc == 0, "aucun manifeste"
    lines = _manifest(there.stdout_bytes)
    assert lines, f"le manifeste de {archive['name']} ne se lit plus"
    digests = Counter(line.partition(" ")[0] for line in lines)
    alone = [line for line in lines if digests[line.partition(" ")[0]] == 1]  # borg streams nothing for a second hard link
    drawn = random.sample(alone, min(3, len(alone)))
    for line in drawn:
        digest, _, path = line.partition(" ")
        done = client.borg(f"extract --stdout ::{archive['name']} {shlex.quote(path)} | sha256sum")
        assert done.stdout.startswith(digest), f"{path} ne correspond plus à son empreinte"
    put = f"ssh -F /etc/pgssi/backup/ssh_config {site['site_backup']['escrow']} deposit {archive['name']}.sha256.gz"
    again = client.host.run(f"echo faux | {put}")
    assert again.rc != 0, "le client a pu remplacer un manifeste"
    observe(f"{len(drawn)} fichiers tirés de {archive['name']} : empreintes identiques")


@pytest.mark.rule("backup-key-escrow")
def test_key_is_sealed_elsewhere(
    escrow: Host, context: Any, site: Any, facts: Any, host: Host, observe: Callable[[str], None]
) -> None:
    """The escrow host holds the repository's key, sealed for the people named in the inventory and the client itself alone."""
    newest = _sealed(escrow, context.name)
    assert newest, "aucune clé scellée sur l'hôte de séquestre"
    own = facts("backup-own-key", "cat /etc/pgssi/backup/id_ed25519.pub").strip()
    head = escrow.run(f"head -c 2000 {newest[0]}").stdout_bytes
    assert head.startswith(b"age-encryption.org/v1\n"), "la clé séquestrée n'est pas scellée"
    stanzas = {line.split()[2].decode() for line in head.split(b"\n") if line.startswith(b"-> ssh-ed25519 ")}
    holders = {_tag(recipient) for recipient in site["site_sealing_recipients"]}
    observe(f"{newest[0]} : scellée pour {len(stanzas & holders)} détenteur(s) sur {len(holders)}")
    assert holders <= stanzas, "un détenteur désigné ne peut pas ouvrir la clé séquestrée"
    assert stanzas <= holders | ({_tag(own)} if own else set()), "la clé est scellée pour d'autres que les détenteurs désignés"


# On the client: opens the sealed bundle with the client's own key, and the repository with what was in it. Nothing is shown.
OPEN = """import json,os,subprocess,sys
home="/etc/pgssi/backup/"
run=lambda *c,**o: subprocess.run(c,capture_output=True,**o)
bundle=run("age","-d","-i",home+"id_ed25519",input=sys.stdin.buffer.read())
key,_,secret=bundle.stdout.decode("utf-8","replace").partition("\\n# phrase secr\u00e8te\\n")
url=json.load(open(home+"client.json"))["repository"]
more={"BORG_REPO":url,"BORG_RSH":"ssh -F "+home+"ssh_config","BORG_PASSPHRASE":secret.rstrip("\\n"),
 "BORG_BASE_DIR":sys.argv[1],"BORG_RELOCATED_REPO_ACCESS_IS_OK":"yes"}
env={k:v for k,v in os.environ.items() if not k.startswith("BORG_")}|more
now=run("borg","key","export","::","-",env=env)
info=run("borg","list","--short","--last","1","::",env=env)
print(bundle.returncode,int(now.stdout.decode().split()==key.split()!=[]),info.returncode)"""


@pytest.mark.rule("backup-key-escrow")
@pytest.mark.acts
def test_sealed_key_opens_the_repository(escrow: Host, context: Any, host: Host, observe: Callable[[str], None]) -> None:
    """What lies in escrow is opened on the client: its key is the repository's, its passphrase opens it; nothing is shown."""
    said = []
    for path in _sealed(escrow, context.name)[:5]:
        folder = host.check_output("mktemp -d /run/pgssi-essai.XXXXXX").strip()
        try:
            sealed = escrow.run(f"cat {path}").stdout_bytes
            done = host.run(f"python3 -c {shlex.quote(OPEN)} {folder}", stdin=sealed, timeout=120)
        finally:
            host.run(f"rm -rf {folder}")
        said.append(done.stdout.strip())
        observe(f"{path.rsplit('/', 1)[-1]} : {'ouvre le dépôt' if said[-1] == '0 1 0' else 'ne l’ouvre pas'}")
        if said[-1] == "0 1 0":
            return
    assert said, "aucune clé scellée sur l'hôte de séquestre"
    pytest.fail("aucune clé séquestrée n'ouvre le dépôt")


def _sealed(escrow: Host, client: str) -> list[str]:
    """Return the paths of the sealed keys of a client, newest first."""
    found = escrow.run(f"ls -t {ESCROW}/{shlex.quote(client)}/deposits").stdout.split()
    return [f"{ESCROW}/{client}/deposits/{name}" for name in found if re.fullmatch(r"cle-[a-z0-9-]+[.]age", name)]


def _tag(recipient: str) -> str:
    """Return how age names an ssh-ed25519 recipient: the first 4 bytes of the SHA-256 of its key."""
    return base64.b64encode(hashlib.sha256(base64.b64decode(recipient.split()[1])).digest()[:4]).decode().rstrip("=")
