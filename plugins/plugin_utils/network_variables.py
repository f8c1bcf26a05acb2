"""What the filters of the network read of the inventory: the site's variables once, and those of each host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.inventory import plain
from pgssi.network.reading import READ


def network_variables(hostvars: Mapping[str, Mapping[str, Any]], host: str) -> dict[str, dict[str, Any]]:
    """Return plain values by host; those of the site are read from ``host`` alone, for all of them."""
    site = hostvars[host]
    common = {name: plain(site[name]) for name in READ["site"] if name in site}
    known = {}
    for name in hostvars:
        raw = site if name == host else hostvars[name]
        known[str(name)] = {**common, **{key: plain(raw[key]) for key in READ["host"] if key in raw}}
    return known
