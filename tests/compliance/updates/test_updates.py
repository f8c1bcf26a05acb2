"""Security updates come by themselves, in time, by rings, outside care; restarts are told (PSSI 4.5.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.site.hours import DAYS, in_words, minutes
from pgssi.verify import not_applicable, not_verified
from pgssi.verify.timers import DAY, settled, timer

Observe = Callable[[str], None]
WINDOW = ({"starts": "02:00", "ends": "05:00"},)
SECURITY = ("origin=Debian,label=Debian-Security",)
LONGEST = 8 * 86400
SHORT = {"Mon": 0, "Tue": 1, "Wed": 2, "Thu": 3, "Fri": 4, "Sat": 5, "Sun": 6}
# What cron runs, and the scripts that it names.
CRON = r"""
installs='unattended-upgrade|apt\.systemd\.daily +install|(apt|apt-get|aptitude)[^#]* (full-|dist-|safe-)?upgrade'
planned='/etc/crontab /etc/cron.* /etc/anacrontab /var/spool/cron'
grep -rEls "^[^#]*($installs)" $planned | grep -vxF /etc/cron.daily/apt-compat
grep -rhs '^[^#]' $planned | grep -oE '(^|[ 	;&|(=])/[A-Za-z0-9_./+-]+' | sed 's|^[^/]*||' | sort -u | while read -r file; do
    [ -f "$file" ] && [ "$(head -c 2 "$file" | tr -d '\0')" = '#!' ] && [ "${file##*/}" != apt.systemd.daily ] &&
        head -c 20000 "$file" | grep -Eq "^[^#]*($installs)" && echo "$file"
done
true
"""


def fixes(places: list[Mapping[str, str]], patterns: list[str]) -> bool:
    """Return whether a version comes from where security updates come."""
    parts = [[part.split("=", 1) for part in pattern.split(",")] for pattern in patterns]
    return any(all(fnmatchcase(place.get(key, ""), value) for key, value in one) for place in places for one in parts)


@pytest.mark.rule("updates-applied")
def test_no_late_security_update(
    on_host: Callable[..., Any], site: Mapping[str, Any], codename: str, ring_days: int, observe: Observe
) -> None:
    """The host's sources, one of fixes among them, are read again apart; no newer security version is known for too long."""
    seen = on_host("pending")
    if not seen["updated"]:
        not_verified(f"les dépôts de l'hôte ne se lisent pas : {' '.join(seen['said'].split())[-200:]}")
    patterns = [source["security"] for source in site.get("site_package_sources") or () if "security" in source]
    patterns = [one.replace("{codename}", codename) for one in [*patterns, *(site.get("updates_security_origins") or SECURITY)]]
    # Without a place where fixes come from, none would ever be seen to be missing.
    assert any(fixes([place], patterns) for place in seen["read"]), (
        f"aucun dépôt de correctifs de sécurité n'est lu ({len(seen['read'])} index d'autres dépôts)"
    )
    days = int(site.get("updates_delay_days", 7)) + ring_days
    late, missing = [], 0
    for name, old, new, places in seen["newer"]:
        if fixes(places, patterns):
            missing += 1
            since = seen["since"].get(f"{name}={new}")
            age = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds() / 86400 if since else None
            if age is None or age > days:
                late.append(f"{name} {old} → {new} ({'depuis une date inconnue' if age is None else f'{age:.0f} j'})")
    observe(f"{len(seen['newer'])} versions plus récentes, {missing} de sécurité, {len(late)} en retard (délai {days} j)")
    assert not late, f"correctifs de sécurité absents : {' ; '.join(late[:8])}"
    assert not seen["stale"], f"dépôts jamais lus par l'hôte, ou pas depuis plus de deux jours : {', '.join(seen['stale'][:3])}"


@pytest.mark.rule("updates-automatic")
def test_a_security_update_would_be_installed(jobs: list[Any], upgrade: Mapping[str, Any], facts: Any, observe: Observe) -> None:
    """What the host's timer runs is asked, in a dry run, about a two months old security update, then one of each package."""
    assert jobs, "aucun minuteur actif n'installe de correctifs"
    faults = [timer(facts, job.timer).fault("correctifs", LONGEST) for job in jobs]
    observe(f"{', '.join(job.timer for job in jobs)} ; correctifs d'essai pris : {', '.join(upgrade['taken']) or 'aucun'}")
    assert not all(faults), " ; ".join(filter(None, faults))
    assert upgrade["installed"], "unattended-upgrade absent"
    assert "ancien" in upgrade["taken"], f"le correctif d'essai n'est pas pris : {' '.join(upgrade['said'].split())[-250:]}"
    never = [f"{name} ({why})" for name, why in upgrade["kept"]]
    assert not never, f"jamais corrigés seuls : {', '.join(never[:8])}{' …' if len(never) > 8 else ''} ({len(never)})"
    last = {job.service: facts(f"last:{job.service}", f"systemctl show -P Result -- {job.service}").strip() for job in jobs}
    failed = [f"{service} ({result})" for service, result in last.items() if result != "success"]
    assert not failed, f"la dernière exécution a échoué : {', '.join(failed)}"


