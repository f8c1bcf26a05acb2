"""The inventory record: what it keeps, what it says differs, and the ends of support that it announces."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from pgssi.asset_record import details, whole
from pgssi.releases import AHEAD, announcement, ends

TODAY = date(2026, 11, 29)
HOST: dict[str, Any] = {
    "release": "debian 12",
    "kernel": "6.1.0-1",
    "model": "Maker Box",
    "serial": "S1",
    "processor": "x86",
    "processors": 2,
    "memory_mb": 2048,
    "disks": {"sda": "Model, 20 Go, A1"},
    "interfaces": {"eth0": "02:00:00:00:00:01"},
    "packages": {"attr": "1:2.5-1", "less": "590-2"},
    "elsewhere": {},
}


def changed(**parts: Any) -> dict[str, Any]:
    return {**HOST, **parts}


def differences(before: dict[str, Any] | None, now: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = details(now, before, ["a", "b"], TODAY)
    return [(one["code"], one["host"], one["item"]) for one in found["differences"]]


def test_the_first_record_is_compared_with_nothing() -> None:
    """Nothing is a difference when nobody recorded before, and the record says so."""
    found = details({"a": HOST}, None, ["a"], TODAY)
    assert found["differences"] == [] and found["compared"] is False
    assert found["hosts"]["a"]["packages"] == 2 and found["hosts"]["a"]["supported_until"] == "2028-06-30"


def test_an_unchanged_host_differs_in_nothing() -> None:
    """The same reading twice, the attachment read back, gives no difference."""
    assert differences(json.loads(whole({"a": HOST})), {"a": HOST}) == []


@pytest.mark.parametrize(
    ("now", "code", "item"),
    [
        (changed(packages={**HOST["packages"], "nmap": "7"}), "added", "packages.nmap"),
        (changed(packages={"attr": "1:2.5-1"}), "removed", "packages.less"),
        (changed(packages={**HOST["packages"], "attr": "1:2.5-2"}), "changed", "packages.attr"),
        (changed(disks={**HOST["disks"], "sdb": "Key, 8 Go"}), "added", "disks.sdb"),
        (changed(interfaces={"eth0": "02:00:00:00:00:02"}), "changed", "interfaces.eth0"),
        (changed(elsewhere={"/opt/tool": "répertoire"}), "added", "elsewhere./opt/tool"),
        (changed(release="debian 13"), "changed", "release"),
        (changed(memory_mb=4096), "changed", "memory_mb"),
    ],
)
def test_each_change_is_named(now: dict[str, Any], code: str, item: str) -> None:
    """Whatever was added, removed or changed on a host is one difference with its name."""
    assert differences({"a": HOST}, {"a": now}) == [(code, "a", item)]


def test_hosts_come_and_go() -> None:
    """A host that is new, and one that left the inventory, are differences; one that did not answer is missing."""
    assert differences({"a": HOST, "c": HOST}, {"a": HOST, "b": HOST}) == [("host_new", "b", ""), ("host_gone", "c", "")]
    found = details({"a": HOST}, {"a": HOST, "b": HOST}, ["a", "b"], TODAY)
    assert found["differences"] == [] and found["missing"] == ["b"]


def test_the_end_of_support_is_announced_ahead() -> None:
    """Nothing is said before 180 days, days left after that, and afterwards that no fix comes any more."""
    end = ends()["debian 12"]
    assert announcement("debian 12", end - timedelta(days=AHEAD)) == ""
    assert "179 jours" in announcement("debian 12", end - timedelta(days=AHEAD - 1))
    assert "plus de correctifs" in announcement("debian 12", end + timedelta(days=1))
    assert "inconnue" in announcement("other 1", TODAY)
    assert details({"a": changed(release="debian 11")}, None, ["a"], TODAY)["announcements"]
