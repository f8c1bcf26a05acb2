"""The network parameters that the kernel applies on each interface now, the common ones counted in (BP-028 R12)."""

from __future__ import annotations

import pytest

from pgssi.verify import not_applicable


def open_on(kernel, family, *names):
    """Return the interfaces on which one of these parameters is on."""
    return [
        f"{name} {family} sur {where}"
        for name in names
        for where, value in kernel.interfaces(f"net/{family}/conf/*/{name}").items()
        if value
    ]


def live(kernel):
    """Return the interfaces that carry packets of others."""
    return sorted(set(kernel.interfaces("net/ipv4/conf/*/rp_filter")) - {"all", "lo"})


@pytest.mark.rule("network-redirects-refused")
def test_redirects(kernel, observe):
    """The live value of each interface, of those to come and of all together is read, for both families."""
    own = kernel.own_network()
    names = ("accept_redirects", "secure_redirects", "shared_media", "send_redirects", "accept_source_route")
    faults = open_on(own, "ipv4", *names) + open_on(own, "ipv6", "accept_redirects", "accept_source_route")
    observe(f"{len(live(own))} interfaces, {len(faults)} écarts")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("network-source-checked")
def test_source(kernel, router, observe):
    """The kernel applies the larger of two values, the common one and the interface's own; both are read on each."""
    own = kernel.own_network()
    values = own.interfaces("net/ipv4/conf/*/rp_filter")
    allowed = (1, 2) if router else (1,)
    strict = {name: max(values["all"], values[name]) for name in live(own)}
    faults = [f"rp_filter={value} sur {name}" for name, value in strict.items() if value not in allowed]
    faults += open_on(own, "ipv4", "accept_local", "route_localnet")
    observe(f"{len(strict)} interfaces, {len(faults)} écarts")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("network-arp-strict")
def test_arp(kernel, router, observe):
    """The kernel applies the larger of the common value and the interface's own; both are read on each."""
    own = kernel.own_network()
    if router:
        not_applicable("routeur déclaré : les réponses ARP suivent son rôle")
    faults = []
    for name, least in (("arp_filter", 1), ("arp_ignore", 2)):
        values = own.interfaces(f"net/ipv4/conf/*/{name}")
        faults += [f"{name} sur {where}" for where in live(own) if max(values["all"], values.get(where, 0)) < least]
    observe(f"{len(live(own))} interfaces, {len(faults)} écarts")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("network-no-routing")
def test_routing(kernel, router, observe):
    """The live switch of each interface is read, in both families."""
    own = kernel.own_network()
    if router:
        not_applicable("routeur ou hôte de conteneurs déclaré : relayer est son rôle")
    faults = open_on(own, "ipv4", "forwarding") + open_on(own, "ipv6", "forwarding")
    observe("aucun relais" if not faults else f"{len(faults)} interfaces relaient")
    assert not faults, ", ".join(faults)


@pytest.mark.rule("network-flood-resisted")
def test_flood(kernel, observe):
    """The kernel is asked how it treats half-open connections, bogus ICMP answers and broadcast echo requests."""
    own = kernel.own_network()
    names = ("tcp_syncookies", "tcp_rfc1337", "icmp_ignore_bogus_error_responses", "icmp_echo_ignore_broadcasts")
    faults = [fault for name in names for fault in own.faults(**{f"net__ipv4__{name}": (1, 1)})]
    observe(f"{len(faults)} écarts")
    assert not faults, ", ".join(faults)
