"""What is kept on other hosts: off-site copies, manifests, the sealed key."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from testinfra.host import Host

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
def test_copy_is_recent_and_whole(copies: Seen, facts: Any, observe: Callable[[str], None]) -> None:
    """The off-site host has an intact copy, at most seven days old, of the repositories of all clients, and a timer."""
    newest = copies["newest"]
    assert newest, "aucune copie hors site"
    observe(f"copie {newest['copy']}, {newest['age_days']} jour(s), {len(newest['clients'])} clients")
    assert newest["age_days"] <= 7, "la copie hors site a plus de sept jours"
    assert not copies["missing"], f"absents de la copie : {', '.join(copies['missing'])}"
    active = facts("offsite-timer", "systemctl is-active pgssi-offsite.timer").strip()
    assert active == "active", "aucune copie suivante n'est planifiée"


@pytest.mark.rule("backup-copy-immutable")
def test_copies_are_out_of_reach(copies: Seen, facts: Any, site: Any, observe: Callable[[str], None]) -> None:
    """Each copy is intact, private to root and kept 30 days; no account here takes a key of the backup zone."""
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
        lines = gzip.decompress(there.stdout_bytes).decode("utf-8", "replace").splitlines()
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
    lines = gzip.decompress(there.stdout_bytes).decode().splitlines()
    digests = Counter(line.partition(" ")[0] for line in lines)
    alone = [line for line in lines if digests[line.partition(" ")[0]] == 1]  # borg streams nothing for a second hard link
    drawn = random.sample(alone, min(3, len(alone)))
    for line in drawn:
        digest, _, path = line.partition(" ")
        done = client.borg(f"extract --stdout ::{archive['name']} {shlex.quote(path)} | sha256sum")
        assert done.stdout.split()[0] == digest, f"{path} ne correspond plus à son empreinte"
    put = f"ssh -F /etc/pgssi/backup/ssh_config {site['site_backup']['escrow']} deposit {archive['name']}.sha256.gz"
    again = client.host.run(f"echo faux | {put}")
    assert again.rc != 0, "le client a pu remplacer un manifeste"
    observe(f"{len(drawn)} fichiers tirés de {archive['name']} : empreintes identiques")


@pytest.mark.rule("backup-key-escrow")
def test_key_is_sealed_elsewhere(escrow: Host, context: Any, site: Any, host: Host, observe: Callable[[str], None]) -> None:
    """The escrow host holds the repository's key, sealed by age for exactly the people named in the inventory."""
    folder = f"{ESCROW}/{context.name}/deposits"
    name = escrow.run(f"ls -t {folder} | grep '^cle-.*age$' | head -n1").stdout.strip()
    assert name, "aucune clé scellée sur l'hôte de séquestre"
    head = escrow.run(f"head -c 2000 {folder}/{name}").stdout_bytes
    assert head.startswith(b"age-encryption.org/v1\n"), "la clé séquestrée n'est pas scellée"
    stanzas = {line.split()[2].decode() for line in head.split(b"\n") if line.startswith(b"-> ssh-ed25519 ")}
    wanted = {_tag(recipient) for recipient in site["site_sealing_recipients"]}
    observe(f"{name} : scellée pour {len(stanzas)} détenteur(s) sur {len(wanted)}")
    assert stanzas == wanted, "la clé est scellée pour d'autres que les détenteurs désignés"
    fresh = escrow.run(f"stat -c %Y {folder}/{name}").stdout.strip()
    assert fresh.isdigit(), "date de séquestre illisible"


def _tag(recipient: str) -> str:
    """Return how age names an ssh-ed25519 recipient: the first 4 bytes of the SHA-256 of its key."""
    return base64.b64encode(hashlib.sha256(base64.b64decode(recipient.split()[1])).digest()[:4]).decode().rstrip("=")
