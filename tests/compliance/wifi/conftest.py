"""Shared by the tests of the Wi-Fi: the site's networks, throw-away certificates, and devices that ask RADIUS to let them in."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from testinfra.host import Host

from pgssi import authority
from pgssi.verify import not_applicable, not_verified
from pgssi.verify.plan import Plan
from pgssi.wifi.model import Radius, Wifi, WifiNetwork, load

AIR = Path(__file__).with_name("on_air.py").read_text("utf-8")
SCRIPT = Path(__file__).with_name("on_radius.py").read_text("utf-8")
EAPOL = "/usr/bin/eapol_test /usr/sbin/eapol_test"
ATTRIBUTE = re.compile(r"Attribute (\d+) \([^)]*\) length=\d+\n\s+Value: (.*)")


@pytest.fixture(scope="session")
def wifi(pgssi_plan: Plan) -> Wifi:
    """The Wi-Fi that the site declares."""
    inventory = pgssi_plan.inventory
    groups = {name: inventory.members(name) for name in ("wifi_access_points", "radius_servers", "log_servers")}
    found = load({name: host.variables for name, host in inventory.hosts.items()}, groups)
    return found or not_applicable("le site ne déclare aucun réseau Wi-Fi (site_wifi)")


def key_pair() -> tuple[str, str]:
    """Return the private and the public half of a throw-away key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@dataclass(frozen=True)
class Device:
    """A device that wants in. certificate: empty without one; trusts: the authority (PEM) that it demands, empty for any."""

    name: str
    key: str
    certificate: str
    trusts: str


class Devices:
    """Makes throw-away devices: of the site's authority, of another one, expired, revoked… Nothing of them lasts an hour."""

    def __init__(self, key: Path) -> None:
        """Take the private key of the Wi-Fi authority on the control node."""
        self.signer, own = key.read_bytes(), authority.certificate_path(key)
        self.trusted = own.read_text("ascii")
        with TemporaryDirectory() as folder:
            path = Path(folder, "other")
            authority.make(path, "Another authority")
            self.stranger, self.strange = path.read_bytes(), authority.certificate_path(path).read_text("ascii")

    def make(self, use: str = "professionals", *, other: bool = False, purpose: str = "client", **more: Any) -> Device:
        """Return a device; other: of an authority that nobody knows; more: serial, starts, ends of its certificate."""
        name = f"essai-{secrets.token_hex(4)}"
        private, public = key_pair()
        signer = (self.stranger, self.strange) if other else (self.signer, self.trusted)
        limits = {"ends": datetime.now(UTC) + timedelta(hours=1), **more}
        signed = authority.sign(public, authority.Subject(name, (purpose,), use), *signer, **limits)
        return Device(name, private, signed, self.trusted)

    def keys(self) -> tuple[str, str]:
        """Return the private and the public half of a throw-away key (PEM)."""
        return key_pair()

    def expired(self) -> Device:
        """Return a device whose certificate was good until yesterday."""
        now = datetime.now(UTC)
        return self.make(starts=now - timedelta(days=30), ends=now - timedelta(days=1))


@pytest.fixture(scope="session")
def devices(site: Mapping[str, Any]) -> Devices:
    """Throw-away devices, signed by the site's own authority."""
    key = Path(str(site.get("site_wifi_authority", ""))).expanduser()
    if not key.is_file() or b"PRIVATE KEY" not in key.read_bytes():
        not_verified("l'autorité du Wi-Fi n'est pas lisible sur ce poste : aucun certificat d'essai")
    return Devices(key)


@dataclass(frozen=True)
class Answer:
    """What RADIUS said to a device. offered: EAP methods that it agreed to begin; shown: its certificates (PEM)."""

    accepted: bool
    answered: bool
    text: str
    attributes: Mapping[int, str] = field(default_factory=dict)
    shown: str = ""

    def began(self, method: str) -> bool:
        """Return whether the server began this EAP method."""
        return f"accept proposed method (param={method})" in self.text

    @property
    def vlan(self) -> str:
        """Return the VLAN of the answer, empty when it has none."""
        raw = bytes.fromhex(self.attributes.get(81, "").strip())
        return raw.lstrip(bytes(range(32))).decode("ascii", "replace")  # RFC 2868: a tag may come first


