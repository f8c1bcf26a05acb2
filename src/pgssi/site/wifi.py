"""Checks of the Wi-Fi: names that say nothing, passphrases that hold, zones by use, access points and RADIUS that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from pgssi.site.guests import check_guests
from pgssi.site.model import Finding, Path, Site, dotted, nearest
from pgssi.wifi.model import RENEWAL_DAYS
from pgssi.wifi.naming import site_words, tells, weakness

TOP = "site_wifi"


def check_wifi(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with site_wifi."""
    raw = site.sound(TOP)
    if not raw:
        return
    yield from _networks(site, raw)
    yield from _zones(site, raw)
    yield from _access_points(site, raw)
    yield from _enterprise(site, raw)
    yield from check_guests(site, raw)


def _unknown(path: Path, name: str, known: list[str], where: str) -> Finding:
    details = {"where": where, "nearest": nearest(name, known), "known": ", ".join(known[:30]) or "-"}
    return Finding("unknown_reference", path, name, details)


def _networks(site: Site, raw: Mapping[str, Any]) -> Iterator[Finding]:
    words, guidance = site_words(site.values), site.sound("site_guidance") or "pssi"
    ssids: dict[str, Path] = {}
    for name, network in raw["networks"].items():
        path: Path = (TOP, "networks", name)
        word = tells(network["ssid"], words)
        if word:
            yield Finding("wifi_ssid_tells", (*path, "ssid"), network["ssid"], {"word": word})
        if network["ssid"] in ssids:
            yield Finding("wifi_ssid_twice", (*path, "ssid"), network["ssid"], {"other": dotted(ssids[network["ssid"]])})
        ssids.setdefault(network["ssid"], path)
        if network["security"] == "open" and network["use"] != "guests":
            yield Finding("wifi_open", (*path, "security"), "open")
        if network["security"] == "enterprise" and network["use"] == "guests":
            yield Finding("wifi_guests_enterprise", (*path, "security"), "enterprise")
        if network["security"] == "personal":
            yield from _passphrase(site, path, network, (words, guidance, int(raw.get("passphrase_renewal_days", RENEWAL_DAYS))))
        elif network.get("passphrase"):
            yield Finding("wifi_passphrase_unused", (*path, "passphrase"), "")


def _passphrase(site: Site, path: Path, network: Mapping[str, Any], asked: tuple[list[str], str, int]) -> Iterator[Finding]:
    words, guidance, renewal = asked
    if int(site.values.get("site_palier") or 0) >= 2 and network["use"] == "professionals":
        yield Finding("wifi_personal", (*path, "security"), "personal", warning=True)
    for key in ("passphrase", "passphrase_changed"):
        if not network.get(key):
            yield Finding("missing_key", (*path, key), "")
    code, detail = weakness(network["passphrase"], network["ssid"], words, guidance) if network.get("passphrase") else ("", "")
    if code:
        yield Finding(f"wifi_passphrase_{code}", (*path, "passphrase"), "", {"detail": detail})
    changed = date.fromisoformat(network["passphrase_changed"]) if network.get("passphrase_changed") else site.today
    if changed > site.today:
        yield Finding("date_in_future", (*path, "passphrase_changed"), changed.isoformat())
    if changed + timedelta(days=renewal) < site.today:
        details = {"days": (site.today - changed).days, "limit": renewal}
        yield Finding("wifi_passphrase_old", (*path, "passphrase_changed"), changed.isoformat(), details, warning=True)


def _zones(site: Site, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the networks whose zone does not exist, is not for their use, or serves another use too."""
    zones = {path[1]: zone for path, zone in site.entries("site_zones")}
    known = site.names("site_zones")
    users: dict[str, tuple[str, str]] = {}
    for name, network in raw["networks"].items():
        zone, path = network["zone"], (TOP, "networks", name, "zone")
        if zone not in known:
            yield _unknown(path, zone, known, "site_zones")
            continue
        uses = set((zones.get(zone) or {}).get("use", ()))
        if zone in zones and network["use"] == "guests" and uses != {"guest"}:
            yield Finding("wifi_guest_zone", path, zone, {"use": ", ".join(sorted(uses)) or "-"})
        if network["use"] != "guests" and "guest" in uses:
            yield Finding("wifi_not_guest_zone", path, zone, {"use": network["use"]})
        other, use = users.setdefault(zone, (name, network["use"]))
        if use != network["use"]:
            yield Finding("wifi_zone_shared", path, zone, {"other": other})


def _access_points(site: Site, raw: Mapping[str, Any]) -> Iterator[Finding]:
    known = [*site.hosts, *site.names("site_equipment")]
    points = raw.get("access_points") or {}
    secrets: dict[str, str] = {}
    if (raw.get("radius") or {}).get("monitor_secret"):
        secrets[raw["radius"]["monitor_secret"]] = "radius.monitor_secret"
    for name, point in points.items():
        path: Path = (TOP, "access_points", name)
        if name not in known:
            details = {
                "where": "hosts.yml, site_equipment",
                "nearest": nearest(name, known),
                "known": ", ".join(known[:30]) or "-",
            }
            yield Finding("unknown_reference", path, name, details)
        secret = point.get("secret")
        if secret in secrets:
            yield Finding("wifi_secret_shared", (*path, "secret"), "", {"other": secrets[secret]})
        if secret:
            secrets.setdefault(secret, name)
        for radio, one in (point.get("radios") or {}).items():
            for index, network in enumerate(one["networks"]):
                if network not in raw["networks"]:
                    yield _unknown((*path, "radios", radio, "networks", index), network, list(raw["networks"]), f"{TOP}.networks")
    managed = [host.name for host in site.hosts.values() if "wifi_access_points" in host.groups]
    for name in managed:
        if not (points.get(name) or {}).get("radios"):
            yield Finding("wifi_no_radios", (TOP, "access_points", name), name)


def _enterprise(site: Site, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what 802.1X lacks: a server, its description, the authority, the secrets of the access points."""
    names = [name for name, network in raw["networks"].items() if network["security"] == "enterprise"]
    if not names:
        return
    where: Path = (TOP, "networks", names[0], "security")
    if not any("radius_servers" in host.groups for host in site.hosts.values()):
        yield Finding("wifi_no_radius", where, "enterprise")
    if "radius" not in raw:
        yield Finding("missing_key", (TOP, "radius"), "")
    for variable in ("site_wifi_authority", "site_log_authority"):
        if variable not in site.values:
            yield Finding("missing_variable", (variable,))
    for name, point in (raw.get("access_points") or {}).items():
        radios = (point.get("radios") or {}).values()
        serves = not radios or any(network in names for one in radios for network in one["networks"])
        if serves and not point.get("secret"):
            yield Finding("missing_key", (TOP, "access_points", name, "secret"), "")
