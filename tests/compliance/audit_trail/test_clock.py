"""One clock for the site, and somebody who says so when it drifts (PSSI 7.2.2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.verify import not_verified
from pgssi.verify.facts import Facts
from pgssi.verify.timers import one_pass, timer

Observe = Callable[[str], None]
WATCH = "pgssi-clock-watch.timer"


def tracking(host: Host) -> list[str]:
    """Return what chrony says of the clock, field by field; nothing when it does not answer."""
    said = host.run("chronyc -c tracking")
    fields = said.stdout.strip().split(",")
    return fields if said.rc == 0 and len(fields) >= 14 else []


@pytest.mark.rule("clock-one-source")
def test_clock_follows_the_site(
    host: Host, context: HostContext, site: Mapping[str, Any], groups: Mapping[str, list[str]], observe: Observe
) -> None:
    """The time is compared with the control node's, and the time service is asked which source it follows, how far off."""
    before = time.time()
    there = float(host.check_output("date +%s.%N"))
    after = time.time()
    gap = max(before - there, there - after, 0.0)
    observe(f"écart avec le poste de contrôle : {gap:.3f} s au moins, mesuré en {after - before:.2f} s")
    assert gap < 1, f"l'horloge est à {gap:.1f} s de celle du poste de contrôle"
    host.run("chronyc waitsync 20 0 0 1", timeout=40)  # a service that has just started asks first
    fields = tracking(host)
    if not fields and host.run("timedatectl show -p NTPSynchronized --value").stdout.strip() == "yes":
        not_verified("une autre horloge que chrony règle cet hôte : sa source n'est pas lue")
    assert fields, "aucun service ne règle l'horloge (chronyc ne répond pas)"
    source, stratum, offset, leap = fields[1] or fields[0], fields[2], float(fields[4]), fields[-1]
    observe(f"source {source}, strate {stratum}, écart {offset:.6f} s, {leap}")
    assert leap == "Normal", "le service d'horloge n'est calé sur aucune source"
    assert abs(offset) < 1, f"écart de {offset:.3f} s avec la source"
    servers = site.get("audit_trail_time_servers") or groups["gateways"]
    if fields[0] == "7F7F0101":
        assert context.name in servers, "l'hôte ne suit que sa propre horloge"


@pytest.mark.rule("clock-drift-alarm")
@pytest.mark.acts
def test_lost_clock_alerts(host: Host, observe: Observe) -> None:
    """The time service is stopped, the host's own watch makes its round, and its alert is read in the journal."""
    due = timer_fault(host)
    assert not due, due
    if host.run("systemctl is-active chrony.service").rc:
        not_verified("chrony n'est pas en marche : rien à arrêter")
    host.check_output("logger -t pgssi-essai 'horloge : début' && journalctl --sync")
    last = host.check_output("journalctl -q -t pgssi-essai -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p'").strip()
    try:
        host.check_output("systemctl stop chrony.service")
        one_pass(host, WATCH.replace(".timer", ".service"), timeout=90)
    finally:
        host.run("systemctl start chrony.service")
    host.run("journalctl --sync")
    said = host.run("journalctl -q --cursor=%s -p alert --facility=auth -o cat", last).stdout
    observe(said.strip().splitlines()[-1][:160] if said.strip() else "aucune alerte")
    assert "orloge" in said, "une horloge sans source n'alerte personne"


def timer_fault(host: Host) -> str:
    """Return in French why the watch would not pass within ten minutes; else nothing."""
    return timer(Facts(host), WATCH).fault("surveillance de l'horloge", 700)
