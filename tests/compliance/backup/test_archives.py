"""Archives exist, are recent, planned, verified, journaled, and come back."""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.backup_groups import backup_groups
from pgssi.verify.timers import timer

Seen = Mapping[str, Any]
Plan = list[Mapping[str, Any]]
CLOCKS = 300  # seconds
FIELDS = ("device", "perimeter", "type", "files", "date", "status")


@pytest.mark.rule("backup-archive-recent")
def test_newest_archive_is_within_the_pdma(plan: Plan, seen: Seen, clock: float, observe: Callable[[str], None]) -> None:
    """The backup server finds, in the repository itself, an archive of each component within its PDMA, by a right clock."""
    assert seen, "le serveur de sauvegarde ne connaît aucun dépôt de cet hôte"
    for component in plan:
        found = seen["components"].get(component["component"], {"archive": None, "age_hours": None})
        observe(f"{component['component']} : {found['age_hours']} h (PDMA {component['pdma_hours']} h)")
        assert found["archive"], f"aucune archive de {component['component']} dans le dépôt"
        assert found["age_hours"] <= component["pdma_hours"], f"{component['component']} dépasse sa PDMA"
        assert found["age_hours"] > -0.1, f"{component['component']} serait arrivée dans l'avenir : son âge ne dit rien"
    observe(f"horloge du serveur : {clock:+.0f} s")
    assert abs(clock) < CLOCKS, f"l'horloge du serveur s'écarte de {clock:.0f} s de celle du poste de contrôle"


@pytest.mark.rule("backup-archive-recent")
@pytest.mark.acts
def test_client_lists_its_archives(plan: Plan, client: Any, observe: Callable[[str], None]) -> None:
    """The client opens its repository with its key and lists an archive of each component."""
    done = client.borg("list --json --lock-wait 120")
    assert done.rc == 0, f"le dépôt ne s'ouvre pas : {done.stderr.strip()[-200:]}"
    names = [archive["name"] for archive in json.loads(done.stdout)["archives"]]
    observe(f"{len(names)} archives")
    for component in plan:
        assert any(name.startswith(f"{component['component']}-") for name in names), f"{component['component']} absent"


@pytest.mark.rule("backup-scheduled")
def test_next_run_is_planned(
    plan: Plan, site: Mapping[str, Any], facts: Any, overridden: Callable[..., list[str]], observe: Callable[[str], None]
) -> None:
    """systemd has an enabled timer per group of linked components, which runs the job itself, soon and within the window."""
    now, zone = facts("backup-clock", "date +%s; date +%:z").split()
    window = site["site_backup"]["window"]
    ahead = float(now) - time.time()
    assert abs(ahead) < CLOCKS, f"l'horloge de l'hôte s'écarte de {ahead:.0f} s de celle du poste de contrôle"
    groups = backup_groups(plan)
    for group in groups:
        members, planned = ", ".join(group.members), timer(facts, f"pgssi-backup-{group.leader}.timer")
        limit = {"hourly": 1, "daily": 24, "weekly": 168}[group.frequency]
        fault = planned.fault(members, (limit + 0.6) * 3600)
        assert not fault, fault
        assert planned.starts == f"pgssi-backup@{group.leader}.service", f"{members} : le minuteur lance {planned.starts}"
        clock = _clock(planned.now + (planned.due or 0), zone)
        observe(f"{members} : dans {(planned.due or 0) / 3600:.1f} h, à {clock}")
        if group.frequency != "hourly":
            inside = _inside(clock, window["starts"], window["ends"])
            assert inside, f"départ à {clock}, hors de la plage {window['starts']}-{window['ends']}"
    timers = [f"pgssi-backup-{group.leader}.timer" for group in groups]
    faults = overridden(*timers, *(f"pgssi-backup@{component['component']}.service" for component in plan))
    assert not faults, " ; ".join(faults)


