"""Filters that tell the Wi-Fi role what one host has to know; the logic is pgssi.wifi.model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.inventory import plain
from pgssi.wifi.model import Wifi, host_view, load, secrets_of

READ = ("site_wifi", "site_zones", "site_equipment", "site_interfaces")


def _load(hostvars: Mapping[str, Mapping[str, Any]], name: str) -> Wifi | None:
    site = hostvars[name]
    common = {key: plain(site[key]) for key in READ[:-1] if key in site}
    known = {}
    for host in hostvars:
        raw = site if host == name else hostvars[host]
        known[str(host)] = {**common, "site_interfaces": plain(raw["site_interfaces"]) if "site_interfaces" in raw else {}}
    return load(known, plain(site["groups"]))


def wifi_host(hostvars: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """``hostvars | pgssi.toolkit.wifi_host(inventory_hostname)``: functions, networks, RADIUS… of this host."""
    site = hostvars[name]
    return host_view(_load(hostvars, name), name, plain(site["group_names"]), plain(site.get("site_zones") or {}))


def wifi_secrets(hostvars: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """``hostvars | pgssi.toolkit.wifi_secrets(inventory_hostname)``: secrets of the Wi-Fi, for private files."""
    return secrets_of(_load(hostvars, name))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"wifi_host": wifi_host, "wifi_secrets": wifi_secrets}
