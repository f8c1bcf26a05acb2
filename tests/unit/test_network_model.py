"""The network model: what names mean, what is disjoint, and what one packet may do at each palier."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from netaddr import IPAddress
from network_builder import TODAY, Plausible, flow, hostvars, own, place, site

from pgssi.errors import InvalidInput
from pgssi.network import Network, load
from pgssi.network.ruleset import compile_host


def network(values: dict[str, Any] | None = None) -> Network:
    """Return the network of a site."""
    return load(hostvars(values or site()), today=TODAY)


def test_internet_is_what_no_zone_has() -> None:
    """The Internet holds no address of another zone, of this machine or of a link."""
    found = network()
    for text in ("10.1.3.7", "fd01:0:0:3::7", "127.0.0.1", "fe80::1", "224.0.0.1"):
        assert not any(block.holds(IPAddress(text)) for block in found.endpoints["outside"].blocks), text
    for text in ("8.8.8.8", "10.1.7.1", "2001:db8::1", "203.0.113.10"):
        assert any(block.holds(IPAddress(text)) for block in found.endpoints["outside"].blocks), text
    zone = found.zone_of("203.0.113.10")
    assert zone and zone.name == "outside"


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_disjoint_where_their_ends_are_the_same(seed: int) -> None:
    """Two elements with the same ends never share a port, and a narrow element comes before the wider ones over it."""
    lines = load(hostvars(Plausible(seed).site()), today=TODAY).lines
    seen: dict[Any, list[tuple[int, int]]] = {}
    for line in lines:
        key = (line.source, line.destination, line.protocol)
        assert all(line.last < low or high < line.first for low, high in seen.get(key, []))
        seen.setdefault(key, []).append((line.first, line.last))
    for index, wide in enumerate(lines):
        for later in lines[index + 1 :]:
            inside = wide.source.covers(later.source) and wide.destination.covers(later.destination)
            assert not inside or (wide.source, wide.destination) == (later.source, later.destination)


@pytest.mark.parametrize("seed", range(8))
def test_decision_is_that_of_the_flows(seed: int) -> None:
    """What the elements answer is what the flows say, name by name."""
    found = load(hostvars(Plausible(seed).site()), today=TODAY)
    machines = [a for h in found.hosts.values() for a in h.addresses] + [a for e in found.equipment.values() for a in e.addresses]
    dice = Plausible(seed).dice
    for _ in range(300):
        one, two = dice.sample(machines, 2)
        port, protocol = dice.randint(20, 120), dice.choice(["tcp", "udp"])
        said = any(
            any(block.holds(one) for name in line.sources for block in found.endpoints[name].blocks)
            and any(block.holds(two) for name in line.destinations for block in found.endpoints[name].blocks)
            and any(p.protocol == protocol and p.first <= port <= p.last for n in line.services for p in found.services[n].ports)
            for line in found.flows
        )
        assert (found.matrix.find(one, two, protocol, port) is not None) == (said and one.version == two.version)


def test_decision_names_who_refuses() -> None:
    """A packet that is not declared is refused by the gateway between zones, and by its receiver."""
    found = network()
    answer = found.decide(place(3, 10)[0], place(2, 10)[0], "tcp", 22)
    assert not answer.allowed and answer.reason == "no_flow" and answer.by == ("gw1", "srv1")
    assert found.decide(place(3, 10)[1], place(2, 10)[1], "tcp", 443).flow == "consult"
    assert found.decide(place(3, 10)[0], place(5, 10)[0], "tcp", 80).by == ("gw1",)
    assert found.decide(place(3, 10)[0], place(2, 10)[0], "tcp", 22, at="srv1").by == ("srv1",)
    assert found.decide(place(3, 10)[0], place(2, 10)[1], "tcp", 443).reason == "other_family"


def test_palier_one_leaves_zones_open_but_not_hosts_nor_the_edge() -> None:
    """At palier 1 the gateway lets zones talk, hosts do not, and the Internet is closed."""
    found = network(site(1))
    assert found.decide(place(3, 10)[0], place(5, 10)[0], "tcp", 80).reason == "open"
    assert found.decide(place(3, 10)[0], place(2, 10)[0], "tcp", 80).by == ("srv1",)
    assert found.decide(place(3, 10)[0], "8.8.8.8", "tcp", 80).by == ("gw1",)


def test_the_guests_way_out_lets_in_what_it_has_judged() -> None:
    """A host that is the guests' way out accepts what bears the mark of their own firewall, both ways; no other host does."""
    mine = own()
    groups, variables = mine["gw1"]
    found = load(hostvars(site(), {**mine, "gw1": ((*groups, "guest_portals"), variables)}), today=TODAY)
    assert compile_host(found, "gw1").count("meta mark & 0x08000000") == 2
    assert "meta mark" not in compile_host(found, "srv1") + compile_host(network(), "gw1")


