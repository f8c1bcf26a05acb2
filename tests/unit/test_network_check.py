"""What `pgssi check` says of a mistaken network: each mistake is told in words, with its place and its remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from network_builder import TODAY, flow, hosts, own, place, site

from pgssi.site import review

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def line(name: str = "x", source: str = "desks", target: str = "srv1", service: str = "media", **more: Any) -> Change:
    """Add one line to the matrix."""
    return lambda values, _: values["site_flows"].append(flow(name, [source], [target], service, **more))


def put(table: str, key: str, value: object) -> Change:
    """Add or replace one entry of a table of the site."""
    return lambda values, _: values[table].update({key: value})


def legs(name: str, **zones: object) -> Change:
    """Replace the interfaces of a host."""
    return lambda _, mine: mine[name][1].update(site_interfaces=zones)


ZONE = {"trust": "low", "owner": "dsi"}
WORLD = {"cidr4": "0.0.0.0/0", "cidr6": "::/0", "use": ["internet"]}
BOX = {"zone": "desks", "owner": "dsi"}
LATER = TODAY + timedelta(days=366)
BAD: dict[str, tuple[Change, str, str]] = {
    "not a network": (put("site_zones", "new", {**ZONE, "cidr4": "10.1.9.0"}), "site_zones.new.cidr4", "réseau IPv4"),
    "netmask": (put("site_zones", "new", {**ZONE, "cidr4": "10.1.9.0/255.255.255.0"}), "site_zones.new.cidr4", "réseau IPv4"),
    "host bits": (put("site_zones", "new", {**ZONE, "cidr6": "fd01:0:0:9::1/64"}), "site_zones.new.cidr6", "fd01:0:0:9::/64"),
    "overlap": (put("site_zones", "new", {**ZONE, "cidr4": "10.1.3.128/25", "cidr6": "fd01:0:0:9::/64"}), "cidr4", "recouvre"),
    "all the world": (put("site_zones", "new", {**ZONE, "cidr4": "0.0.0.0/0", "cidr6": "fd01:0:0:9::/64"}), "cidr4", "internet"),
    "two internets": (put("site_zones", "new", {**ZONE, **WORLD}), "", "outside"),
    "loopback": (put("site_zones", "new", {**ZONE, "cidr4": "127.1.0.0/16", "cidr6": "fd01:0:0:9::/64"}), "cidr4", "normes"),
    "one family": (put("site_zones", "new", {**ZONE, "cidr4": "10.1.9.0/24"}), "site_zones.new", "IPv6"),
    "outside its zone": (put("site_equipment", "box", {**BOX, "addresses": place(2, 40)}), "site_equipment.box", "hosts"),
    "network address": (put("site_equipment", "box", {**BOX, "addresses": ["10.1.3.0", place(3, 40)[1]]}), "box", "dernière"),
    "address twice": (put("site_equipment", "box", {**BOX, "addresses": place(3, 10)}), "site_equipment.box", "ws1"),
    "box of one family": (put("site_equipment", "box", {**BOX, "addresses": ["10.1.3.40"]}), "site_equipment.box", "IPv6"),
    "host of one family": (legs("srv1", hosts=["10.1.2.10"]), "site_interfaces.hosts (srv1)", "IPv6"),
    "host in no zone": (legs("srv1", host=place(2, 10)), "site_interfaces.host (srv1)", "« hosts »"),
    "link-local": (legs("srv1", hosts=["10.1.2.10", "fe80::10"]), "site_interfaces.hosts[1] (srv1)", "lien local"),
    "mapped": (legs("srv1", hosts=["10.1.2.10", "::ffff:10.1.2.10"]), "site_interfaces.hosts[1] (srv1)", "normes"),
    "octal": (legs("srv1", hosts=["010.1.2.10", place(2, 10)[1]]), "site_interfaces.hosts[0] (srv1)", "adresse IP"),
    "no interfaces": (lambda _, mine: mine["srv1"][1].pop("site_interfaces"), "site_interfaces (srv1)", "où est cet hôte"),
    "unknown end": (line(target="srv2"), "site_flows[5].to[0]", "« srv1 »"),
    "look-alike": (line(source="dеsks"), "site_flows[5].from[0]", "ASCII"),
    "unknown service": (line(service="htps"), "site_flows[5].service", "« https »"),
    "port 0": (put("site_services", "bad", {"ports": ["tcp/0"]}), "site_services.bad.ports[0]", "65535"),
    "ports backwards": (put("site_services", "bad", {"ports": ["udp/9-3"]}), "site_services.bad.ports[0]", "d'abord"),
    "id twice": (line("consult"), "site_flows[5].id", "site_flows[1]"),
    "no owner": (line(business_owner=" "), "site_flows[5].business_owner", "texte"),
    "owner in name only": (line(technical_owner="n/a"), "site_flows[5].technical_owner", "4.2.2.2"),
    "too far away": (line(expires=LATER), "site_flows[5].expires", "4.3.2.6"),
    "expired": (line(expires=TODAY - timedelta(days=1)), "site_flows[5].expires", "revalider par dim"),
    "twice": (line(service="https"), "site_flows[5]", "consult"),
    "to itself": (line(source="srv1"), "site_flows[5]", "n'ouvre rien"),
    "any to any": (line(source="outside", target="outside"), "site_flows[5]", "n'importe où"),
    "a zone in public": (line(source="outside", target="front"), "site_flows[5].to", "zone entière"),
    "name of two things": (put("site_equipment", "desks", {**BOX, "addresses": place(3, 40)}), "equipment.desks", "site_zones"),
    "group and equipment": (
        lambda values, mine: [put("site_equipment", "servers", {**BOX, "addresses": place(3, 40)})(values, mine),
                              line(source="servers", target="ws1")(values, mine)], "site_flows[5].from[0]", "group:NOM"),
    "no control": (lambda values, _: values["site_equipment"]["control"].pop("use"), "site_equipment", "use: control"),
    "locked out": (lambda values, _: values["site_flows"][0].update(to=["servers"]), "site_flows (gw1)", "se connecter"),
    "another port": (lambda _, mine: mine["srv1"][1].update(ansible_port=2222), "site_flows (srv1)", "tcp/2222"),
    "another address": (lambda _, mine: mine["srv1"][1].update(ansible_host="10.1.2.99"), "ansible_host (srv1)", "10.1.2.10"),
    "guests inside": (line(source="visitors"), "site_flows[5]", "4.2.2.6"),
    "device outside": (line(source="scanner", target="outside"), "site_flows[5]", "Internet"),
    "supplier to a device": (line(source="supplier", target="scanner"), "site_flows[5]", "télémaintenance"),
    "Internet inside": (line(source="outside", target="srv1"), "site_flows[5]", "dmz_inbound"),
    "administration from a desk": (line(service="ssh", category="administration"), "site_flows[5]", "4.2.2.5"),
}  # fmt: skip


def wide(ports: str) -> Change:
    """Open these ports from the DMZ inwards."""

    def change(values: dict[str, Any], mine: dict[str, Any]) -> None:
        put("site_services", "wide", {"ports": [ports]})(values, mine)
        line(source="web1", service="wide")(values, mine)

    return change


BAD["every port"] = (wide("tcp/1-65535"), "site_flows[5].service", "4.3.1.2")
BAD["many ports from a DMZ"] = (wide("tcp/1000-5000"), "site_flows[5]", "4.3.1.5")


def test_sound_site() -> None:
    """The site that the other tests damage has no fault."""
    found = review(hosts(site()), [], today=TODAY)
    assert not found.problems and not found.warnings


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("lang", ["fr", "en"])
def test_bad_network(name: str, lang: str) -> None:
    """One mistake is a problem that names its place; in French, with the words that help."""
    change, key, words = BAD[name]
    values, mine = site(), own()
    change(values, mine)
    found = review(hosts(values, mine), [], lang, TODAY)
    told = [problem for problem in found.problems if key in problem.key]
    assert told, [str(problem) for problem in found.problems]
    if lang == "fr":
        assert any(words in f"{problem.value} {problem.message} {problem.remedy}" for problem in told), list(map(str, told))


MIND: dict[str, tuple[Change, str]] = {
    "expired at palier 1": (
        lambda values, mine: [values.update(site_palier=1), line(expires=TODAY - timedelta(days=1))(values, mine)], "échu"),
    "no matrix": (lambda values, _: values.pop("site_flows"), "aucun pare-feu"),
    "service of nobody": (put("site_services", "spare", {"ports": ["tcp/9000"]}), "aucun flux"),
    "nobody there": (line(source="desks", target="admin"), ""),
    "nobody in a zone": (line(source="desks", target="visitors"), "n'y écoute"),
    "covered": (line(source="control", service="ssh"), "operators"),
    "rehearsal": (
        lambda values, mine: [values["site_zones"]["desks"].update(use=["training"]), line()(values, mine)], "production"),
}  # fmt: skip


@pytest.mark.parametrize("name", MIND)
def test_doubtful_network(name: str) -> None:
    """What is odd but harmless is told, and stops nothing."""
    change, words = MIND[name]
    values, mine = site(), own()
    change(values, mine)
    found = review(hosts(values, mine), [], today=TODAY)
    assert not found.problems, list(map(str, found.problems))
    told = [f"{warning.message} {warning.remedy}" for warning in found.warnings]
    assert any(words in text for text in told) if words else not told, told


def test_what_is_waived_may_be_declared() -> None:
    """A waiver of the rule opens what the palier forbids, for as long as it holds."""
    values, mine = site(), own()
    line(source="visitors")(values, mine)
    waiver = {"rule": "guests-confined", "scope": ["gateways"], "reason": "r", "owner": "dsi", "expires": TODAY}
    assert not review(hosts({**values, "site_waivers": [waiver]}, mine), [], today=TODAY).problems


def test_palier_one_forbids_less() -> None:
    """What only palier 2 confines may be declared at palier 1."""
    values, mine = site(1), own()
    line(source="visitors")(values, mine)
    assert not review(hosts(values, mine), [], today=TODAY).problems
