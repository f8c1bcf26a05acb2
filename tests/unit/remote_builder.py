"""A small site with a supplier: a bastion, a gateway, a modality that no role manages and a server that roles manage."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from site_builder import public_key

from pgssi.remote.model import Remote, load

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
GROUPS = {"bastions": ["bastion1"], "gateways": ["gw1"]}
SITE: dict[str, Any] = {
    "site_zones": {
        "servers": {"cidr4": "10.0.2.0/24", "cidr6": "fd00:0:0:2::/64"},
        "biomedical": {"cidr4": "10.0.7.0/24", "cidr6": "fd00:0:0:7::/64"},
        "maintenance": {"cidr4": "10.0.9.0/24", "cidr6": "fd00:0:0:9::/64"},
        "outside": {"cidr4": "0.0.0.0/0", "cidr6": "::/0"},
    },
    "site_equipment": {"irm1": {"zone": "biomedical", "addresses": ["10.0.7.10", "fd00:0:0:7::a"], "owner": "biomed"}},
    "site_contacts": {"rssi": {"name": "Nadia Lefèvre"}, "dim": {"name": "Jeanne Durand"}},
    "site_people": [
        {"id": "adurand", "name": "Antoine Durand", "starts": "2022-09-01"},
        {"id": "parti", "name": "Jean Parti", "starts": "2020-01-01", "leaves": "2025-01-01"},
    ],
    "site_remote": {"longest_hours": 4, "notice_days": 10},
    "site_suppliers": {
        "acme": {
            "title": "ACME",
            "contract_until": "2026-07-31",
            "addresses": ["203.0.113.8/29", "2001:db8::/64"],
            "people": [
                {"id": "jdurand", "name": "Jeanne Durand", "keys": [public_key("jdurand")]},
                {"id": "sanscle", "name": "Paul Martin", "keys": []},
            ],
            "equipment": [
                {"name": "irm1", "account": "service", "host_keys": [public_key("irm1")]},
                {"name": "dpi1", "account": "maint-acme", "port": 2200},
            ],
        }
    },
}
INTERFACES = {
    "bastion1": {"maintenance": ["10.0.9.10", "fd00:0:0:9::a"]},
    "gw1": {"biomedical": ["10.0.7.254"], "maintenance": ["10.0.9.254"], "outside": {"addresses": ["198.51.100.1"]}},
    "dpi1": {"servers": ["10.0.2.10", "fd00:0:0:2::a"]},
}


def remote(**changes: Any) -> Remote:
    """Return the site with some of its variables replaced."""
    site = {**deepcopy(SITE), **changes}
    return load({name: {**site, "site_interfaces": own} for name, own in INTERFACES.items()}, GROUPS)


def request(**changes: Any) -> dict[str, Any]:
    """Return a request that is granted, with some of its words replaced; None takes one away."""
    words = {"person": "jdurand", "equipment": "irm1", "purpose": "Panne de la table", "approver": "rssi", "duration": "2h"}
    return {key: value for key, value in {**words, **changes}.items() if value is not None}