@pytest.mark.rule("updates-ring-delay")
def test_a_new_update_waits_for_its_ring(upgrade: Mapping[str, Any], ring_days: int, observe: Observe) -> None:
    """The same dry run, after what the host does before an upgrade, takes an update published now in the validation ring only."""
    observe(f"anneau de {ring_days} jour(s) ; pris à blanc : {', '.join(upgrade['taken']) or 'aucun'}")
    assert not upgrade.get("failed"), f"ce qui précède la mise à jour échoue : {upgrade['failed'][0][-200:]}"
    assert "ancien" in upgrade["taken"], "même un correctif vieux de deux mois n'est pas pris : rien ne passe d'anneau en anneau"
    assert ("neuf" in upgrade["taken"]) == (ring_days == 0), (
        "un correctif publié à l'instant entre aussitôt" if ring_days else "l'anneau de validation attend : rien n'est validé"
    )


def starts(facts: Any, name: str) -> Iterator[tuple[int, int]]:
    """Yield (first, last) minute of the week of every start of a timer over two weeks, random delay included."""
    shown = facts(
        f"calendar:{name}", f"systemctl show -p TimersCalendar,TimersMonotonic,RandomizedDelayUSec,Persistent -- {name}"
    )
    values = [line.split("=", 1) for line in shown.splitlines() if "=" in line]
    if any(key == "TimersMonotonic" and value for key, value in values):
        yield (0, 7 * 24 * 60 - 1)  # counted from the start of the host or of the job: any minute
    delay = facts(
        f"delay:{name}", f"systemd-analyze timespan \"$(systemctl show -P RandomizedDelayUSec -- {name})\" | sed -n 's/.*s: //p'"
    )
    late = -(-int(delay.strip() or 0) // 60_000_000)
    for key, value in values:
        if key == "TimersCalendar" and "OnCalendar=" in value:
            words = value.split("OnCalendar=", 1)[1].split(" ; ")[0].strip()
            command = f"systemd-analyze calendar --iterations=28 '{words}'"
            for line in facts(f"iterations:{words}", command).splitlines():
                parts = line.split(": ", 1)[-1].split()
                if len(parts) >= 3 and parts[0] in SHORT and parts[2].count(":") == 2 and "(in UTC)" not in line:
                    hours, minute, _ = parts[2].split(":")
                    first = SHORT[parts[0]] * 1440 + int(hours) * 60 + int(minute)
                    yield first, first + late


@pytest.mark.rule("updates-in-window")
def test_updates_start_in_the_window(
    jobs: list[Any], facts: Any, apt: Callable[[str], str], site: Mapping[str, Any], observe: Observe
) -> None:
    """Systemd computes every start over two weeks of each timer that installs packages: all in the window, none in care hours."""
    window, care = minutes(site.get("site_maintenance_window") or WINDOW), minutes(site.get("site_care_hours") or ())
    faults, seen = [], 0
    for job in jobs:
        for first, last in starts(facts, job.timer):
            seen += 1
            covered = {minute % (7 * 1440) for minute in range(first, last + 1)}
            if not covered <= window - care:
                faults.append(f"{job.timer} peut partir {in_words(min(covered - (window - care)))}")
        if facts(f"persistent:{job.timer}", f"systemctl show -P Persistent -- {job.timer}").strip() == "yes":
            faults.append(f"{job.timer} rattrape une nuit manquée dès le démarrage de l'hôte")
    faults += [f"{path} met à jour par cron" for path in facts("updates-cron", CRON).split()]
    if apt("Unattended-Upgrade::Automatic-Reboot").lower() in ("true", "1", "yes"):
        when = apt("Unattended-Upgrade::Automatic-Reboot-Time")
        clock = int(when[:2]) * 60 + int(when[3:5]) if len(when) == 5 and when[2] == ":" else None
        if clock is None or not {day * 1440 + clock for day in range(len(DAYS))} <= window - care:
            faults.append(f"l'hôte redémarre de lui-même ({when or 'aussitôt'})")
    observe(f"{len(jobs)} minuteur(s), {seen} départs calculés, {len(set(faults))} hors fenêtre")
    if not jobs and not faults:
        not_applicable("aucun minuteur n'installe de paquets : il n'y a pas d'heure à juger")
    assert jobs and not faults, " ; ".join(sorted(set(faults))[:4])


@pytest.mark.rule("restarts-announced")
def test_the_report_is_planned(facts: Any, observe: Observe) -> None:
    """The host's own report of what must be restarted has its next start within a day."""
    seen = timer(facts, "pgssi-updates-report.timer")
    observe(str(seen))
    fault = seen.fault("annonce des redémarrages", DAY)
    assert not fault, fault


@pytest.mark.rule("restarts-announced")
@pytest.mark.acts
def test_a_needed_restart_is_announced(host: Host, on_host: Callable[..., Any], facts: Any, observe: Observe) -> None:
    """A throw-away program runs from a file that is then removed; the host's report raises an alert that names it."""
    seen_timer = timer(facts, "pgssi-updates-report.timer")
    assert seen_timer.starts, "aucune annonce des redémarrages n'est prévue"
    settled(host, seen_timer.starts)
    seen = on_host("outdated", unit=seen_timer.starts)
    observe(" ".join(seen["alerts"].split())[:200] or "aucune alerte")
    assert seen["rc"] == 0, f"l'annonce échoue : {seen['error']}"
    assert f"pgssi-essai {seen['pid']}" in seen["alerts"], "un programme dont le fichier a été remplacé n'est pas annoncé"
