"""The network of an inventory, and the channels to what can send probes in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping

from pgssi.catalogue import Catalogue
from pgssi.inventory import Inventory
from pgssi.network.model import Network, load
from pgssi.network.probing import Prober
from pgssi.transport import Channel
from pgssi.transport.backend import channel_for

NEEDED = ("site_", "ansible_host", "ansible_port", "ansible_connection")


def network_of(inventory: Inventory, catalogue: Catalogue | None = None, least: int = 0) -> Network:
    """Return the network that all the hosts of an inventory describe, whatever its limit.

    least: palier at which to judge a host that aims lower. Raises InvalidInput for a model that cannot be used.
    """
    hosts = {}
    for name, host in inventory.hosts.items():
        known = {key: host.variables[key] for key in host.variables if key.startswith(NEEDED)}
        aim = {"site_palier": max(least, int(known.get("site_palier", 0)))}
        hosts[name] = {**known, **aim, "group_names": list(host.groups)}
    return load(hosts, catalogue)


def prober_of(
    inventory: Inventory,
    network: Network,
    channel: Callable[[str], Channel] | None = None,
    allowed: Callable[[str], bool] = lambda _: True,
) -> Prober:
    """Return what runs probes on every host where it is allowed, and on the equipment that a lab has made.

    channel: gives the channel of a host that somebody else opens and closes; new ones are made without it.
    """
    channels = {
        name: channel(name) if channel else channel_for(inventory.hosts[name].connection)
        for name in network.hosts
        if network.hosts[name].interfaces and allowed(name)
    }
    pythons = {name: inventory.hosts[name].connection.python for name in channels}
    return Prober({**channels, **_lab_equipment(inventory, network)}, pythons)


def _lab_equipment(inventory: Inventory, network: Network) -> Mapping[str, Channel]:
    """Return the channels to the containers that stand for equipment; on a real site there are none."""
    variables = next(iter(inventory.hosts.values())).variables
    names = [name for name in variables.get("lab_equipment") or {} if name in network.equipment]
    if not names or not shutil.which("podman"):
        return {}
    from pgssi.lab.podman import PODMAN, containers

    prefix = str(variables.get("lab_prefix", "lab"))
    running = {name for name, container in containers(prefix).items() if container["State"] == "running"}
    return {
        name: Channel([str(PODMAN), "exec", "-i", f"{prefix}-{name}", "sh", "-c"], become=False)
        for name in names
        if f"{prefix}-{name}" in running
    }