def _clock(seconds: float, zone: str) -> str:
    sign = -1 if zone.startswith("-") else 1
    offset = sign * (int(zone[1:3]) * 60 + int(zone[4:6]))
    minutes = (int(seconds) // 60 + offset) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _inside(clock: str, starts: str, ends: str) -> bool:
    return starts <= clock <= ends if starts <= ends else clock >= starts or clock <= ends


@pytest.mark.rule("backup-verified")
def test_last_write_was_verified(seen: Seen, observe: Callable[[str], None]) -> None:
    """The newest transaction of the repository is covered by a verification that succeeded."""
    assert seen, "le serveur de sauvegarde ne connaît aucun dépôt de cet hôte"
    observe(f"transaction {seen['transaction']}, vérifiée jusqu'à {seen['verified_transaction']}")
    assert seen["transaction"] is not None, "le dépôt est vide"
    assert not seen["unverified"], "la dernière écriture du dépôt n'a pas été vérifiée"


@pytest.mark.rule("backup-verified")
def test_verifying_programs_are_genuine(foreign_programs: Callable[..., list[str]], observe: Callable[[str], None]) -> None:
    """The programs that archive and verify are those of Debian's packages, neither changed nor diverted."""
    found = foreign_programs("borgbackup", "borgmatic", "openssh-client")
    observe(f"{len(found)} programme(s) modifié(s)")
    assert not found, f"ne viennent plus de leur paquet : {', '.join(found[:5])}"


@pytest.mark.rule("backup-journal")
def test_every_write_is_journaled_with_six_fields(
    plan: Plan, seen: Seen, journal: list[Seen], observe: Callable[[str], None]
) -> None:
    """The journal kept on the server covers the newest transaction, each record with its six fields."""
    assert journal, "aucun journal sur le serveur de sauvegarde"
    for component in plan:
        mine = [record for record in journal if record["component"] == component["component"]]
        assert mine, f"aucun enregistrement de {component['component']}"
        missing = [name for name in FIELDS if not mine[-1].get(name)]
        assert not missing, f"{component['component']} : champs absents du journal : {missing}"
    newest = max(record["transaction"] or 0 for record in journal)
    observe(f"{len(journal)} enregistrements, jusqu'à la transaction {newest} sur {seen['transaction']}")
    assert newest >= seen["transaction"], "une écriture du dépôt n'a laissé aucun enregistrement"


@pytest.mark.rule("backup-journal")
@pytest.mark.acts
def test_failed_run_is_journaled(plan: Plan, host: Host, server: Host, context: Any, observe: Callable[[str], None]) -> None:
    """A run that the backup server refuses leaves a record of failure on the server."""
    name = plan[-1]["component"]
    known = int(server.run(f"cat {_path(context.name)} | wc -l").stdout)
    done = host.run(f"BORG_REMOTE_PATH=refused pgssi-backup run {name}", timeout=120)
    added = server.run(f"tail -n +{known + 1} {_path(context.name)}").stdout.splitlines()
    told = [record for record in map(_record, added) if (record.get("component"), record.get("status")) == (name, "failure")]
    observe(f"{len(told)} échec au journal du serveur" + (f" : {told[-1]['message'][:80]}" if told else ""))
    assert done.rc != 0, "l'exécution refusée par le serveur s'est dite réussie"
    assert told, "l'échec n'est pas au journal du serveur"


def _record(line: str) -> Seen:
    """Return one record of a journal, an empty one for a line that is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _path(client: str) -> str:
    return f"/srv/pgssi-backup/{client}/journal.jsonl"


@pytest.mark.rule("backup-content-restorable")
@pytest.mark.acts
def test_marker_comes_back(marked_run: Any, host: Host, client: Any, observe: Callable[[str], None]) -> None:
    """A marker in each component is saved by the units that the timers start, restored, and compared with its rights."""
    assert marked_run.status == "0", f"la sauvegarde échoue : {marked_run.status} : {marked_run.said}"
    folder = host.check_output("mktemp -d /var/tmp/pgssi-essai.XXXXXX").strip()
    try:
        for component, path in marked_run.paths.items():
            archive = marked_run.archives.get(component)
            assert archive, f"l'unité de {component} n'a laissé aucune archive"
            restored = client.borg(f"extract ::{archive} {shlex.quote(path[1:])}", cwd=folder)
            back = host.run(f"cat {shlex.quote(folder + path)}")
            rights = host.run(f"stat -c '%a %U:%G' {shlex.quote(folder + path)}").stdout.strip()
            observe(f"{archive} : {len(back.stdout)} octets, {rights}")
            assert restored.rc == 0 and back.stdout == marked_run.text, f"le marqueur de {component} ne revient pas de l'archive"
            assert rights == "640 nobody:nogroup", f"droits restaurés : {rights}"
    finally:
        host.run(f"rm -rf {folder}")


# Regular files below the paths whose inode was last changed before the archive; a bounded draw of them.
WALK = """import json,os,random,sys
found=[]
for root in sys.argv[2:]:
    for folder,_,names in os.walk(root):
        for name in names:
            path=os.path.join(folder,name)
            seen=os.lstat(path)
            if seen.st_mode&0o170000==0o100000 and seen.st_ctime<float(sys.argv[1]): found.append(path)
print(json.dumps(found if len(found)<=50000 else random.sample(found,50000)))"""


@pytest.mark.rule("backup-content-restorable")
@pytest.mark.acts
def test_no_file_is_left_out(plan: Plan, marked_run: Any, host: Host, client: Any, observe: Callable[[str], None]) -> None:
    """Every file that lies below a path of the plan is in the archive just made: nothing is excluded, nothing linked away."""
    assert marked_run.status == "0", f"la sauvegarde échoue : {marked_run.status} : {marked_run.said}"
    for component in plan:
        if component["type"] != "files":
            continue
        archive = marked_run.archives.get(component["component"])
        assert archive, f"l'unité de {component['component']} n'a laissé aucune archive"
        began = json.loads(client.borg(f"info --json ::{archive}").stdout)["archives"][0]["start"]
        since = datetime.fromisoformat(began).astimezone().timestamp()
        roots = " ".join(shlex.quote(f"{path}/") for path in component["paths"])
        there = json.loads(host.check_output(f"python3 -c {shlex.quote(WALK)} {since} {roots}"))
        saved = set(client.borg(f"list --format '{{path}}{{NUL}}' ::{archive}").stdout.split("\0"))
        lost = [path for path in there if path.replace("//", "/").lstrip("/") not in saved]
        observe(f"{archive} : {len(there) - len(lost)} fichiers sur {len(there)}")
        assert not lost, f"{component['component']} : {len(lost)} fichier(s) hors de l'archive, dont {', '.join(lost[:3])}"


@pytest.mark.rule("backup-content-restorable")
def test_newest_archives_are_not_empty(plan: Plan, journal: list[Seen], observe: Callable[[str], None]) -> None:
    """The newest archive of each component made of files holds files, by the journal kept on the server."""
    for component in plan:
        counts = [
            record["files"]["count"]
            for record in journal
            if record["component"] == component["component"] and record["status"] == "success" and record["files"]["count"]
        ]
        assert counts, f"aucune archive de {component['component']} ne contient de fichier"
        observe(f"{component['component']} : {counts[-1]} fichiers")


@pytest.mark.rule("backup-database-opens")
def test_dump_was_opened_by_the_last_run(plan: Plan, journal: list[Seen], observe: Callable[[str], None]) -> None:
    """The last run that archived each database succeeded, read the whole dump back and found tables in it."""
    for component in plan:
        if component["type"] != "postgresql":
            continue
        mine = [record for record in journal if record["component"] == component["component"] and record.get("archive")]
        assert mine, f"aucune archive de {component['component']}"
        assert mine[-1]["status"] == "success", f"le dernier export de {component['database']} a échoué : {mine[-1]['message']}"
        made = [record for record in mine if record["files"]["count"]]
        tables = made[-1].get("database", {}).get("tables", 0) if made else 0
        observe(f"{component['database']} : {tables} tables")
        assert tables > 0, f"l'export de {component['database']} n'a pas été ouvert après la sauvegarde"


TABLES = """select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%' and not exists
(select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')"""
READ = 'processing data for table "'


@pytest.mark.rule("backup-database-opens")
@pytest.mark.acts
def test_whole_dump_is_read(plan: Plan, marked_run: Any, host: Host, client: Any, observe: Callable[[str], None]) -> None:
    """The dump just made is read to its last byte by pg_restore, and every table of the live database has its rows in it."""
    for component in plan:
        if component["type"] != "postgresql":
            continue
        archive = marked_run.archives.get(component["component"])
        assert archive, f"le départ de la nuit n'a laissé aucune archive de {component['component']} : {marked_run.said}"
        listed = client.borg(f"list --format '{{path}}{{NL}}' ::{archive}").stdout.split("\n")
        paths = [path for path in listed if path.endswith(f"/{component['database']}")]
        assert paths, f"{archive} ne contient pas d'export de {component['database']}"
        reader = "LC_ALL=C pg_restore --verbose --file=/dev/null 2>&1; echo code $?"
        said = client.borg(f"extract --stdout ::{archive} {shlex.quote(paths[0])} | ({reader})").stdout.splitlines()
        held = {line.partition(READ)[2].rstrip('"') for line in said if READ in line}
        live = host.check_output(f"cd / && runuser -u postgres -- psql -XAtc {shlex.quote(TABLES)} {component['database']}")
        missing = sorted(set(live.split("\n")) - held - {""})
        observe(f"{archive} : {len(held)} tables lues en entier")
        assert said[-1] == "code 0", f"l'export ne se lit pas jusqu'au bout : {' / '.join(said[-3:])}"
        assert held, "l'export ne contient les données d'aucune table"
        assert not missing, f"absentes de l'export : {', '.join(missing[:5])}"


@pytest.mark.rule("backup-failure-alarm")
def test_failure_starts_an_alert(
    plan: Plan, facts: Any, overridden: Callable[..., list[str]], observe: Callable[[str], None]
) -> None:
    """systemd starts an alert unit when a run fails, the age check is planned within the hour, and nothing overrides them."""
    names = [f"pgssi-backup@{component['component']}.service" for component in plan]
    said = facts("backup-onfailure", f"systemctl show -p OnFailure --value {' '.join(names)}")
    units = said.split()
    observe(f"OnFailure : {' '.join(units) or 'rien'}")
    assert len(units) == len(plan), "l'échec d'une sauvegarde ne déclenche aucune alerte"
    age = ("pgssi-backup-age.timer", "pgssi-backup-age.service")
    faults = overridden(*names, *units, *age)
    assert not faults, " ; ".join(faults)
    watch = timer(facts, age[0])
    observe(str(watch))
    fault = watch.fault("contrôle de l'âge des sauvegardes", 1.2 * 3600)
    assert not fault, fault


@pytest.mark.rule("backup-failure-alarm")
@pytest.mark.acts
def test_alert_is_really_raised(host: Host, observe: Callable[[str], None]) -> None:
    """The backup unit is started for a component that does not exist: it fails, and the alert of that failure is seen."""
    name = f"essai-{secrets.token_hex(4)}"
    unit = f"pgssi-backup@{name}.service"
    wait = f"for i in $(seq 60); do journalctl -q -t pgssi-backup --since -5min | grep -F {name} && exit; sleep 0.5; done"
    try:
        started = host.run(f"systemctl start {unit}")
        seen = host.run(f"sh -c {shlex.quote(wait)}", timeout=60).stdout.strip()
    finally:
        host.run(f"systemctl reset-failed {unit}")
    observe(f"départ : code {started.rc} ; alerte : {seen[-80:] or 'aucune'}")
    assert started.rc != 0, "l'unité d'un composant inconnu se dit réussie"
    assert seen, "une sauvegarde a échoué et aucune alerte n'a été levée"
