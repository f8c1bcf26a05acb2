"""Sensitive exchanges outside the controlled networks: what the check refuses, and which hosts serve them (PSSI 5.3.1.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from network_builder import TODAY, flow, hosts, hostvars, place, site

from pgssi.network import load
from pgssi.network.exchanges import elsewhere, served
from pgssi.site import review
from pgssi.site.review import Review

Change = Callable[[dict[str, Any]], object]
TLS = {"ports": ["tcp/443"], "encrypted": "tls"}


def line(source: list[str], target: list[str], *services: str, level: int = 3, **more: Any) -> Change:
    """Add one line to the matrix."""
    return lambda values: values["site_flows"].append(flow("x", source, target, *services, confidentiality=level, **more))


def checked(*changes: Change, palier: int = 2, **more: Any) -> Review:
    """Return what the check says of the sound site with some changes."""
    values = site(palier)
    values["site_services"]["web"] = {"ports": ["tcp/8443"]}
    for change in changes:
        change(values)
    return review(hosts({**values, **more}), [], today=TODAY)


REFUSED: dict[str, Change] = {
    "from the Internet": line(["outside"], ["web1"], "web"),
    "to the Internet": line(["desks"], ["outside"], "web"),
    "to a supplier": line(["srv1"], ["supplier"], "web", level=4),
    "from a supplier": line(["supplier"], ["web1"], "web"),
    "one end of several": line(["desks", "visitors"], ["web1"], "web"),
    "one service of several": lambda values: [values["site_services"].update(sure=TLS),
                                              line(["outside"], ["web1"], "sure", "web")(values)],
    "a host of a group": lambda values: [values["site_zones"]["hosts"].update(trust="none"),
                                         line(["desks"], ["group:servers"], "web")(values)],
    "a partner's zone": lambda values: [values["site_zones"]["desks"].update(trust="none"),
                                        line(["desks"], ["srv1"], "web")(values)],
    "visitors, whatever trust they are given": line(["visitors"], ["web1"], "web"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_sensitive_flow_does_not_leave_in_clear_text(name: str) -> None:
    """The refusal names the flow, the service, the article and the remedy."""
    told = [problem for problem in checked(REFUSED[name]).problems if "5.3.1.3" in problem.message]
    assert [(problem.key, problem.value) for problem in told] == [("site_flows[5].service", "web")]
    assert "encrypted" in told[0].remedy and "chiffré" in told[0].message


ACCEPTED: dict[str, Change] = {
    "inside": line(["desks"], ["srv1"], "web", level=4),
    "little secret": line(["outside"], ["web1"], "web", level=2),
    "stated TLS": lambda values: [values["site_services"]["web"].update(encrypted="tls"),
                                  line(["outside"], ["web1"], "web", level=4)(values)],
    "stated SSH": lambda values: [values["site_services"]["web"].update(encrypted="ssh"),
                                  line(["supplier"], ["web1"], "web")(values)],
    "to a gateway, which has a leg in every zone": line(["desks"], ["gw1"], "web"),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_other_flows_need_no_statement(name: str) -> None:
    """What stays inside, is not sensitive or is stated as encrypted passes the check."""
    assert not checked(ACCEPTED[name]).problems


def test_palier_one_and_waivers_allow_clear_text() -> None:
    """Below palier 2 nothing is refused; a waiver counts when every host that the flow names has it."""
    change = REFUSED["from the Internet"]
    assert not checked(change, palier=1).problems
    waiver = {"rule": "sensitive-exchange-encrypted", "scope": ["web1"], "reason": "r", "owner": "dsi", "expires": TODAY}
    assert not checked(change, site_waivers=[waiver]).problems
    assert checked(change, site_waivers=[{**waiver, "scope": ["srv1"]}]).problems


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"ports": ["icmp"], "encrypted": "tls"}, "icmp"),
        ({"ports": ["tcp/22", "udp/22"], "encrypted": "ssh"}, "udp"),
        ({"ports": ["tcp/22"], "encrypted": "yes"}, "tls"),
        ({"ports": ["tcp/22"], "encrypted": True}, "ssh"),
    ],
)
def test_an_encryption_that_cannot_be_is_refused(entry: dict[str, Any], words: str) -> None:
    """SSH is over TCP, an echo has no encryption, and there are two words only."""
    told = checked(lambda values: values["site_services"].update(odd=entry)).problems
    assert any("site_services.odd.encrypted" in p.key and words in f"{p.message} {p.remedy}" for p in told), list(map(str, told))


def offered(change: Change, host: str) -> list[tuple[str, str, tuple[str, ...], bool]]:
    """Return what a host serves to sensitive exchanges outside."""
    values = site()
    values["site_services"]["web"] = {**TLS, "ports": ["tcp/8443"]}
    change(values)
    network = load(hostvars(values), today=TODAY)
    found = served(network, network.hosts[host])
    return [(offer.flow, offer.service.name, tuple(map(str, offer.addresses)), offer.certain) for offer in found]


def test_the_serving_host_answers_for_both_families() -> None:
    """A published host serves the flow at each of its addresses; a host of the same zone that it does not name serves nothing."""
    change = line(["outside"], ["web1"], "web")
    assert offered(change, "web1") == [("x", "web", tuple(place(4, 10)), True)]
    assert offered(change, "srv1") == []


def test_a_caller_with_one_family_is_answered_in_that_one() -> None:
    """Nothing is tried over IPv6 for a caller that has no such address."""
    values_four = line(["caller"], ["web1"], "web")

    def change(values: dict[str, Any]) -> None:
        values["site_equipment"]["caller"] = {"zone": "outside", "addresses": ["203.0.113.44"], "owner": "dsi"}
        values_four(values)

    assert offered(change, "web1") == [("x", "web", (place(4, 10)[0],), True)]


def test_only_the_hosts_outside_serve_a_flow_from_inside() -> None:
    """Of a group, the members in a network of others serve a sensitive exchange; the rest stays inside."""

    def change(values: dict[str, Any]) -> None:
        values["site_zones"]["front"]["trust"] = "none"
        line(["desks"], ["group:servers"], "web")(values)

    assert [offer[0] for offer in offered(change, "web1")] == ["x"]
    assert offered(change, "srv1") == []


def test_expired_flows_serve_nobody() -> None:
    """At palier 2 an expired flow is closed, and nothing has to speak there."""
    assert offered(line(["outside"], ["web1"], "web", expires=TODAY.replace(year=2025)), "web1") == []


def test_a_server_that_nobody_manages_is_told_of() -> None:
    """The host that sends to a supplier is told that nobody observes the other end; others are not."""
    values = site()
    line(["srv1"], ["supplier"], "https")(values)
    line(["desks"], ["outside"], "https")(values)
    network = load(hostvars(values), today=TODAY)
    found = {name: [end for _, end in elsewhere(network, host)] for name, host in network.hosts.items()}
    assert found == {"gw1": [], "srv1": ["supplier"], "web1": [], "ws1": ["outside"]}


def test_a_zone_of_others_with_hosts_of_ours() -> None:
    """A host that stands in the zone that a flow leads to serves it only if something listens there."""

    def change(values: dict[str, Any]) -> None:
        values["site_zones"]["hosts"]["trust"] = "none"
        line(["desks"], ["hosts"], "web")(values)

    assert offered(change, "srv1") == [("x", "web", tuple(place(2, 10)), False)]
