"""Seals of the files of the host (BP-028 R76, R77), where the site asks for them."""

from __future__ import annotations

import pytest

from pgssi.verify import not_applicable
from pgssi.verify.timers import DAY, settled, timer

TIMER = "pgssi-seal.timer"
# A program that nobody knows appears while the comparison of the night is started; what is alerted meanwhile is told.
STRANGER = r"""
stranger=/usr/local/sbin/pgssi-essai-$$
trap 'rm -f "$stranger"' EXIT
printf '#!/bin/sh\n' > "$stranger"; chmod 755 "$stranger"
since=$(date +%s)
systemctl start -- "$UNIT"
echo "rc=$? $stranger"
for try in 1 2 3 4 5 6 7 8 9 10; do
    alerts=$(journalctl --quiet -t pgssi-alert --since "@$since" -o cat)
    case $alerts in *"$stranger"*) break ;; esac
    sleep 0.3
done
echo "$alerts"
echo "==="
journalctl --quiet -u "$UNIT" --since "@$since" -o cat
"""


@pytest.fixture
def asked(site):
    """End the test where the site does not ask for seals."""
    if str(site.get("system_hardening_sealed", False)).lower() not in ("true", "yes"):
        not_applicable("le site ne le demande pas pour cet hôte (system_hardening_sealed)")


@pytest.mark.rule("files-sealed")
def test_seals_are_compared_every_night(asked, facts, observe):
    """The timer that compares the files with their seals is active and has its next start within a day."""
    seen = timer(facts, TIMER)
    observe(str(seen))
    fault = seen.fault("comparaison des scellés", DAY)
    assert not fault, fault


@pytest.mark.rule("files-sealed")
@pytest.mark.acts
def test_a_stranger_among_the_programs_is_told(asked, host, facts, observe):
    """An unknown program in /usr/local/sbin is alerted when the timer's unit runs; the journal has the base's digest."""
    unit = timer(facts, TIMER).starts
    assert unit, "aucune comparaison des scellés n'est prévue"
    settled(host, unit, timeout=1500)
    answer = host.run(f"UNIT='{unit}'; {STRANGER}", timeout=1500).stdout
    first, _, rest = answer.partition("\n")
    alerts, _, said = rest.partition("===\n")
    observe(" ".join(said.split())[-200:] or "rien au journal")
    assert first.startswith("rc=0 "), f"la comparaison échoue : {' '.join(said.split())[-200:]}"
    assert first.split()[1] in alerts, "un programme inconnu n'est pas signalé"
    assert "empreinte SHA-512 " in said, "le journal ne garde pas l'empreinte de la base"
