"""Which archives the plan no longer keeps. By the arrival that this host's clock has noted: a forged date changes nothing.

Per component: the newest archive of each of the last N hours, days, weeks, months and years that have one, as the
plan counts them; all of the last seven days; always the newest; never one past the longest retention.
"""

import time
from datetime import datetime
from pathlib import Path

import pgssi_backup_store as store

MONTH = 30.44 * 86400
# Changes are between two archives of the same day, and an incident is seen after days: nothing so young is thinned.
YOUNG = 7 * 86400
# The playbook that applies this is run monthly.
GRACE = 35 * 86400
PERIODS = {"hourly": "%Y-%m-%dT%H", "daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m", "yearly": "%Y"}


def arrivals(config, client):
    """Return {component: [(arrival in seconds, archive)]}, oldest first, of what is expected in the repository."""
    folder = Path(config["store"]) / client
    known, found = set(store.decisions(folder)["forgotten"]), {}
    for entry in store.records(folder / "journal.jsonl"):
        archive = entry.get("archive") or {}
        if entry["status"] != "success" or not archive.get("id") or archive["id"] in known:
            continue
        known.add(archive["id"])
        found.setdefault(entry["component"], []).append((datetime.fromisoformat(entry["received"]).timestamp(), archive))
    return {name: sorted(archives, key=lambda one: one[0]) for name, archives in found.items()}


def kept(archives, retention, longest_months, now):
    """Return the ids that the plan keeps, of [(arrival, archive)] oldest first."""
    young = {archive["id"] for arrival, archive in archives if now - arrival < YOUNG}
    chosen = set()
    for period, count in retention.items():
        newest = {}  # the newest archive of each period, periods oldest first
        for arrival, archive in archives:
            newest[datetime.fromtimestamp(arrival).strftime(PERIODS[period])] = archive["id"]
        chosen |= set(list(newest.values())[-count:] if count else ())
    within = {archive["id"] for arrival, archive in archives if now - arrival <= longest_months * MONTH}
    last = {archives[-1][1]["id"]} if archives else set()
    return young | (chosen & within) | last


def due(config, client, now=None):
    """Return {id: name} of the archives that the plan no longer keeps; a component that left the plan keeps all."""
    now, gone = time.time() if now is None else now, {}
    for component, archives in arrivals(config, client).items():
        wanted = config["clients"][client].get(component)
        if wanted:
            keep = kept(archives, wanted["retention"], wanted["retention_max_months"], now)
            gone |= {archive["id"]: archive["name"] for _, archive in archives if archive["id"] not in keep}
    return gone


def overdue(config, client, now=None):
    """Return the names of the archives that a retention run of five weeks ago would have removed already."""
    now = time.time() if now is None else now
    there = (one for archives in arrivals(config, client).values() for one in archives)
    old = {archive["id"] for arrival, archive in there if now - arrival > GRACE}
    return sorted(name for key, name in due(config, client, now - GRACE).items() if key in old)
