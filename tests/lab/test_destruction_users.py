"""Disks that somebody uses without a claim, so that no list of the kernel shows it: refused by name, and left as they are."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from pgssi.lab.machine import Disk

from .media_station import BY, MIB, SIZE, Station

# Each way to use the SCSI disk ($d), what lets it go, and what the refusal names.
# The classic way to look into an image, done on the disk itself.
LOOP = "mkfs.ext4 -qF -E nodiscard $d; mount $(losetup --find --show $d) /mnt"
# A container, or a service with mounts of its own: in no list of the host's.
NAMESPACE = """
mkfs.ext4 -qF -E nodiscard $d
systemd-run --quiet --unit=elsewhere -p PrivateMounts=yes sh -c "mount $d /mnt && touch /run/elsewhere && exec sleep infinity"
until [ -e /run/elsewhere ]; do sleep 1; done
"""
# A virtual machine whose disk it is.
MACHINE = """
systemd-run --quiet --unit=guest sh -c "exec 3<>$d; touch /run/guest; exec sleep infinity"
until [ -e /run/guest ]; do sleep 1; done
"""
# The disk of another host, by NVMe over TCP.
SERVED = """
modprobe -a nvmet nvmet-tcp; cd /sys/kernel/config/nvmet; mkdir subsystems/n subsystems/n/namespaces/1 ports/1
echo 1 > subsystems/n/attr_allow_any_host; echo LOIN-0001 > subsystems/n/attr_serial
echo $d > subsystems/n/namespaces/1/device_path; echo 1 > subsystems/n/namespaces/1/enable
cd ports/1; echo ipv4 > addr_adrfam; echo tcp > addr_trtype; echo 127.0.0.1 > addr_traddr; echo 4420 > addr_trsvcid
ln -s ../../subsystems/n subsystems/n
"""
NO_LONGER_SERVED = """
cd /sys/kernel/config/nvmet; rm ports/1/subsystems/n; rmdir ports/1
echo 0 > subsystems/n/namespaces/1/enable; rmdir subsystems/n/namespaces/1 subsystems/n
"""
WAYS = {
    "loop": (LOOP, "umount /mnt; losetup --detach-all", "loop0 (loop)"),
    "namespace": (NAMESPACE, "systemctl stop elsewhere", "noyau (claimed)"),
    "machine": (MACHINE, "systemctl stop guest", "(process)"),
    "served": (SERVED, NO_LONGER_SERVED, "n (served)"),
}


def use(station: Station, script: str) -> None:
    """Run a script with the SCSI disk as $d."""
    station.run("sh", "-ec", f"{BY}\nd=$(by SCSI-0001)\n{script}")


@pytest.fixture(params=sorted(WAYS))
def used(station: Station, request: pytest.FixtureRequest) -> Iterator[str]:
    """The SCSI disk, full of markers, used in one of these ways and let go afterwards; what the refusal names."""
    way, release, named = WAYS[request.param]
    station.fill("scsi")
    use(station, way)
    yield named
    use(station, release)


def test_a_disk_that_is_used_without_a_claim_is_refused(station: Station, used: str) -> None:
    """Mounted through a loop device, mounted where this host does not look, open in a virtual machine, served to another host."""
    before = station.media("state")
    told = station.media("request", stdin=station.ask("scsi"), refused=True)["refusals"]
    assert [one["code"] for one in told] == ["in_use"] and used in told[0]["text"], told
    assert station.media("state") == before
    assert station.left("scsi") > SIZE // 2


def test_who_comes_between_the_request_and_the_work_stops_it(station: Station) -> None:
    """A loop device on the disk once its erasure is agreed: nothing is written until it is let go; then it is blank."""
    station.fill("scsi")
    job = station.open("scsi")
    use(station, "losetup --find $d")
    station.start(job)
    station.run("sh", "-c", f"systemctl start --wait pgssi-media@{job}.service; true")
    state = station.media("state", job)
    assert state["result"] is None and "loop" in state["reason"], state
    assert station.left("scsi") > SIZE // 2
    use(station, "losetup --detach-all; udevadm settle")
    assert station.finished(job)["end"]["result"] == "erased" and station.left("scsi") == 0


def test_a_volume_that_another_host_serves_is_refused(station: Station) -> None:
    """NVMe over TCP: it looks like an NVMe disk of this host, and its own host goes on using it."""
    station.fill("scsi")
    use(station, f"{SERVED} modprobe nvme-tcp; nvme connect -t tcp -a 127.0.0.1 -s 4420 -n n; udevadm settle")
    seen = {one["serial"]: one["bus"] for one in station.media("inventory")}
    assert (seen["LOIN-0001"], seen["NVME-0001"]) == ("nvme-tcp", "nvme")
    asked = station.ask("scsi").replace("SCSI-0001", "LOIN-0001")
    told = station.media("request", stdin=asked, refused=True)["refusals"]
    assert "shared_bus" in [one["code"] for one in told], told
    use(station, f"nvme disconnect -n n; {NO_LONGER_SERVED}")
    assert station.left("scsi") > SIZE // 2


class Part(Disk):
    """A namespace of an NVMe controller that has two: the one that is seen, which brings the controller, and a detached one."""

    def block(self) -> list[str]:
        """Return the backing file's options, after those of the controller."""
        split = ["-device", "nvme-subsys,id=split", "-device", f"nvme,id=controller,subsys=split,serial={self.serial}"]
        return [*(split if self.name == "seen" else ()), *super().block()]

    def device(self, place: int) -> str:
        """Return the namespace."""
        hidden = "" if self.name == "seen" else ",detached=on"
        return f"nvme-ns,bus=controller,drive={self.name},nsid={place + 1}{hidden}"


def test_a_medium_that_hides_another_one_gets_no_certificate(station: Station) -> None:
    """Half of an NVMe disk is detached, so that no list of the host shows it: the half that is seen is not erased alone."""
    parts = [Part(name, "nvme", 8 * MIB, "SPLIT-0001") for name in ("seen", "unseen")]
    for part in parts:
        (station.qemu.folder / part.file).write_bytes(Random(part.name).randbytes(part.size))
    station.plug(parts)
    assert [one["size"] for one in station.media("inventory") if one["serial"] == "SPLIT-0001"] == [8 * MIB]
    assert station.refused("seen") == ["beyond"]
    assert station.left("seen") > 7 * MIB
