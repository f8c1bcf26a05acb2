"""The Wi-Fi of a site as its model declares it, and what one host has to know of it (PSSI 4.4).

Pure: check, role and tests all ask this module. Input is the resolved variables of every host (``site_wifi``,
``site_zones``, ``site_equipment``, ``site_interfaces``) and the inventory groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pgssi.habilitations import as_date as read_date
from pgssi.interfaces import addresses_of
from pgssi.wifi.portal import bridge, portal_view

Vars = Mapping[str, Any]
PORT, ACCOUNTING_PORT, TRACES_PORT = 1812, 1813, 6515
ALERT_SIGNAL = -75  # dBm; a stranger weaker than that is the neighbour's
PORTALS = "guest_portals"
SESSION_HOURS, CODE_DAYS = 12, 7  # longest session of a guest, longest life of a code; a site may choose less or more
RENEWAL_DAYS = 365  # the text says "regularly", without a figure; a site may choose less
USES = ("professionals", "technical", "guests")


@dataclass(frozen=True)
class WifiNetwork:
    """One SSID. use: professionals, technical or guests; security: enterprise, personal or open; vlan: 0 when untagged."""

    name: str
    ssid: str
    use: str
    security: str
    zone: str
    vlan: int
    passphrase: str = ""
    passphrase_changed: date | None = None


@dataclass(frozen=True)
class Radio:
    """One radio of an access point that we manage: its interface, its channel, the names of its networks."""

    interface: str
    channel: int
    networks: tuple[str, ...]


@dataclass(frozen=True)
class AccessPoint:
    """An access point or a controller. managed: it is a host of group wifi_access_points, with our hostapd."""

    name: str
    managed: bool
    addresses: tuple[str, ...]
    secret: str
    uplink: str
    radios: tuple[Radio, ...]
    bssids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Radius:
    """What RADIUS servers share. name: in their certificate; peap_users: (login, password), empty without PEAP."""

    name: str
    monitor_secret: str
    port: int
    accounting_port: int
    peap_users: tuple[tuple[str, str], ...]
    revoked: tuple[tuple[int, date], ...]


@dataclass(frozen=True)
class Guests:
    """The guests' way out. addresses: of the portal on their network (v4, v6); leases: first and last that it gives, or none.

    uplink: interface that brings their VLAN from access points elsewhere; resolvers: of names, outside or made for guests.
    """

    addresses: tuple[str, ...]
    leases: tuple[str, ...]
    uplink: str
    resolvers: tuple[str, ...]
    contact: str
    terms: tuple[str, ...]
    session_hours: int
    code_days: int


@dataclass(frozen=True)
class Wifi:
    """The Wi-Fi of one site. servers: addresses of the RADIUS servers by name; log_servers likewise.

    known: owner of each access point of others that is known, by BSSID; alert_signal: from how strong (dBm) a stranger counts.
    """

    networks: Mapping[str, WifiNetwork]
    access_points: Mapping[str, AccessPoint]
    radius: Radius | None
    servers: Mapping[str, tuple[str, ...]]
    log_servers: Mapping[str, tuple[str, ...]]
    country: str
    renewal_days: int
    known: Mapping[str, str]
    alert_signal: int
    guests: Guests | None = None
    portals: tuple[str, ...] = ()

    def of(self, use: str) -> tuple[WifiNetwork, ...]:
        """Return the networks of a use."""
        return tuple(network for network in self.networks.values() if network.use == use)

    @property
    def senders(self) -> list[str]:
        """Return the hosts whose traces go to the log server: RADIUS servers, portals, access points that we manage."""
        return sorted({*wifi_managed(self.access_points), *self.servers, *self.portals})

    @property
    def enterprise(self) -> tuple[WifiNetwork, ...]:
        """Return the networks that devices enter by 802.1X."""
        return tuple(network for network in self.networks.values() if network.security == "enterprise")


def wifi_managed(points: Mapping[str, AccessPoint]) -> list[str]:
    """Return the access points that are hosts of ours."""
    return [point.name for point in points.values() if point.managed]


def load(hostvars: Mapping[str, Vars], groups: Mapping[str, Sequence[str]]) -> Wifi | None:
    """Return the Wi-Fi of the site, or None when it declares none."""
    first: Vars = next(iter(hostvars.values()), {})
    raw = first.get("site_wifi")
    if not raw:
        return None
    zones = first.get("site_zones") or {}
    equipment = first.get("site_equipment") or {}
    places = {str(name): addresses_of(variables) for name, variables in hostvars.items()}
    managed = set(groups.get("wifi_access_points") or ())
    networks = {str(name): _network(str(name), item, zones) for name, item in raw["networks"].items()}
    points = {
        str(name): AccessPoint(
            str(name),
            str(name) in managed,
            places.get(str(name)) or tuple(map(str, (equipment.get(name) or {}).get("addresses", ()))),
            str(item.get("secret") or ""),
            str(item.get("uplink") or ""),
            tuple(
                Radio(str(key), int(one["channel"]), tuple(one["networks"])) for key, one in (item.get("radios") or {}).items()
            ),
            tuple(str(bssid).lower() for bssid in item.get("bssids") or ()),
        )
        for name, item in (raw.get("access_points") or {}).items()
    }
    return Wifi(
        networks,
        points,
        _radius(raw["radius"]) if raw.get("radius") else None,
        {name: places.get(name, ()) for name in sorted(groups.get("radius_servers") or ())},
        {name: places.get(name, ()) for name in sorted(groups.get("log_servers") or ())},
        str(raw.get("country", "FR")),
        int(raw.get("passphrase_renewal_days", RENEWAL_DAYS)),
        {str(one["bssid"]).lower(): str(one["owner"]) for one in raw.get("known_access_points") or ()},
        int(raw.get("alert_signal", ALERT_SIGNAL)),
        _guests(raw["guests"]) if raw.get("guests") else None,
        tuple(sorted(groups.get(PORTALS) or ())) if raw.get("guests") else (),
    )


def _network(name: str, raw: Vars, zones: Vars) -> WifiNetwork:
    return WifiNetwork(
        name,
        str(raw["ssid"]),
        raw["use"],
        raw["security"],
        raw["zone"],
        int((zones.get(raw["zone"]) or {}).get("vlan") or 0),
        str(raw.get("passphrase") or ""),
        read_date(raw.get("passphrase_changed")),
    )


def _radius(raw: Vars) -> Radius:
    return Radius(
        str(raw["name"]),
        str(raw["monitor_secret"]),
        int(raw.get("port", PORT)),
        int(raw.get("accounting_port", ACCOUNTING_PORT)),
        tuple((one["login"], str(one["password"])) for one in raw.get("peap_users") or ()),
        tuple((int(str(one["serial"]), 16), read_date(one["date"]) or date.max) for one in raw.get("revoked") or ()),
    )


def _guests(raw: Vars) -> Guests:
    lists = {key: tuple(map(str, raw.get(key) or ())) for key in ("addresses", "leases", "resolvers", "terms")}
    hours, days = int(raw.get("session_hours", SESSION_HOURS)), int(raw.get("code_days", CODE_DAYS))
    return Guests(uplink=str(raw.get("uplink") or ""), contact=str(raw["contact"]), session_hours=hours, code_days=days, **lists)


def functions(wifi: Wifi | None, name: str, member: Sequence[str]) -> list[str]:
    """Return what a host is here: radius, access_point, sensor, client, portal, log_server; most hosts are nothing."""
    if wifi is None:
        return []
    point = wifi.access_points.get(name)
    found = {
        "radius": "radius_servers" in member and wifi.radius is not None,
        "access_point": point is not None and point.managed and bool(point.radios),
        "sensor": bool({"wifi_access_points", "wifi_sensors"} & set(member)),
        "client": "wifi_clients" in member and bool(wifi.enterprise) and wifi.radius is not None,
        "portal": PORTALS in member and wifi.guests is not None and bool(wifi.of("guests")),
        "log_server": "log_servers" in member and bool(wifi.senders),
    }
    return [function for function, true in found.items() if true]


def host_view(wifi: Wifi | None, name: str, member: Sequence[str], zones: Vars | None = None) -> dict[str, Any]:
    """Return what the templates of the role need on one host, as plain values."""
    mine = functions(wifi, name, member)
    view: dict[str, Any] = {"functions": mine}
    if wifi is None:
        return view
    view |= {
        "log_servers": [{"name": server, "address": address} for server, all_ in wifi.log_servers.items() for address in all_],
        "senders": wifi.senders,
        "networks": [
            {"name": one.name, "ssid": one.ssid, "use": one.use, "security": one.security, "vlan": one.vlan}
            for one in wifi.networks.values()
        ],
    }
    if wifi.radius and "radius" in mine:
        view["radius"] = {
            "name": wifi.radius.name,
            "port": wifi.radius.port,
            "accounting_port": wifi.radius.accounting_port,
            "peap": bool(wifi.radius.peap_users),
            "revoked": [[serial, day.isoformat()] for serial, day in wifi.radius.revoked],
            "clients": [
                {"name": point.name, "address": address}
                for point in wifi.access_points.values()
                if point.secret
                for address in point.addresses
            ],
        }
    if "sensor" in mine:
        view["watch"] = {
            "ssids": [one.ssid for one in wifi.networks.values()],
            "ours": sorted({bssid for point in wifi.access_points.values() for bssid in point.bssids}),
            "known": dict(wifi.known),
            "signal": wifi.alert_signal,
        }
    if "access_point" in mine:
        view["access_point"] = _point_view(wifi, wifi.access_points[name])
    if wifi.radius and "client" in mine:
        first = wifi.enterprise[0]
        view["client"] = {"ssid": first.ssid, "use": first.use, "server": wifi.radius.name}
    if wifi.guests and "portal" in mine:
        view["portal"] = portal_view(wifi, wifi.guests, zones) | {
            "gateway": "gateways" in member,
            "silent": [bridge(one) for one in wifi.networks.values() if one.use != "guests"],
        }
    return view


def _point_view(wifi: Wifi, point: AccessPoint) -> dict[str, Any]:
    """Return what an access point serves: its radios, each with the networks in order, and the RADIUS servers that it asks."""
    servers = [address for all_ in wifi.servers.values() for address in all_]
    local = set(point.addresses) & set(servers)
    return {
        "country": wifi.country,
        "uplink": point.uplink,
        "vlans": sorted({wifi.networks[name].vlan for radio in point.radios for name in radio.networks}),
        # Its own server first when it is one, at the address by which RADIUS knows it.
        "servers": sorted(servers, key=lambda address: address not in local),
        "ports": [wifi.radius.port, wifi.radius.accounting_port] if wifi.radius else [],
        "portal": point.name in wifi.portals,
        "radios": [
            {
                "interface": radio.interface,
                "channel": radio.channel,
                "networks": [
                    {
                        "name": one.name,
                        "ssid": one.ssid,
                        "use": one.use,
                        "security": one.security,
                        "bridge": bridge(one),
                    }
                    for one in (wifi.networks[name] for name in radio.networks)
                ],
            }
            for radio in point.radios
        ],
    }


def secrets_of(wifi: Wifi | None) -> dict[str, Any]:
    """Return the secrets of a Wi-Fi, apart from the rest: by access point, by network, accounts of PEAP."""
    if wifi is None:
        return {}
    points = {point.name: point.secret for point in wifi.access_points.values() if point.secret}
    passphrases = {network.name: network.passphrase for network in wifi.networks.values() if network.passphrase}
    found: dict[str, Any] = {"points": points, "passphrases": passphrases}
    if wifi.radius:
        found |= {"monitor": wifi.radius.monitor_secret, "peap_users": list(map(list, wifi.radius.peap_users))}
    return found
