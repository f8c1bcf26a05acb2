"""What listens on the network is what the site model says that the host serves (BP-028 R80)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from netaddr import IPAddress

from pgssi.network.reading import READ
from pgssi.network.served import described, doors
from pgssi.verify import not_verified

# Twice: a client that waits for one answer is gone by then.
LIST = "cat /proc/sys/net/ipv4/ip_local_port_range && ss -lntupH && echo -- && sleep 1 && ss -lntupH"
ASKS_ADDRESS = re.compile(r"dhclient|dhcpcd|systemd-network|NetworkManager|udhcpc")


@dataclass(frozen=True)
class Listener:
    """A socket that takes what comes. address: None for all of them, or that of a link; device: what it is tied to."""

    protocol: str
    port: int
    address: IPAddress | None
    device: str

    @property
    def local(self) -> bool:
        """Return whether only the host itself can reach it."""
        mapped = self.address.ipv4() if self.address is not None and self.address.is_ipv4_mapped() else self.address
        return self.device == "lo" or (mapped is not None and mapped.is_loopback())


def listeners(said: str) -> Iterator[tuple[Listener, str]]:
    """Yield (socket, its processes) of each line of ``ss -lntupH``."""
    for line in said.splitlines():
        fields = line.split()
        text, _, port = fields[4].rpartition(":")
        address, _, device = text.replace("[", "").replace("]", "").partition("%")
        everywhere = address in ("*", "0.0.0.0", "::") or address.startswith("fe80:")
        names = sorted({f"{name} {pid}" for name, pid in re.findall(r'"([^"]+)",pid=(\d+)', line)})
        yield Listener(fields[0], int(port), None if everywhere else IPAddress(address), device), ", ".join(names)


@pytest.mark.rule("services-listening-declared")
def test_only_declared_services_listen(facts, site, context, pgssi_plan, observe):
    """Each socket that the kernel holds open for others, IPv4 and IPv6, is looked up among the flows in force to the host."""
    answer = facts.result("hardening-listening", LIST)
    if answer.rc:
        not_verified(f"ss ne répond pas : {answer.stderr.strip()[-200:]}")
    ports, _, said = answer.stdout.partition("\n")
    low, high = map(int, ports.split())
    first, _, again = said.partition("--\n")
    seen = dict(listeners(first))
    known = {one: processes for one, processes in listeners(again) if one in seen and not one.local}
    # Over UDP the kernel gives a port of this range to whoever asks something; a host asks for its address from 68 and 546.
    asks = {one for one in known if one.protocol == "udp" and low <= one.port <= high}
    asks |= {one for one in known if one.protocol == "udp" and one.port in (68, 546) and ASKS_ADDRESS.search(known[one])}
    names = (*READ["site"], *READ["host"])
    network = described(
        {
            name: {key: one.variables[key] for key in names if key in one.variables} | {"group_names": list(one.groups)}
            for name, one in pgssi_plan.inventory.hosts.items()
        }
    )
    mine = network.hosts[context.name]
    served = list(doors(network, mine, site))
    wrong = [
        f"{one.protocol}/{one.port} sur {one.address or 'toutes les adresses'} ({known[one] or 'processus inconnu'})"
        for one in sorted(set(known) - asks, key=lambda one: (one.protocol, one.port, str(one.address)))
        if not any(
            door.port.protocol == one.protocol
            and door.port.first <= one.port <= door.port.last
            and (one.address is None or one.address in door.addresses)
            for door in served
        )
    ]
    observe(f"{len(known) - len(asks)} sockets ouvertes au réseau, {len(wrong)} sans flux ; {len(asks)} de clients")
    if wrong and not (network.described and mine.interfaces):
        not_verified("site_flows et site_interfaces ne disent pas ce que cet hôte sert : " + ", ".join(wrong[:6]))
    assert not wrong, f"à l'écoute sans flux déclaré : {', '.join(wrong[:8])}"
