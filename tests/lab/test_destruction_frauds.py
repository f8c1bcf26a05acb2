"""Who would do without the second person, change what they agreed to, or certify what is still there."""

from __future__ import annotations

import json
from typing import Any

from pgssi.evidence import Journal
from pgssi.paths import ROOT

from .media_station import OPERATOR, SIZE, Station

RSSI = ("-e", f"site_evidence_sign_key={ROOT / '.lab' / 'keys' / 'rssi'}")


def declared(station: Station, name: str, **changes: Any) -> str:
    """Return the register with one medium, declared otherwise than in the inventory."""
    entry = {"serial": station.serial(name), "host": station.host.name, "kind": "disk", "state": "leaving",
             "destination": "internal", "former_owner": "Service de radiologie", "new_owner": "Service informatique",
             "transfer": "2099-12-31", **changes}  # fmt: skip
    return json.dumps({"site_media": [entry]})


def test_one_person_alone_destroys_nothing(station: Station) -> None:
    """One's own agreement, with one's key, under another's name; what was agreed to declared otherwise since; an agreement
    altered afterwards; another serial number typed: nothing is written.
    """
    station.fill("virtio")
    station.agree("virtio")
    assert "qui efface" in "".join(station.destroy("virtio", *RSSI).failures())
    assert "avec la clé de rssi" in "".join(
        station.destroy("virtio", *RSSI, "-e", f"decommission_operator={OPERATOR}").failures()
    )
    assert "rien ne prouve" in "".join(station.destroy("virtio", "-e", "decommission_operator=adurand").failures())
    other = declared(station, "virtio", worthless="Personne ne le saura")
    assert "worthless de site_media a changé" in "".join(station.destroy("virtio", "-e", other).failures())
    wrong = station.destroy("virtio", "-e", "decommission_typed=VIRTIO-0002")
    assert "Rien n'a été touché" in "".join(wrong.failures())
    lines = station.evidence / "journal.jsonl"
    honest = lines.read_text("utf-8")
    lines.write_text(honest.replace('"destination":"internal"', '"destination":"external"'), "utf-8")
    assert lines.read_text("utf-8") != honest
    assert "altéré" in "".join(station.destroy("virtio").failures())
    lines.write_text(honest, "utf-8")
    assert station.left("virtio") > SIZE // 2
    assert station.media("state") == []


def test_a_host_that_is_off_leaves_the_agreement_as_it_is(station: Station) -> None:
    """Nobody answers: no sheet. Once the host is on, with IPv4 alone, the same agreement serves, and it serves once."""
    station.qemu.off()
    off = station.destroy("virtio")
    assert off.returncode and any("unreachable" in line or "ssh" in line for line in off.failures())
    assert not Journal(station.evidence).records("data_destruction")
    station.lab.machines.start(station.host)
    station.run("sh", "-ec", 'for dev in /proc/sys/net/ipv6/conf/*; do echo 1 > "$dev/disable_ipv6"; done')
    station.destroy("virtio").succeeded()
    assert station.left("virtio") == 0
    assert "a déjà servi" in "".join(station.destroy("virtio").failures())


def test_the_sheet_of_a_disk_that_lies_is_no_certificate(station: Station) -> None:
    """The playbook fails, the record says failure, the page says that it is no certificate."""
    station.fill("liar")
    station.agree("liar")
    failed = station.destroy("liar")
    assert failed.returncode and "aucun certificat" in "".join(failed.failures())
    record = Journal(station.evidence).records("data_destruction")[-1]
    assert record.result == "failure" and record.details["verification"]["ok"] is False
    html = (station.evidence.parent / "pages" / f"{record.id}.html").read_text("utf-8")
    assert "Ceci n&#39;est pas un certificat" in html