@dataclass
class Server:
    """The RADIUS server of this host, asked from its loopback by eapol_test as an access point asks it."""

    host: Host
    radius: Radius
    network: WifiNetwork
    heard: bool = False

    def listens(self) -> None:
        """Fail when nothing answers RADIUS here; say so when the program that asks it is absent."""
        if self.heard:
            return
        ports = self.host.check_output("ss -Hlun | awk '{ print $4 }'")
        assert re.search(rf":{self.radius.port}\b", ports), f"rien n'écoute sur le port RADIUS {self.radius.port}"
        if not self.host.run(f"ls {EAPOL} 2>/dev/null").stdout.strip():
            not_verified("eapol_test est absent de cet hôte (paquet eapoltest) : rien n'a été essayé")
        self.heard = True

    def ask(self, device: Device | None = None, **more: str) -> Answer:
        """Ask to enter a network, once; see ``asks``."""
        return self.asks([(device, more)])[0]

    def asks(self, several: list[tuple[Device | None, Mapping[str, str]]]) -> list[Answer]:
        """Ask to enter, at once: (device, {ssid, method, mac, more}); more: further lines of the device's profile."""
        said = self.order("eapol", asked=[self._asked(device, **how) for device, how in several])
        return [self._answer(one) for one in said]

    def _asked(
        self, device: Device | None, *, ssid: str = "", method: str = "TLS", mac: str = "", more: str = ""
    ) -> dict[str, Any]:
        lines = [f"eap={method}", f'identity="{device.name if device else "essai"}"', more]
        files = {}
        if device:
            files = {"key": device.key, "crt": device.certificate, "ca": device.trusts}
            lines += ['private_key="%PLACE%.key"', 'client_cert="%PLACE%.crt"']
            lines += ['ca_cert="%PLACE%.ca"'] if device.trusts else []
        else:
            lines += ['password="essai-sans-valeur"']
        files["conf"] = "network={\n key_mgmt=WPA-EAP\n " + "\n ".join(filter(None, lines)) + "\n}\n"
        return {
            "files": files, "port": self.radius.port, "secret": self.radius.monitor_secret,
            "called": f"02-00-00-00-0A-01:{ssid or self.network.ssid}",
            "mac": mac or f"02:00:00:00:{secrets.token_hex(1)}:{secrets.token_hex(1)}",
        }  # fmt: skip

    @staticmethod
    def _answer(said: Mapping[str, str]) -> Answer:
        attributes = {int(number): value for number, value in ATTRIBUTE.findall(said["accept"])}
        codes = set(re.findall(r"RADIUS message: code=(\d+)", said["text"]))
        return Answer("2" in codes, bool(codes & {"2", "3", "11"}), said["text"], attributes, said["shown"])

    def order(self, do: str, **settings: Any) -> Any:
        """Have one action of on_radius.py done on the host; its secrets travel by standard input."""
        self.listens()
        asked = json.dumps({"do": do, **settings})
        done = self.host.run("python3 -I -", stdin=f"{SCRIPT}\nmain(json.loads({json.dumps(asked)}))\n".encode(), timeout=120)
        if done.rc:
            not_verified(f"essai impossible : {done.stderr.strip()[-200:]}")
        return json.loads(done.stdout)

    def lets_in(self, device: Device) -> Answer:
        """Show that a good device does enter: without that, a refusal would prove nothing."""
        answer = self.ask(device)
        assert answer.answered, "le serveur RADIUS ne répond pas au secret déclaré (monitor_secret)"
        assert answer.accepted, f"un bon certificat du site est refusé : {why(answer)}"
        return answer


def why(answer: Answer) -> str:
    """Return the last line of a device's talk that says something of a refusal."""
    lines = [line for line in answer.text.splitlines() if re.search(r"alert|fail|error|reject", line, re.IGNORECASE)]
    return lines[-1][:160] if lines else "sans motif"


@pytest.fixture
def server(host: Host, wifi: Wifi) -> Server:
    """The RADIUS server of this host; whether it listens is for each test to see: a fixture cannot show a fault."""
    if not wifi.enterprise:
        not_applicable("aucun réseau en 802.1X (security: enterprise)")
    assert wifi.radius, "site_wifi ne décrit pas le serveur RADIUS (radius)"
    return Server(host, wifi.radius, wifi.enterprise[0])


