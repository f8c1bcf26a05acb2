"""Archives exist, are recent, planned, verified, journaled, and come back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from testinfra.host import Host

Seen = Mapping[str, Any]
Plan = list[Mapping[str, Any]]
FIELDS = ("device", "perimeter", "type", "files", "date", "status")


@pytest.mark.rule("backup-archive-recent")
def test_newest_archive_is_within_the_pdma(plan: Plan, seen: Seen, observe: Callable[[str], None]) -> None:
    """The backup server finds, in the repository itself, an archive of each component younger than its PDMA."""
    assert seen, "le serveur de sauvegarde ne connaît aucun dépôt de cet hôte"
    for component in plan:
        found = seen["components"].get(component["component"], {"archive": None, "age_hours": None})
        observe(f"{component['component']} : {found['age_hours']} h (PDMA {component['pdma_hours']} h)")
        assert found["archive"], f"aucune archive de {component['component']} dans le dépôt"
        assert found["age_hours"] <= component["pdma_hours"], f"{component['component']} dépasse sa PDMA"


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
def test_next_run_is_planned(plan: Plan, site: Mapping[str, Any], facts: Any, observe: Callable[[str], None]) -> None:
    """systemd has an active timer per component, whose next start is near enough and within the window."""
    said = facts("backup-timers", "systemctl list-timers --output=json 'pgssi-backup-*.timer'; date +%s; date +%:z")
    timers, now, zone = said.rsplit("\n", 3)[:3]
    known = {timer["activates"]: timer["next"] / 1e6 for timer in json.loads(timers or "[]") if timer["next"]}
    window = site["site_backup"]["window"]
    for component in plan:
        unit = f"pgssi-backup@{component['component']}.service"
        assert unit in known, f"aucun départ prévu pour {component['component']}"
        hours = (known[unit] - float(now)) / 3600
        clock = _clock(known[unit], zone)
        observe(f"{component['component']} : dans {hours:.1f} h, à {clock}")
        limit = {"hourly": 1, "daily": 24, "weekly": 168}[component["frequency"]]
        assert hours <= limit + 0.6, f"{component['component']} ne part que dans {hours:.0f} h"
        if component["frequency"] != "hourly":
            inside = _inside(clock, window["starts"], window["ends"])
            assert inside, f"départ à {clock}, hors de la plage {window['starts']}-{window['ends']}"


@pytest.mark.rule("backup-scheduled")
@pytest.mark.acts
def test_what_the_timer_starts_works(plan: Plan, host: Host, server: Host, context: Any, observe: Callable[[str], None]) -> None:
    """The unit that the timer starts is started: the server receives the record of a scheduled run that succeeded."""
    name = plan[-1]["component"]
    known = int(server.run(f"cat {_path(context.name)} | wc -l").stdout)
    done = host.run(f"systemctl start pgssi-backup@{name}.service", timeout=280)
    wanted = (name, "scheduled", "success")
    told = [r for r in _added(server, context.name, known) if (r["component"], r["kind"], r["status"]) == wanted]
    observe(f"départ de {name} : code {done.rc}, {len(told)} réussite au journal du serveur")
    assert done.rc == 0, f"ce que la minuterie lance échoue : {done.stderr.strip()[-150:]}"
    assert told, "l'exécution planifiée n'a laissé aucune réussite au journal du serveur"


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
    told = [r for r in _added(server, context.name, known) if (r["component"], r["status"]) == (name, "failure")]
    observe(f"{len(told)} échec au journal du serveur" + (f" : {told[-1]['message'][:80]}" if told else ""))
    assert done.rc != 0, "l'exécution refusée par le serveur s'est dite réussie"
    assert told, "l'échec n'est pas au journal du serveur"


def _path(client: str) -> str:
    return f"/srv/pgssi-backup/{client}/journal.jsonl"


def _added(server: Host, client: str, known: int) -> list[Seen]:
    """Return the records of a client after the first ``known`` ones, as the server holds them."""
    return [json.loads(line) for line in server.run(f"tail -n +{known + 1} {_path(client)}").stdout.splitlines()]


@pytest.mark.rule("backup-content-restorable")
@pytest.mark.acts
def test_marker_comes_back(marked_run: Any, host: Host, client: Any, observe: Callable[[str], None]) -> None:
    """A marker is backed up by a real run, restored into a scratch folder, and compared with its rights."""
    assert marked_run.status == "0", f"la sauvegarde échoue : {marked_run.said}"
    archive, path, text = marked_run.archive, marked_run.path, marked_run.text
    folder = host.check_output("mktemp -d /var/tmp/pgssi-essai.XXXXXX").strip()
    try:
        restored = client.borg(f"extract ::{archive} {shlex.quote(path[1:])}", cwd=folder)
        back = host.run(f"cat {shlex.quote(folder + path)}")
        rights = host.run(f"stat -c '%a %U:%G' {shlex.quote(folder + path)}").stdout.strip()
        observe(f"{archive} : {len(back.stdout)} octets, {rights}")
        assert restored.rc == 0 and back.stdout == text, "le marqueur ne revient pas de l'archive"
        assert rights == "640 nobody:nogroup", f"droits restaurés : {rights}"
    finally:
        host.run(f"rm -rf {folder}")


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
    """The run that made the newest archive of each database read it back and found tables in it."""
    for component in plan:
        if component["type"] != "postgresql":
            continue
        mine = [
            record
            for record in journal
            if record["component"] == component["component"] and record["status"] == "success" and record["files"]["count"]
        ]
        assert mine, f"aucune archive de {component['component']}"
        tables = mine[-1].get("database", {}).get("tables", 0)
        observe(f"{component['database']} : {tables} tables")
        assert tables > 0, f"l'export de {component['database']} n'a pas été ouvert après la sauvegarde"


@pytest.mark.rule("backup-database-opens")
@pytest.mark.acts
def test_dump_opens_now(plan: Plan, seen: Seen, host: Host, client: Any, observe: Callable[[str], None]) -> None:
    """The newest dump is read from the repository and opened by pg_restore."""
    for component in plan:
        if component["type"] != "postgresql":
            continue
        archive = (seen.get("components", {}).get(component["component"]) or {}).get("archive")
        assert archive, f"aucune archive de {component['component']}"
        listed = client.borg(f"list --format '{{path}}{{NL}}' ::{archive['name']}").stdout.split("\n")
        paths = [path for path in listed if path.endswith(f"/{component['database']}")]
        assert paths, f"{archive['name']} ne contient pas d'export de {component['database']}"
        opened = client.borg(f"extract --stdout ::{archive['name']} {shlex.quote(paths[0])} | pg_restore --list")
        tables = opened.stdout.count(" TABLE DATA ")
        observe(f"{archive['name']} : {tables} tables")
        assert tables > 0, "pg_restore n'ouvre pas l'export"


@pytest.mark.rule("backup-failure-alarm")
def test_failure_starts_an_alert(plan: Plan, facts: Any, observe: Callable[[str], None]) -> None:
    """systemd starts an alert unit when a run fails, and the age check is planned within the hour."""
    names = " ".join(f"pgssi-backup@{component['component']}.service" for component in plan)
    said = facts("backup-onfailure", f"systemctl show -p OnFailure --value {names}")
    units = said.split()
    observe(f"OnFailure : {' '.join(units) or 'rien'}")
    assert len(units) == len(plan), "l'échec d'une sauvegarde ne déclenche aucune alerte"
    states = facts("backup-alert-units", f"systemctl show -p LoadState --value {' '.join(units)} pgssi-backup-age.timer")
    assert set(states.split()) == {"loaded"}, "l'unité d'alerte n'existe pas"
    active = facts("backup-age-timer", "systemctl is-active pgssi-backup-age.timer").strip()
    assert active == "active", "l'âge des sauvegardes n'est pas surveillé sur le client"
