"""What the inventory record says of a host: its differences, and how long its release is still supported (PSSI 4.1, 4.5.5.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgssi.inforce import HostContext
from pgssi.releases import AHEAD, ends

LONGEST = timedelta(days=31)


@pytest.fixture
def record(evidence: Sequence[Mapping[str, Any]], context: HostContext) -> Mapping[str, Any] | None:
    """The newest record of the inventory in which this host was read."""
    mine = [one for one in evidence if one["kind"] == "asset_inventory" and context.name in one["details"]["hosts"]]
    return mine[-1] if mine else None


@pytest.mark.rule("release-supported")
def test_end_of_support_is_far_or_planned(
    record: Mapping[str, Any] | None, context: HostContext, site: Mapping[str, Any], observe: Callable[[str], None]
) -> None:
    """The release of the host in the newest inventory record is held against the dates of the distribution and declared plans."""
    assert record, "l'hôte n'a pas été relevé : playbooks/inventory_record.yml"
    release = record["details"]["hosts"][context.name]["release"]
    end = ends().get(release)
    plans = [one for one in site.get("site_support_plans") or () if one["release"] == release]
    assert end, f"{release} : fin de support inconnue du catalogue"
    left = (end - context.today).days
    observe(f"{release} : correctifs jusqu'au {end.isoformat()} ({left} jours)")
    assert left >= 0, f"{release} ne reçoit plus de correctifs depuis le {end.isoformat()}"
    planned = [
        str(one["replaced_by"]) for one in plans if context.today.isoformat() <= str(one["replaced_by"]) <= end.isoformat()
    ]
    assert left >= AHEAD or planned, f"{release} : plus que {left} jours, et aucun remplacement daté (site_support_plans)"


@pytest.mark.rule("inventory-compared")
def test_inventory_is_recent_and_compared(
    record: Mapping[str, Any] | None, evidence: Sequence[Mapping[str, Any]], context: HostContext, observe: Callable[[str], None]
) -> None:
    """The evidence journal holds a record of the host of these 31 days, hardware and software, compared with the one before."""
    assert record, "l'hôte n'a pas été relevé : playbooks/inventory_record.yml"
    mine, details = record["details"]["hosts"][context.name], record["details"]
    when = datetime.fromisoformat(record["when"]["end"])
    differences = [one for one in details["differences"] if one["host"] == context.name]
    observe(f"{record['id']} : {mine['packages']} paquets, {mine['disks']} disques, {len(differences)} écart(s)")
    assert datetime.now(UTC) - when <= LONGEST, f"le dernier relevé est du {when.date().isoformat()}"
    assert mine["packages"] > 0 and mine["release"], "le relevé est vide"
    first = next(one for one in evidence if one["kind"] == "asset_inventory")
    assert details["compared"] or record["id"] == first["id"], "le relevé n'a pas été comparé à celui d'avant"