def test_palier_zero_filters_nothing() -> None:
    """At palier 0 no rule is in force, and every chain accepts."""
    text = compile_host(network(site(0)), "srv1")
    assert "policy drop" not in text and "drop" not in text.partition("chain spoofing")[2]


def test_waiver_is_true_in_the_ruleset() -> None:
    """A waived rule opens what it closed, on its host only."""
    values = site()
    waiver = {"rule": "host-firewall-default-drop", "scope": ["srv1"], "reason": "r", "owner": "dsi", "expires": TODAY}
    found = network({**values, "site_waivers": [waiver]})
    assert "hook input priority filter; policy accept" in compile_host(found, "srv1")
    assert "hook input priority filter; policy drop" in compile_host(found, "web1")


def test_expired_flow() -> None:
    """An expired flow is closed from palier 2 on; the operators' own is kept, for the check to refuse it in words."""
    for palier, allowed in ((1, True), (2, False)):
        values = site(palier)
        for line in values["site_flows"]:
            line["expires"] = TODAY - timedelta(days=1)
        found = network(values)
        answer = found.decide(place(3, 10)[0], place(2, 10)[0], "udp", 443)
        assert answer.allowed is allowed and answer.flow == "consult"
        assert found.decide(place(1, 1)[0], place(2, 10)[0], "tcp", 22).allowed


def test_operators_are_never_locked_out() -> None:
    """A matrix without the operators' way to a host is not compiled."""
    values = site()
    values["site_flows"][0]["to"] = ["servers"]
    with pytest.raises(InvalidInput):
        network(values)
    values["site_equipment"]["control"].pop("use")
    with pytest.raises(InvalidInput, match="use: control"):
        compile_host(network(values), "srv1")


def test_same_text_from_any_order_of_hosts() -> None:
    """The ruleset does not depend on the order of the inventory: a slice gives the same."""
    variables = hostvars(site())
    turned = dict(reversed(variables.items()))
    for host in own():
        assert compile_host(load(variables, today=TODAY), host) == compile_host(load(turned, today=TODAY), host)


def test_only_what_concerns_a_host() -> None:
    """A host that is no gateway holds no line between others; what is closed may be given apart."""
    text = compile_host(network(), "ws1")
    assert '"portal"' not in text and '"consult"' in text
    assert "policy drop" not in compile_host(network(), "ws1", closes=())
    assert replace(network(), palier=3).palier == 3


def test_group_and_zone_of_the_same_name() -> None:
    """group:NAME and zone:NAME tell them apart."""
    values = site()
    values["site_zones"]["servers"] = values["site_zones"].pop("hosts")
    mine = own()
    mine["srv1"][1]["site_interfaces"] = {"servers": place(2, 10)}
    mine["gw1"][1]["site_interfaces"]["servers"] = mine["gw1"][1]["site_interfaces"].pop("hosts")
    values["site_flows"].append(flow("both", ["zone:servers"], ["group:servers"], "media"))
    found = load(hostvars(values, mine), today=TODAY)
    assert found.decide(place(2, 77)[0], place(4, 10)[0], "udp", 10000).allowed
