"""The guests' way out: who passes, what a guest reaches, when it ends, what is kept of it (PSSI 4.4.3.2 to 4.4.3.7)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from netaddr import IPAddress, IPNetwork, ipv6_verbose
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.interfaces import addresses_of
from pgssi.paths import ROLES
from pgssi.verify import not_applicable, not_verified
from pgssi.wifi.model import Wifi
from pgssi.wifi.portal import portal_view

Observe = Callable[[str], None]
AIR, GUESTS = (Path(__file__).with_name(name).read_text("utf-8") for name in ("on_air.py", "on_guests.py"))
SCRIPT = f"""import sys, types
air = sys.modules["on_air"] = types.ModuleType("on_air")
exec({AIR!r}, air.__dict__)
{GUESTS}
"""
DEFAULTS = yaml.safe_load((ROLES / "wifi" / "defaults" / "main.yml").read_text("utf-8"))
ADMIN = (22, 80, 443, 1812, 5353, 6515)
DOORS = {53, 80}  # of the portal itself: names, and the page
OPEN, REFUSED = 200, 403
SESSIONS = 20, 90  # seconds of the short session, and of a second one on a machine too busy to open connections in the first
SOON, LATER = 10.0, 30.0


def spare(block: IPNetwork, taken: set[IPAddress]) -> list[str]:
    """Return the last two addresses of a network (of its first 65,536) that nobody declared."""
    last = min(block.size, 2**16) - 2
    found = (block[last - step] for step in range(60))
    return [str(address) for address in found if address not in taken][:2]


@dataclass
class Way:
    """The guests' way out on this host, tried by guests that are at the end of a cable, or on the air."""

    host: Host
    site: Mapping[str, Any]

    def order(self, do: str, **more: Any) -> Any:
        """Have one action of on_guests.py done; the tests cannot judge a host where it could not be."""
        bridge = self.site["bridge"]
        assert self.host.run("ip link show %s", bridge).rc == 0, f"aucun réseau des visiteurs ici ({bridge})"
        asked = json.dumps({"do": do, "site": dict(self.site), **more})
        script = f"{SCRIPT}\nair.main(json.loads({json.dumps(asked)}))\n".encode()
        done = self.host.run("python3 -I -", stdin=script, timeout=400)
        if done.rc:
            not_verified(f"essai impossible : {done.stderr.strip()[-200:]}")
        return json.loads(done.stdout)


@pytest.fixture
def way(host: Host, wifi: Wifi, site: Mapping[str, Any]) -> Way:
    """The guests' way out; whether it is there is for each test to see: a fixture cannot show a fault."""
    if not wifi.guests or not wifi.of("guests"):
        not_applicable("le site ne déclare pas de sortie des visiteurs (site_wifi.guests)")
    view = portal_view(wifi, wifi.guests, site["site_zones"])
    own = addresses_of(site)
    declared = [item["addresses"] for item in (site.get("site_equipment") or {}).values()]
    taken = {IPAddress(text) for text in (*own, *wifi.guests.addresses, *(text for all_ in declared for text in all_))}
    inner = next(
        zone for zone in site["site_zones"].values() if "guest" not in zone["use"] and IPNetwork(zone["cidr4"]).prefixlen
    )
    targets = [spare(IPNetwork(inner[key]), taken)[0] for key in ("cidr4", "cidr6") if inner.get(key)]
    guests = {f"guests{v}": spare(IPNetwork(view[f"network{v}"]), taken) if view[f"network{v}"] else [] for v in (4, 6)}
    known = {key: view[key] for key in ("bridge", "own4", "own6")}
    return Way(host, {**known, **guests, "targets": targets, "hosts": list(own), "ports": ADMIN})


def families(way: Way) -> list[str]:
    return ["IPv4", "IPv6"] if way.site["own6"] else ["IPv4"]


