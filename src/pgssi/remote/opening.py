"""What a window opens on each host: its wire, and on the bastion and on managed equipment what people need there."""

from __future__ import annotations

from typing import Any

from netaddr import IPNetwork

from pgssi.remote.model import Place, Remote
from pgssi.remote.request import Window, pairs

Wire = list[Any]  # source, destination, protocol, destination port


def _plain(network: str) -> str:
    """Return a network as nft writes it: a single address without its prefix."""
    value = IPNetwork(network)
    return str(value.ip) if value.size == 1 else str(value)


def wires(remote: Remote, window: Window) -> tuple[list[Wire], list[Wire]]:
    """Return the wires from the supplier to the bastions, and from the bastions to the equipment."""
    access, port = window.access, int(remote.settings["port"])
    inward, onward = [], []
    for bastion in remote.bastions:
        inward += [[_plain(one), to, "tcp", port] for one, to in pairs(access.supplier.addresses, bastion.addresses)]
        target = access.equipment
        onward += [[one, to, "tcp", target.port] for one, to in pairs(bastion.addresses, target.addresses)]
    return inward, onward


def openings(remote: Remote, window: Window) -> dict[str, dict[str, Any]]:
    """Return what each host must open for this window, by host name: its wires and its part."""
    inward, onward = wires(remote, window)
    common = window.as_dict()
    found: dict[str, dict[str, Any]] = {}
    for bastion in remote.bastions:
        mine = [wire for wire in inward if wire[1] in bastion.addresses] + [w for w in onward if w[0] in bastion.addresses]
        found[bastion.name] = {**common, "wires": mine, **_bastion(window)}
    for gateway in remote.gateways:
        mine = [wire for wire in (*inward, *onward) if _passes(remote, gateway, wire)]
        if mine:
            found[gateway.name] = {**common, "wires": mine}
    equipment = window.access.equipment
    if equipment.managed:
        known = found.get(equipment.name, {**common, "wires": []})
        login = equipment.login if equipment.protocol == "ssh" else ""
        found[equipment.name] = {**known, "wires": known["wires"] + onward, "login": login}
    return found


def _passes(remote: Remote, gateway: Place, wire: Wire) -> bool:
    """Return whether a wire goes from one zone to another through a gateway that stands in one of them."""
    source, target = remote.zone(wire[0]), remote.zone(wire[1])
    return source != target and (source in gateway.zones or target in gateway.zones)


def _bastion(window: Window) -> dict[str, Any]:
    equipment = window.access.equipment
    return {
        "addresses": list(equipment.addresses),
        "port": equipment.port,
        "login": equipment.login,
        "protocol": equipment.protocol,
        "host_keys": list(equipment.host_keys),
    }


def payloads(remote: Remote, granted: tuple[Window, ...]) -> dict[str, list[dict[str, Any]]]:
    """Return the openings of several windows by host name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for window in granted:
        for host, opening in openings(remote, window).items():
            found.setdefault(host, []).append(opening)
    return found


def targets(remote: Remote) -> list[str]:
    """Return every host that may hold a part of a window, bastions first: what ``list`` and ``close`` ask."""
    names = [one.name for one in (*remote.bastions, *remote.gateways)]
    managed = sorted({access.equipment.name for access in remote.accesses() if access.equipment.managed})
    return list(dict.fromkeys([*names, *managed]))
