"""Changes are covered by archives, restores are rehearsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

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