@pytest.fixture
def refuses(server: Server, observe: Callable[[str], None]) -> Callable[[Mapping[str, Device]], None]:
    """``refuses({"échu": device})``: these devices get an answer, and do not enter."""

    def check(devices: Mapping[str, Device]) -> None:
        answers = dict(zip(devices, server.asks([(device, {}) for device in devices.values()]), strict=True))
        for what, answer in answers.items():
            observe(f"{what} : {'accepté' if answer.accepted else 'refusé'} ({why(answer)})")
        for what, answer in answers.items():
            assert answer.answered, f"{what} : le serveur n'a pas répondu, rien n'est prouvé"
            assert not answer.accepted, f"entre dans le réseau : {what}"

    return check


@dataclass(frozen=True)
class Beacon:
    """What one network says of itself on the air. security: as the site declares it; pmf: required, offered or none."""

    bssid: str
    ssid: str
    security: str
    freq: int
    rsn: bool
    wpa1: bool
    wps: bool
    group: str
    pairwise: frozenset[str]
    akm: frozenset[str]
    pmf: str


def words_after(block: str, title: str) -> list[str]:
    found = re.search(rf"{title}: (.*)", block)
    return found[1].replace("IEEE 802.1X", "802.1X").split() if found else []


def read_scan(text: str, securities: Mapping[str, str]) -> list[Beacon]:
    """Return the networks of a scan by iw; securities: as declared, by name."""
    found = []
    for block in re.split(r"(?m)^BSS ", text)[1:]:
        named = re.search(r"(?m)^\tSSID: (.*)$", block)
        ssid = named[1].strip() if named else ""
        _, has_rsn, rsn = block.partition("\n\tRSN:")
        rsn = re.split(r"\n\t[A-Z]", rsn, maxsplit=1)[0] if has_rsn else ""
        freq = re.search(r"freq: (\d+)", block)
        pmf = "required" if "MFP-required" in rsn else "offered" if "MFP-capable" in rsn else "none"
        group = words_after(rsn, "Group cipher")
        found.append(
            Beacon(
                block[:17],
                ssid,
                securities.get(ssid, ""),
                int(freq[1]) if freq else 0,
                bool(has_rsn),
                "\n\tWPA:" in block,
                "\n\tWPS:" in block,
                group[0] if group else "",
                frozenset(words_after(rsn, "Pairwise ciphers")),
                frozenset(words_after(rsn, "Authentication suites")),
                pmf,
            )
        )
    return found