@pytest.mark.rule("guests-need-code")
@pytest.mark.acts
def test_no_code_no_way(way: Way, air: Any, host: Host, observe: Observe) -> None:
    """A guest without a code, then with a wrong one, tries TCP, UDP, names and echo, v4 and v6, while the other end listens."""
    found = way.order("visit", air=on_the_air(air, host))
    observe(f"sans code : {found.get('leaked')} ; mauvais code : {found.get('wrong')} ; bon code : {found.get('reached')}")
    if found["came"] != "connected":
        not_verified("l'appareil d'essai n'est pas entré sur le réseau des visiteurs : rien n'est prouvé")
    assert not found["leaked"], f"passent sans code : {', '.join(found['leaked'])}"
    assert set(found["named"]) == {way.site["own4"]}, f"des noms sont résolus sans code : {found['named']}"
    assert found["wrong"] == REFUSED and not found["after_wrong"], "un code inventé ouvre l'accès"
    assert found["status"] == OPEN and found["reached"] == families(way), f"un bon code n'ouvre pas l'accès : {found['reached']}"
    assert not found["cut"], f"un code révoqué laisse passer : {found['cut']}"


def on_the_air(air: Any, host: Host) -> Any:
    """Return how to enter the guests' network by a spare radio of this host; None without one."""
    if host.run("command -v iw").rc or not air.survey["free"] or not air.survey["tools"]:
        return None
    names = {network.ssid for network in air.wifi.of("guests")}
    found = [one for one in air.seen() if one.ssid in names]
    return air.attempt("guest", air.network(found[0].ssid), {}) if found else None


@pytest.mark.rule("guests-nothing-internal")
@pytest.mark.acts
def test_nothing_internal(way: Way, observe: Observe) -> None:
    """A guest with a code calls an address of an internal zone where something listens, this host, and another guest."""
    found = way.order("internal")
    mine = {f"{way.site[own]} port {port}" for own in ("own4", "own6") for port in DOORS}
    answers = sorted(set(found["answers"]) - mine)
    observe(f"{way.site['targets']} : {answers or 'rien'} ; paquets arrivés : {found['leaked'] or 'aucun'}")
    assert not answers, f"répondent à un visiteur : {', '.join(answers[:5])}"
    assert not found["leaked"], f"arrivent à l'intérieur : {', '.join(found['leaked'])}"
    if found["statuses"] != [OPEN, OPEN] or not found["reached"]:
        not_verified("le visiteur d'essai n'avait pas d'accès : son silence ne prouve rien")


@pytest.mark.rule("guests-accept-terms")
@pytest.mark.acts
def test_terms_accepted(way: Way, observe: Observe) -> None:
    """A good code is sent without the box of the terms, with another value in it, then with it; the acceptance is in the log."""
    found = way.order("terms")
    observe(f"sans : {found['without']}, autre valeur : {found['other']}, avec : {found['with']}")
    assert (found["without"], found["other"]) == (REFUSED, REFUSED), (
        "un code ouvre l'accès sans que les conditions soient acceptées"
    )
    assert not found["before"], "le visiteur passe avant d'avoir accepté les conditions"
    assert found["with"] == OPEN and found["reached"], "un visiteur qui accepte les conditions n'a pas d'accès"
    lines = lines_of(way.host, found["mac"], "opened", found["code"])
    assert lines and '"terms": ""' not in lines[0] and 'terms=""' not in lines[0], "l'acceptation ne laisse pas de trace"


def lines_of(host: Host, *words: str) -> list[str]:
    """Return the lines of the journal of the last minutes that hold all these words, waiting a little for them."""
    end, found = time.monotonic() + SOON, []
    while time.monotonic() < end and not found:
        text = host.run("journalctl -q --no-pager -o short-iso --since=-8min").stdout.lower()
        found = [line for line in text.splitlines() if all(word.lower() in line for word in words)]
    return found


