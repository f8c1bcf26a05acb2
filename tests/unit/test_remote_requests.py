"""Requests for remote interventions: what is granted, what is refused, and that every fault is told at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from remote_builder import NOW, remote, request

from pgssi.errors import InvalidInput
from pgssi.remote.request import Window, windows
from pgssi.remote.words import MESSAGES


def granted(*requests: dict[str, Any], present: list[dict[str, Any]] | None = None, **site: Any) -> tuple[Window, ...]:
    return windows(remote(**site), requests, present or [], NOW)


def test_a_window_lasts_from_its_start_to_its_end() -> None:
    """A sound request becomes one window of the declared account, in seconds of UTC."""
    (window,) = granted(request())
    assert window.access.account == "rm-irm1_jdurand"
    assert (window.start, window.end) == (int(NOW.timestamp()), int(NOW.timestamp()) + 7200)
    assert Window.of(window.as_dict(), window.access) == window


@pytest.mark.parametrize(
    ("text", "minutes"), [("45m", 45), ("45min", 45), ("1h30", 90), ("1h30m", 90), ("2 h", 120), ("1H", 60), (" 3h ", 180)]
)
def test_durations_are_read(text: str, minutes: int) -> None:
    """Durations are written the way people say them."""
    (window,) = granted(request(duration=text))
    assert window.end - window.start == minutes * 60


REFUSED = {
    "unknown person": ({"person": "jdupont"}, "person", "n'est l'intervenant"),
    "another equipment": ({"equipment": "scanner"}, "equipment", "n'est pas un équipement"),
    "nobody": ({"person": None}, "person", "absent"),
    "no equipment": ({"equipment": None}, "equipment", "absent"),
    "no approver": ({"approver": None}, "approver", "absent"),
    "list for a person": ({"person": ["jdurand"]}, "person", "n'est l'intervenant"),
    "person without key": ({"person": "sanscle"}, "person", "clé publique"),
    "unknown approver": ({"approver": "inconnu"}, "approver", "n'est ni une personne"),
    "approver who left": ({"approver": "parti"}, "approver", "n'est ni une personne"),
    "approver of the supplier": ({"approver": "jdurand"}, "approver", "du prestataire"),
    "approver with the same name": ({"approver": "dim"}, "approver", "du prestataire"),
    "no purpose": ({"purpose": None}, "purpose", "absent"),
    "purpose too short": ({"purpose": "ok"}, "purpose", "motif"),
    "purpose with an escape": ({"purpose": "panne\x1b[2J de la table"}, "purpose", "motif"),
    "no duration": ({"duration": None}, "duration", "absent"),
    "duration without unit": ({"duration": "30"}, "duration", "illisible"),
    "negative duration": ({"duration": "-2h"}, "duration", "illisible"),
    "no time at all": ({"duration": "0m"}, "duration", "illisible"),
    "too long": ({"duration": "4h01"}, "duration", "au-delà de 4 h"),
    "list for a duration": ({"duration": [1]}, "duration", "illisible"),
    "start in the past": ({"start": "2026-07-01T11:00+00:00"}, "start", "passé"),
    "start far away": ({"start": "2026-07-20T11:00+00:00"}, "start", "au-delà de 10 jours"),
    "start that is no time": ({"start": "demain"}, "start", "illisible"),
    "unknown word": ({"durée": "2h"}, "durée", "mot inconnu"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_faulty_request_is_refused(case: str) -> None:
    """A faulty request is refused with the word that is wrong and a remedy."""
    changes, key, message = REFUSED[case]
    with pytest.raises(InvalidInput) as refused:
        granted(request(**changes))
    found = [problem for problem in refused.value.problems if problem.key == key]
    assert found, refused.value
    assert message in found[0].message
    assert found[0].remedy


def test_all_faults_are_told_at_once() -> None:
    """Several faults of several requests come in one answer, each with the number of its request."""
    with pytest.raises(InvalidInput) as refused:
        granted(request(), request(person="x", duration="9h"), request(approver="y"))
    assert {(p.file, p.key) for p in refused.value.problems} == {
        ("demande 2", "person"),
        ("demande 2", "duration"),
        ("demande 3", "approver"),
        ("demande 3", "equipment"),
    }


def test_a_contract_that_ends_first_is_refused() -> None:
    """No window outlives the contract of its supplier."""
    suppliers = remote().site["site_suppliers"]
    suppliers["acme"]["contract_until"] = "2026-06-30"
    with pytest.raises(InvalidInput, match="contrat terminé le 2026-06-30"):
        granted(request(), site_suppliers=suppliers)


def test_windows_of_one_account_do_not_overlap() -> None:
    """A second window of the same account at the same time is refused; right after, or of another account, it is granted."""
    (first,) = granted(request())
    present = [first.as_dict()]
    with pytest.raises(InvalidInput, match="fenêtre déjà prévue"):
        granted(request(), present=present)
    after = (NOW + timedelta(hours=2)).isoformat()
    assert granted(request(start=after), request(equipment="dpi1"), present=present)


def test_an_equipment_without_host_key_is_refused() -> None:
    """The gateway never talks to equipment that it could not recognise."""
    suppliers = remote().site["site_suppliers"]
    del suppliers["acme"]["equipment"][0]["host_keys"]
    with pytest.raises(InvalidInput, match="clé d'hôte"):
        granted(request(), site_suppliers=suppliers)


def test_only_named_approvers_approve() -> None:
    """Where the site names its approvers, nobody else of the site approves."""
    assert granted(request(approver="adurand"))
    with pytest.raises(InvalidInput, match="n'est pas habilité à approuver"):
        granted(request(approver="adurand"), site_remote={"approvers": ["rssi"]})


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_every_message_has_a_remedy_in_both_languages(lang: str) -> None:
    """No refusal leaves its reader without something to do."""
    for code, texts in MESSAGES.items():
        message, remedy = texts[1 if lang == "en" else 0]
        assert message and remedy.endswith((".", "…")), code