@dataclass
class Air:
    """The air around this host, by its own spare radios."""

    host: Host
    wifi: Wifi
    facts: Any

    def order(self, do: str, timeout: float = 200.0, **settings: Any) -> Any:
        """Have one action of on_air.py done on the host; its secrets travel by standard input."""
        asked = json.dumps({"do": do, **settings})
        script = f"{AIR}\nmain(json.loads({json.dumps(asked)}))\n".encode()
        done = self.host.run("python3 -I -", stdin=script, timeout=timeout)
        if done.rc:
            not_verified(f"essai impossible : {done.stderr.strip()[-200:]}")
        return json.loads(done.stdout)

    @property
    def survey(self) -> Mapping[str, Any]:
        """What this host serves and what is on the air, asked once until something changed the host."""
        asked = {"do": "survey", "names": sorted(network.ssid for network in self.wifi.networks.values())}
        text = f"{AIR}\nmain({asked!r})\n"
        said = self.facts("wifi-survey", f"command -v iw >/dev/null || exit 0; python3 -I - <<'FIN'\n{text}FIN", timeout=300)
        if not said.strip():
            not_verified("iw est absent de cet hôte : rien n'a été écouté")
        return dict(json.loads(said))

    def everywhere(self) -> list[Beacon]:
        """Return the networks on the air, whoever serves them."""
        if not self.survey["free"]:
            not_verified("aucune radio libre sur cet hôte : rien n'a été écouté")
        return read_scan(self.survey["scan"], {network.ssid: network.security for network in self.wifi.networks.values()})

    def seen(self) -> list[Beacon]:
        """Return the networks on the air that this host serves."""
        mine = {one["addr"].lower() for one in self.survey["served"]}
        return [one for one in self.everywhere() if one.bssid.lower() in mine]

    def network(self, ssid: str) -> WifiNetwork:
        """Return a declared network by its name on the air."""
        return next(one for one in self.wifi.networks.values() if one.ssid == ssid)

    def attempt(self, name: str, network: WifiNetwork, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return one attempt for on_air.py; given: device, psk, pmf or open of it, stranger."""
        device, files = given.get("device"), {}
        beacon = next(one for one in self.seen() if one.ssid == network.ssid)
        lines = [f'ssid="{network.ssid}"', f"ieee80211w={given.get('pmf', 1)}"]
        if device:
            files = {f"{name}.key": device.key, f"{name}.crt": device.certificate, f"{name}.ca": device.trusts}
            lines += ["key_mgmt=WPA-EAP WPA-EAP-SHA256", "eap=TLS", f'identity="{device.name}"', f'ca_cert="@{name}.ca"']
            lines += [f'client_cert="@{name}.crt"', f'private_key="@{name}.key"']
            lines += [f'domain_suffix_match="{self.wifi.radius.name}"'] if self.wifi.radius else []
        elif given.get("open"):
            lines += ["key_mgmt=NONE"]
        elif network.security == "open":
            lines += ["key_mgmt=OWE" if "OWE" in beacon.akm else "key_mgmt=NONE"]
        else:
            lines += ["key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE", f'psk="{given.get("psk") or network.passphrase}"']
        patience = {"seconds": 90 if device else 60, "patient": not given.get("stranger")}  # on a busy machine
        return {"block": "\n".join(lines), "files": files, "freq": beacon.freq, **patience}

    def ready(self, radios: int = 1) -> None:
        """Say so when there is nothing to try with."""
        if self.survey["free"] < radios or not self.survey["tools"]:
            not_verified(f"il faut {radios} radio libre et wpa_supplicant sur cet hôte : rien n'a été essayé")

    def enter(self, **attempts: tuple[WifiNetwork, Mapping[str, Any]]) -> dict[str, str]:
        """Try to enter, one attempt after the other; return connected, refused or ignored, by name."""
        self.ready()
        names = {name: f"a{number}" for number, name in enumerate(attempts)}
        asked = {names[name]: self.attempt(names[name], *one) for name, one in attempts.items()}
        said = self.order("enter", attempts=asked, timeout=60.0 * len(asked) + 60)
        return {name: said[short]["came"] for name, short in names.items()}

    def reach(self, entered: list[tuple[WifiNetwork, Mapping[str, Any]]], targets: list[str], ports: tuple[int, ...]) -> Any:
        """Enter networks of this host, as many at once as there are radios, then call these addresses from each."""
        self.ready()
        bridges = {one["ssid"]: one["bridge"] for one in self.survey["served"]}
        attempts = {
            network.ssid: {"attempt": self.attempt(f"reach{number}", network, given), "bridge": bridges[network.ssid]}
            for number, (network, given) in enumerate(entered)
        }
        names, found, at_once = list(attempts), {}, max(1, self.survey["free"] - 1)  # one is left to the host's own watch
        for start in range(0, len(names), at_once):
            some = {name: attempts[name] for name in names[start : start + at_once]}
            found |= self.order("reach", attempts=some, targets=targets, ports=ports)
        return found

    def apart(self, attempt: tuple[WifiNetwork, Mapping[str, Any]]) -> Any:
        """Enter with two radios, which call each other."""
        self.ready(2)
        bridge = next(one["bridge"] for one in self.survey["served"] if one["ssid"] == attempt[0].ssid)
        return self.order("apart", attempt=self.attempt("one", *attempt), bridge=bridge, timeout=400.0)


@pytest.fixture
def air(host: Host, wifi: Wifi, facts: Any) -> Air:
    """The air around this host."""
    return Air(host, wifi, facts)


@pytest.fixture
def beacons(air: Air) -> Callable[..., list[Beacon]]:
    """``beacons("enterprise")``: what this access point says on the air of its networks of these securities (all without)."""

    def find(*securities: str, needed: bool = True) -> list[Beacon]:
        found = air.seen()
        if not found:
            served = ", ".join(one["ssid"] for one in air.survey["served"]) or "aucun réseau"
            not_verified(f"cette borne sert {served} : rien n'a été entendu")
        kept = [one for one in found if not securities or one.security in securities]
        if needed and not kept:
            not_applicable(f"aucun réseau de ce type sur cette borne : {', '.join(securities)}")
        return kept

    return find