@pytest.mark.rule("guests-session-ends")
@pytest.mark.acts
def test_session_ends(way: Way, observe: Observe) -> None:
    """Connections that talk all the time, v4 and v6, are watched across the end of a session of a few seconds."""
    for length in SESSIONS:
        found = way.order("ends", length=length)
        if found["early"] and all(found["held"]):
            break
    observe(f"page : {found['said']} ; pendant : {found['during']} ; après la fin : {found['after']}, nouvelles : {found['new']}")
    assert found["status"] == OPEN and found["said"], "la durée accordée n'est pas affichée"
    if not found["early"] or not all(found["held"]):
        not_verified("la session d'essai n'a pas laissé le temps d'ouvrir des connexions")
    assert len(found["during"]) == len(families(way)), "les connexions d'essai ne vivaient pas avant la fin"
    assert not found["after"], f"survivent à la fin de la session : {', '.join(found['after'])}"
    assert not found["new"], f"s'ouvrent après la fin de la session : {', '.join(found['new'])}"


@pytest.mark.rule("guests-codes-guarded")
@pytest.mark.acts
def test_codes(way: Way, observe: Observe) -> None:
    """Codes that are over, revoked, taken by another device, or tried at random; what this host keeps of a code is searched."""
    found = way.order("guarded")
    observe(", ".join(f"{name} : {found[name]}" for name in ("good", "taken", "over", "revoked", "guessing")))
    assert found["good"] == OPEN and found["reached"], "un bon code n'ouvre pas l'accès : aucun refus ne prouverait rien"
    for name, what in (("taken", "déjà pris"), ("over", "échu"), ("revoked", "révoqué"), ("guessing", "bon, après cinq erreurs")):
        assert found[name] == REFUSED, f"un code {what} ouvre l'accès"
    assert not found["cut"], "un code révoqué ne coupe pas sa session"
    assert not found["kept"] and found["logged"] == "0", f"un code se lit en clair : {found['kept'] or 'journal'}"


def as_logged(address: str) -> str:
    """Return an address as the kernel writes it in a trace."""
    return IPAddress(address).format(ipv6_verbose) if ":" in address else address


@pytest.mark.rule("guests-traced")
@pytest.mark.acts
def test_traces(
    way: Way, wifi: Wifi, context: HostContext, other: Callable[[str], Host], pgssi_plan: Any, observe: Observe
) -> None:
    """After one visit: who, device, addresses, times and recipients are in the log here, and on the log server."""
    found = way.order("traced")
    assert found["status"] == OPEN and found["reached"], "le visiteur d'essai n'a pas eu d'accès"
    opened = lines_of(way.host, found["mac"], "opened", found["code"])
    sent = {to: lines_of(way.host, "pgssi-guest ", f"dst={as_logged(to)} ", found["mac"]) for to in found["recipients"]}
    observe(f"session : {opened[0][:240] if opened else 'absente'} ; destinataires tracés : {[to for to in sent if sent[to]]}")
    assert opened, "l'ouverture d'une session ne laisse pas de ligne avec l'appareil et le code"
    absent = [word for word in ("who=", "address=", "agent=", "from=", "until=") if word not in opened[0]]
    assert not absent, f"la ligne de session ne dit pas : {', '.join(absent)}"
    untold = ", ".join(to for to in sent if not sent[to])
    assert not untold, f"destinataires sans trace qui nomme l'appareil : {untold}"
    for first in list(wifi.log_servers)[:1]:
        keeper = way.host if first == context.name else other(first)
        root = str(pgssi_plan.inventory.hosts[first].variables.get("wifi_traces") or DEFAULTS["wifi_traces"])
        end, paths = time.monotonic() + LATER, []
        while time.monotonic() < end and not paths:
            paths = keeper.run("grep -rlsF -e %s %s", found["mac"], root).stdout.split()
            time.sleep(0.5)
        assert paths, f"la session n'est pas arrivée sur {first} en {LATER:.0f} s"


@pytest.mark.rule("guests-informed")
def test_information(way: Way, observe: Observe) -> None:
    """The page is asked for by a guest that has no code, by each family, and searched for what the text wants said."""
    pages = way.order("informed")
    observe(" ; ".join(f"{status}, {len(text)} caractères" for status, text in pages))
    wanted = ("public", "pas sécurisé", "Conditions", "filtré", "traces", "droit d’accès", "not secured", "Terms of use")
    for status, text in pages:
        absent = [word for word in wanted if word not in text]
        assert status == OPEN and not absent, f"la page ne dit pas : {', '.join(absent)}"
