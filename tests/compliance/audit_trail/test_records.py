"""Records on their way: they leave, once and in full, and wait on disk when they cannot (PSSI 7.2.2.1, 7.2.2.2)."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.interfaces import addresses_of
from pgssi.verify import not_verified

from .conftest import LATER

Observe = Callable[[str], None]
REFUSED = r"(FAILED SU|authentication failure).*nobody"
# Where records are sent to, besides where this host is connected: syslog, RELP, syslog over TLS.
PORTS = frozenset({514, 601, 6514})
STAMP = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}(Z|[+-]\d\d:\d\d)")


@pytest.mark.rule("records-leave-host")
@pytest.mark.acts
def test_record_arrives_once(host: Host, keepers: Any, marker: str, observe: Observe) -> None:
    """A line written here by logger is counted on every server that keeps this host's records: one, within 30 seconds."""
    host.check_output("logger --tag pgssi-essai -- %s", marker)
    for keeper in keepers:
        keeper.waits(marker)
        time.sleep(1)
        count = len(keeper.lines(marker))
        observe(f"sur {keeper.name} : {count} exemplaire(s)")
        assert count, f"la trace n'est pas arrivée sur {keeper.name} en 30 s"
        assert count == 1, f"{keeper.name} a gardé la trace {count} fois"


@pytest.mark.rule("access-records-leave-host")
@pytest.mark.acts
def test_rights_and_refusals_arrive(host: Host, keepers: Any, stranger: str, observe: Observe) -> None:
    """Nobody joins the group of a throw-away account and fails to become that account; both are looked for on the log servers."""
    host.check_output("gpasswd --add nobody %s", stranger)
    host.run("runuser -u nobody -- su -c true %s </dev/null", stranger)
    acts = {"l'attribution d'un groupe": "nobody.*group|group.*nobody", "le refus d'un changement d'identité": REFUSED}
    for keeper in keepers:
        end = time.monotonic() + LATER
        while True:
            lines = [line.split(":", 1)[1] for line in keeper.lines(stranger)]
            found = {act: next((one for one in lines if re.search(words, one)), "") for act, words in acts.items()}
            if all(found.values()) or time.monotonic() > end:
                break
            time.sleep(0.5)
        for act, line in found.items():
            observe(f"sur {keeper.name}, {act} : {line[-120:] or 'rien'}")
        missing = [act for act, line in found.items() if not line]
        assert not missing, f"{' et '.join(missing)} : pas lisible sur {keeper.name} en {LATER:.0f} s"


@pytest.mark.rule("records-name-source")
@pytest.mark.acts
def test_record_names_its_source(
    host: Host, context: HostContext, site: Mapping[str, Any], keepers: Any, marker: str, observe: Observe
) -> None:
    """A line written here is read where it is kept: name and address of the inventory, program, time with fraction and zone."""
    host.check_output("logger --id=4242 --tag pgssi-nomme -- %s", marker)
    for keeper in keepers:
        lines = keeper.waits(marker)
        if not lines:
            not_verified(f"rien n'est arrivé sur {keeper.name} : il n'y a pas de trace à lire")
        line = lines[0].split(":", 1)[1]
        observe(f"sur {keeper.name} : {line}")
        words = line.split()
        assert context.name in words, f"le nom {context.name} n'est pas dans la trace"
        assert set(addresses_of(site)) & set(words), "l'adresse de l'hôte n'est pas dans la trace"
        assert any(word.startswith("pgssi-nomme") for word in words), "l'application n'est pas dans la trace"
        assert STAMP.search(line), "l'heure n'a pas de fraction de seconde ou pas de fuseau"


@pytest.mark.rule("records-wait-on-disk")
@pytest.mark.acts
def test_record_waits_for_the_server(host: Host, keepers: Any, marker: str, observe: Observe) -> None:
    """The way to the log servers is cut, a line written, the log services restarted; the way opens and the line arrives, once."""
    # Only what this host itself sends: what it forwards for others, and what it answers, passes.
    rules = [
        f"{'-6 ' if ':' in one.address else ''}rule {{}} iif lo to {one.address} dport {port} type blackhole"
        for one in keepers
        for port in sorted(_doors(host, one))
    ]
    cut = "; ".join(f"ip {rule.format('add')}" for rule in rules)
    mend = "; ".join(f"ip {rule.format('del')}" for rule in rules)
    # Whatever becomes of this test, the host mends its way by itself.
    unit = f"pgssi-mend-{secrets.token_hex(4)}"
    timer = host.run("systemd-run --on-active=90 --unit=%s sh -c %s", unit, mend)
    if timer.rc:
        not_verified(f"aucun retour armé : {timer.stderr.strip()[-120:]}")
    try:
        # Long enough for whoever waits for an answer, and then for whoever starts, to try, fail and give up.
        done = host.run(
            f"{cut}; sleep 1; logger --tag pgssi-essai -- {marker}; sleep 15; "
            "systemctl try-restart rsyslog.service pgssi-log-sender.service; sleep 4",
            timeout=90,
        )
        if host.run("ip rule; ip -6 rule").stdout.count("blackhole") < len(rules):
            not_verified(f"le chemin n'a pas pu être coupé : {done.stderr.strip()[-120:]}")
        early = [one.name for one in keepers if one.lines(marker)]
    finally:
        host.run(f"{mend}; systemctl stop {unit}.timer")
    observe(f"pendant la coupure : {'arrivée sur ' + ', '.join(early) if early else 'rien sur les serveurs'}")
    assert not early, "la trace est arrivée malgré la coupure : rien n'est prouvé"
    for keeper in keepers:
        keeper.waits(marker, 60)
        count = len(keeper.lines(marker))
        observe(f"après, sur {keeper.name} : {count} exemplaire(s)")
        assert count, f"la trace écrite pendant la coupure est perdue pour {keeper.name}"
        assert count == 1, f"{keeper.name} a gardé la trace {count} fois"


def _doors(host: Host, keeper: Any) -> set[int]:
    """Return the ports of a log server that records of this host may be going to."""
    here = {line.split()[3].rpartition(":")[2] for line in host.check_output("ss -Hltn").splitlines()}
    doors = PORTS | {keeper.port}
    for line in host.check_output("ss -Htunp dst %s", keeper.address).splitlines():
        _, _, _, _, local, peer, *process = line.split()
        if local.rpartition(":")[2] not in here and '(("ssh"' not in " ".join(process):
            doors |= {int(peer.rpartition(":")[2])}
    return doors


@pytest.mark.rule("local-records-expire")
@pytest.mark.acts
def test_old_local_files_go(host: Host, days_kept: Callable[[str], int], planted: Any, observe: Observe) -> None:
    """Rotated files of three dates are planted in /var/log, the host's own daily job runs, and what is left is read."""
    days = days_kept("local")
    old, young = planted("/var/log/pgssi-essai", "{name}.log.9.gz", days)
    planted.run()
    left = planted.left()
    observe(f"durée {days} jours ; restent : {', '.join(sorted(left)) or 'aucun'}")
    assert old not in left, f"un fichier tourné de plus de {days} jours est resté"
    assert young in left, f"un fichier tourné de moins de {days} jours a été effacé"
