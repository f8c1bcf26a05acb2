"""RADIUS: whom it lets in, what it shows, whom it answers, what it leaves in the log (PSSI 4.4.1.8, .12, .13; 4.4.2.4)."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from testinfra.host import Host

from pgssi.authority import TRIAL_SERIAL
from pgssi.inforce import HostContext
from pgssi.interfaces import addresses_of
from pgssi.paths import ROLES
from pgssi.wifi.model import Wifi

Observe = Callable[[str], None]
DEFAULTS = yaml.safe_load((ROLES / "wifi" / "defaults" / "main.yml").read_text("utf-8"))
DAYS_LEFT = 30
NEVER = "GTC", "LEAP", "MD5", "PWD", "TTLS"
OLD_TLS = "tls_disable_tlsv1_0=0 tls_disable_tlsv1_1=0 tls_disable_tlsv1_2=1 tls_disable_tlsv1_3=1"
SOON, LATER = 10.0, 30.0  # seconds for a trace to be in the log here, and on the log server
CALLED = "02-00-00-00-0A-01"


@pytest.mark.rule("radius-refuses-strangers")
def test_only_our_certificates_enter(server: Any, devices: Any, refuses: Any, observe: Observe) -> None:
    """By eapol_test, a certificate made for the test enters; others of another authority, expired, or of a server do not."""
    server.lets_in(devices.make())
    observe("bon certificat : accepté")
    others = {
        "d'une autre autorité": devices.make(other=True),
        "échu": devices.expired(),
        "de serveur": devices.make(purpose="server"),
    }
    refuses({f"certificat {what}": device for what, device in others.items()})


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the host names that a certificate is for."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return []


@pytest.mark.rule("radius-server-certificate")
def test_certificate_that_is_shown(server: Any, devices: Any, observe: Observe) -> None:
    """A device that trusts anybody reads the certificate; those that demand another authority or name break off."""
    good = devices.make()
    naive, wary = (type(good)(good.name, good.key, good.certificate, trusts) for trusts in ("", devices.strange))
    misnamed = good, {"more": 'domain_suffix_match="autre.invalid"'}
    seen, entered, stranger, other = server.asks([(naive, {}), (good, {}), (wary, {}), misnamed])
    assert seen.answered, "le serveur RADIUS ne répond pas au secret déclaré (monitor_secret)"
    assert "BEGIN CERTIFICATE" in seen.shown, "le serveur n'a montré aucun certificat"
    chain = x509.load_pem_x509_certificates(seen.shown.encode())
    shown = next((one for one in chain if names_of(one)), chain[0])
    try:
        shown.verify_directly_issued_by(x509.load_pem_x509_certificate(devices.trusted.encode()))
        ours = True
    except (ValueError, InvalidSignature):
        ours = False
    names = names_of(shown)
    left = (shown.not_valid_after_utc - datetime.now(UTC)).days
    observe(f"{', '.join(names)}, encore {left} jours, {'autorité du site' if ours else 'autre autorité'}")
    assert ours, "le certificat présenté ne vient pas de l'autorité du site"
    assert server.radius.name in names, f"le certificat ne porte pas le nom déclaré {server.radius.name}"
    assert left >= DAYS_LEFT, f"le certificat du serveur n'est plus valable que {left} jours"
    assert entered.accepted, "un appareil qui exige l'autorité du site n'entre pas : aucun refus ne prouverait rien"
    assert not stranger.accepted, "un appareil qui exige une autre autorité entre quand même : il ne vérifie rien"
    assert not other.accepted, "le nom du serveur n'est pas vérifié"


@pytest.mark.rule("radius-weak-methods-refused")
def test_weak_methods(server: Any, devices: Any, observe: Observe) -> None:
    """A device asks for each weak method instead of EAP-TLS, then for EAP-TLS by an old TLS, with a good certificate."""
    good = devices.make()
    server.lets_in(good)
    old_tls = (good, {"more": f'phase1="{OLD_TLS}"\n openssl_ciphers="DEFAULT@SECLEVEL=0"'})
    *weak, old = server.asks([*((None, {"method": method}) for method in NEVER), old_tls])
    begun = [method for method, answer in zip(NEVER, weak, strict=True) if answer.began(method) or answer.accepted]
    observe(f"commencées : {', '.join(begun) or 'aucune'} ; TLS 1.1 : {'accepté' if old.accepted else 'refusé'}")
    assert not begun, f"méthodes acceptées : {', '.join(begun)}"
    assert not old.accepted, "TLS 1.1 est accepté"
    assert old.began("TLS"), "l'appareil d'essai n'a pas pu demander une ancienne version de TLS : rien n'est prouvé"


@pytest.mark.rule("radius-known-access-points")
def test_only_declared_access_points_are_answered(server: Any, wifi: Wifi, site: Mapping[str, Any], observe: Observe) -> None:
    """Requests without the secret, without Message-Authenticator, or from this host's other addresses, stay without answer."""
    declared = {address for point in wifi.access_points.values() for address in point.addresses if point.secret}
    sources = [address for address in addresses_of(site) if address not in declared]
    asked = {"port": server.radius.port, "secret": server.radius.monitor_secret, "called": f"{CALLED}:{server.network.ssid}"}
    codes = server.order("strangers", **asked, sources=sources)
    controls = {what: codes.pop(what) for what in list(codes) if re.match(r"secret déclaré, (127|::)", what)}
    answered = [what for what, code in codes.items() if code]
    observe(f"{len(codes)} demandes étrangères, {len(answered)} réponses ; {len(controls)} demandes légitimes")
    if not any("depuis" in what and ":" in what for what in codes):
        observe("IPv6 : cet hôte n'a pas d'autre adresse d'où demander")
    assert not answered, f"réponses données à : {', '.join(answered[:4])}"
    assert any(controls.values()), "le serveur ne répond pas au secret déclaré (monitor_secret)"


