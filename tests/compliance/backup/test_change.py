"""Changes are covered by archives, restores are rehearsed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from testinfra.host import Host

Seen = Mapping[str, Any]


@pytest.mark.rule("backup-change-archive")
def test_last_change_has_both_archives(plan: list[Seen], journal: list[Seen], seen: Seen, observe: Callable[[str], None]) -> None:
    """The journal kept on the server shows, for the last change, a verified archive before and one after."""
    for component in plan:
        mine = [record for record in journal if record["component"] == component["component"]]
        before = [record for record in mine if record["kind"] == "before_change"]
        after = [record for record in mine if record["kind"] == "after_change"]
        assert before, f"{component['component']} : aucune archive avant changement"
        observe(f"{component['component']} : avant {before[-1]['received']} ({before[-1]['status']})")
        sound = before[-1]["status"] == before[-1]["verification"] == "success"
        assert sound, f"{component['component']} : l'archive avant le dernier changement a échoué"
        done = [record for record in after if record["run"] == before[-1]["run"] and record["status"] == "success"]
        assert done, f"{component['component']} : aucune archive après le dernier changement"
    assert not seen.get("hidden"), f"archives masquées : {seen['hidden']}"


@pytest.mark.rule("backup-linked-together")
def test_linked_components_share_a_run(plan: list[Seen], seen: Seen, observe: Callable[[str], None]) -> None:
    """The newest archives of components tied by depends_on come from one run, those depended on first."""
    assert seen, "le serveur de sauvegarde ne connaît aucun dépôt de cet hôte"
    found = {component["component"]: seen["components"].get(component["component"]) or {} for component in plan}
    for component in plan:
        name = component["component"]
        for other in component.get("depends_on", ()):
            if other not in found:
                continue
            mine, theirs = found[name].get("archive"), found[other].get("archive")
            assert mine and theirs, f"aucune archive de {name} ou de {other}"
            observe(f"{name} avec {other} : {found[name]['run']}, {found[other]['run']}")
            assert found[name]["run"] == found[other]["run"], f"{name} et {other} n'ont pas été archivés ensemble"
            made = [archive["name"].removeprefix(f"{owner}-") for archive, owner in ((theirs, other), (mine, name))]
            assert made[0] < made[1], f"{other}, dont {name} dépend, a été archivé après"


SERVED = "select datname from pg_database where not datistemplate and datname <> 'postgres'"
# Where data of production lives on a Debian host; system folders are settings, which the plan covers by /etc.
FOLDERS = "/srv/* /var/www/* /var/lib/mysql /var/lib/mongodb /var/lib/ldap /var/lib/influxdb"
SYSTEM = "/|/(boot|boot/efi|usr|var|tmp|var/tmp|var/log|home)"
DISKS = f"findmnt -rno TARGET -t ext2,ext3,ext4,xfs,btrfs,zfs,jfs,f2fs | grep -vxE '{SYSTEM}'"
INSIDE = """import json,os,sys
plan=sys.argv[2:]
def lost(path):
    if any(path==one or path.startswith(one.rstrip("/")+"/") for one in plan): return []
    if not any(one.startswith(path.rstrip("/")+"/") for one in plan) or not os.path.isdir(path): return [path]
    return [item for name in sorted(os.listdir(path)) for item in lost(os.path.join(path,name))]
print(json.dumps([item for path in json.loads(sys.argv[1]) for item in lost(path)]))"""


@pytest.mark.rule("backup-nothing-forgotten")
def test_all_data_is_planned_or_excluded(host: Host, site: Any, context: Any, facts: Any, observe: Callable[[str], None]) -> None:
    """Every database and data folder found on the host is in the backup plan, or excluded by name with who approved it."""
    here = {"all", context.name, *context.groups}
    out = [entry for entry in site.get("site_backup_excluded") or () if not here.isdisjoint(entry["scope"])]
    if any(entry.keys().isdisjoint({"path", "database"}) for entry in out):
        observe("hôte exclu du plan par décision")
        return
    plan = [component for component in site["site_backup_plan"] if component["host"] == context.name]
    assert plan, f"{context.name} n'est ni au plan de sauvegarde (site_backup_plan) ni exclu (site_backup_excluded)"
    ask = f"id postgres >/dev/null 2>&1 && cd / && runuser -u postgres -- psql -XAtc {shlex.quote(SERVED)} 2>/dev/null; true"
    bases = facts("backup-bases", ask).split()
    known = {one["database"] for one in [*plan, *out] if "database" in one}
    listed = facts("backup-data", f"ls -d {FOLDERS} 2>/dev/null; {DISKS}; true").splitlines()
    folders = [path for path in listed if not path.startswith("/srv/pgssi-") and (host.file(path).is_directory)]
    paths = [path for one in plan for path in one.get("paths", ())] + [one["path"] for one in out if "path" in one]
    words = " ".join(map(shlex.quote, [json.dumps(folders), *paths]))
    lost = [f"base {base}" for base in bases if base not in known] + json.loads(
        host.check_output(f"python3 -c {shlex.quote(INSIDE)} {words}")
    )
    observe(f"{len(bases)} base(s), {len(folders)} dossier(s) de données, {len(lost)} hors du plan")
    remedy = "à ajouter à site_backup_plan, ou à exclure dans site_backup_excluded"
    assert not lost, f"ni sauvegardé ni exclu : {', '.join(lost[:5])} ; {remedy}"


@pytest.mark.rule("backup-versions-kept")
@pytest.mark.acts
def test_archives_tell_their_programs(plan: list[Seen], seen: Seen, client: Any, observe: Callable[[str], None]) -> None:
    """The newest archive of each component holds the system, the programs with their versions, and that of its database."""
    for component in plan:
        archive = (seen.get("components", {}).get(component["component"]) or {}).get("archive")
        assert archive, f"aucune archive de {component['component']}"
        wanted = {"systeme": "VERSION_ID=", "paquets": "borgbackup "}
        if component["type"] == "postgresql":
            wanted[f"base-{component['database']}"] = "PostgreSQL "
        for name, text in wanted.items():
            said = client.borg(f"extract --stdout ::{archive['name']} var/lib/pgssi-backup/versions/{name}").stdout
            assert text in said, f"{archive['name']} ne dit pas avec quoi la relire ({name})"
        observe(f"{archive['name']} : {', '.join(wanted)}")


@pytest.mark.rule("backup-restore-drill")
def test_restore_was_rehearsed(plan: list[Seen], evidence: tuple[Seen, ...], observe: Callable[[str], None]) -> None:
    """The evidence journal holds a successful restore sheet of each component, at most 12 months old, within DMARD."""
    oldest = datetime.now(UTC) - timedelta(days=366)
    for component in plan:
        sheets = [
            record
            for record in evidence
            if record["kind"] == "restore_drill" and record["details"]["component"] == component["component"]
        ]
        assert sheets, f"{component['component']} n'a jamais été restauré à l'essai"
        last = sheets[-1]
        hours = last["details"]["duration_seconds"] / 3600
        observe(f"{component['component']} : {last['when']['end'][:10]}, {last['result']}, {hours:.2f} h")
        assert last["result"] == "success", f"le dernier essai de {component['component']} a échoué"
        assert datetime.fromisoformat(last["when"]["end"]) > oldest, f"dernier essai de {component['component']} périmé"
        assert hours <= component["dmard_hours"], f"{component['component']} : {hours:.1f} h, au-delà de la DMARD"