@pytest.mark.rule("radius-network-by-use")
def test_each_use_has_its_network(server: Any, devices: Any, wifi: Wifi, observe: Observe) -> None:
    """For each 802.1X network, a device of its use gets its VLAN, one of another use and an unknown network are refused."""
    uses = ("professionals", "technical")
    for network in wifi.enterprise:
        all_uses = (network.use, next(use for use in uses if use != network.use))
        answer, other = server.asks([(devices.make(use), {"ssid": network.ssid}) for use in all_uses])
        observe(f"{network.ssid} : VLAN {answer.vlan or '-'} ; autre usage {'accepté' if other.accepted else 'refusé'}")
        assert answer.accepted, f"{network.ssid} : un appareil de cet usage est refusé"
        wanted = str(network.vlan or "")
        assert answer.vlan == wanted, f"{network.ssid} : VLAN {answer.vlan or 'absent'} au lieu de {wanted or 'aucun'}"
        assert not other.accepted, f"{network.ssid} : un appareil d'un autre usage entre"
    assert not server.ask(devices.make(), ssid="Inconnu-Essai").accepted, "un réseau non déclaré est ouvert"


def lines_with(host: Host, words: tuple[str, ...], seconds: float, wanted: int = 1) -> list[str]:
    """Return the lines of the journal of the last minutes that hold all these words, once there are enough of them."""
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end and len(found) < wanted:
        text = host.run("journalctl -q --no-pager -o cat --since=-3min").stdout
        found = [line for line in text.splitlines() if all(word.lower() in line.lower() for word in words)]
        time.sleep(0.3)
    return found


@pytest.mark.rule("radius-attempts-traced")
def test_attempts_are_in_the_log(server: Any, devices: Any, host: Host, observe: Observe) -> None:
    """A device that enters and one that is refused are looked for in the journal by their throw-away names."""
    good, bad = devices.make(), devices.make(other=True)
    macs = [f"02:00:00:0c:{secrets.token_hex(1)}:{secrets.token_hex(1)}" for _ in range(2)]
    server.asks([(good, {"mac": macs[0]}), (bad, {"mac": macs[1]})])
    seen = {}
    for device, mac, word in ((good, macs[0], "accepted"), (bad, macs[1], "refused")):
        wanted = (mac.replace(":", "-"), device.name, server.network.ssid, word)
        seen[word] = lines_with(host, wanted, SOON)
    observe(" ; ".join(f"{word} : {lines[0][:200] if lines else 'absent'}" for word, lines in seen.items()))
    assert seen["accepted"], "une connexion acceptée ne laisse pas de ligne avec identité, appareil et réseau"
    assert seen["refused"], "une connexion refusée ne laisse pas de ligne avec identité, appareil et réseau"
    assert re.search(r'reason="[^"]{3,}', seen["refused"][0]), "la ligne du refus n'a pas de motif"
    assert all(re.search(r"point=\S+ address=\S+", lines[0]) for lines in seen.values()), "la borne n'est pas nommée"


@pytest.mark.rule("radius-sessions-traced")
def test_sessions_are_in_the_log(server: Any, host: Host, observe: Observe) -> None:
    """Accounting of a throw-away session is sent: its start and its end are in the journal with length and volumes."""
    number, mac = secrets.token_hex(6), f"02-00-00-0D-{secrets.token_hex(1)}-{secrets.token_hex(1)}".upper()
    told = {"identity": f"essai-{number}", "called": f"{CALLED}:{server.network.ssid}", "mac": mac, "number": number}
    codes = server.order("session", port=server.radius.accounting_port, secret=server.radius.monitor_secret, **told)
    assert codes == [5, 5], "le serveur n'accuse pas réception des sessions (comptabilité RADIUS)"
    start, end = (lines_with(host, (number, told["identity"], mac, word), SOON) for word in ("=Start", "=Stop"))
    observe(f"début : {bool(start)} ; fin : {end[0][:200] if end else 'absente'}")
    assert start, "le début d'une session n'est pas tracé"
    assert end, "la fin d'une session n'est pas tracée"
    absent = [
        word for word in ("4321", "123456", "654321", "192.0.2.77", "User-Request", server.network.ssid) if word not in end[0]
    ]
    assert not absent, f"la ligne de fin ne dit pas : {', '.join(absent)}"


@pytest.mark.rule("wifi-traces-on-log-server")
def test_attempt_on_the_log_server(
    server: Any, devices: Any, host: Host, context: HostContext, other: Callable[[str], Host], pgssi_plan: Any, observe: Observe
) -> None:
    """A refused throw-away device is looked for on the log server, in a file that an ordinary account cannot read."""
    bad, names = devices.make(other=True), pgssi_plan.inventory.members("log_servers")
    assert names, "le site n'a pas de serveur de journaux (groupe log_servers)"
    first = context.name if context.name in names else names[0]
    keeper = host if first == context.name else other(first)
    root = str(pgssi_plan.inventory.hosts[first].variables.get("wifi_traces") or DEFAULTS["wifi_traces"])
    server.ask(bad)
    end, paths = time.monotonic() + LATER, []
    while time.monotonic() < end and not paths:
        paths = keeper.run("grep -rlsF -e %s %s", bad.name, root).stdout.split()
        time.sleep(0.5)
    observe(f"sur {first} : {', '.join(paths) or 'rien'}")
    assert paths, f"la tentative n'est pas arrivée sur {first} en {LATER:.0f} s"
    read = keeper.run("runuser -u nobody -- cat %s", paths[0])
    assert read.rc != 0, f"{paths[0]} se lit avec un compte ordinaire"


def begins_peap(server: Any, devices: Any, observe: Observe) -> bool:
    """Return whether the server begins PEAP with a device that asks for it."""
    server.lets_in(devices.make())
    answer = server.ask(method="PEAP", more='phase2="auth=MSCHAPV2"')
    observe(f"PEAP : {'commencé' if answer.began('PEAP') else 'refusé'}")
    assert answer.answered, "le serveur n'a pas répondu à une demande PEAP : rien n'est prouvé"
    return bool(answer.began("PEAP") or answer.accepted)


@pytest.mark.rule("radius-no-peap")
def test_no_password_today(server: Any, devices: Any, observe: Observe) -> None:
    """A device answers the server's first EAP request by asking for PEAP."""
    assert not begins_peap(server, devices, observe), "le serveur accepte PEAP"


@pytest.mark.rule("radius-eap-tls-only")
def test_eap_tls_only(server: Any, devices: Any, observe: Observe) -> None:
    """A device answers the server's first EAP request by asking for PEAP instead of EAP-TLS."""
    assert not begins_peap(server, devices, observe), "le serveur accepte PEAP"


@pytest.mark.rule("radius-revoked-refused")
def test_revoked_device(server: Any, devices: Any, refuses: Any) -> None:
    """A device of the site's authority bears the trial number that every list of revocations holds."""
    server.lets_in(devices.make())
    refuses({"certificat révoqué": devices.make(serial=TRIAL_SERIAL)})
