"""The lab is what its inventory says; keys, pins and first-day files follow fixed rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pgssi.errors import InvalidInput
from pgssi.inventory import load_inventory
from pgssi.lab import qemu as qemu_module
from pgssi.lab.keys import make_keys, pin
from pgssi.lab.model import LabModel, lab_model
from pgssi.lab.qemu import Qemu, QemuError
from pgssi.lab.seed import give_routes, seed, steps

HOSTS = """
all:
  vars:
    site_zones:
      servers: {cidr4: 192.0.2.0/24, cidr6: "2001:db8:2::/64"}
      backup: {cidr4: 198.51.100.0/24, cidr6: "2001:db8:3::/64"}
      internet: {cidr4: 0.0.0.0/0, cidr6: "::/0"}
    site_equipment:
      scanner: {zone: servers, addresses: [192.0.2.30, "2001:db8:2::1e"]}
      stranger: {zone: internet, addresses: [203.0.113.9, "2001:db8:9::9"]}
  hosts:
    gw:
      ansible_host: 192.0.2.254
      lab_image: debian13
      site_interfaces: {servers: [192.0.2.254, "2001:db8:2::fe"], backup: [198.51.100.253, "2001:db8:3::fd"]}
    db: {ansible_host: 192.0.2.10, lab_image: debian12, site_interfaces: {servers: [192.0.2.10, "2001:db8:2::a"]}}
    outsider: {ansible_host: 203.0.113.1}
"""


def _model(directory: Path, text: str = HOSTS) -> LabModel:
    path = directory / "hosts.yml"
    path.write_text(text, "utf-8")
    return lab_model(load_inventory([str(path)]))


def test_hosts_with_an_image_are_the_lab(tmp_path: Path) -> None:
    """Only hosts with lab_image are containers; the host with several zones is the gateway of the others."""
    model = _model(tmp_path)
    assert list(model.hosts) == ["gw", "db"]
    assert (model.hosts["gw"].routes, model.hosts["db"].routes) == ((), ("192.0.2.254", "2001:db8:2::fe"))
    assert (model.hosts["gw"].is_gateway, model.hosts["db"].is_gateway) == (True, False)
    assert model.hosts["db"].image == "localhost/pgssi-lab:debian12"


def test_a_host_has_its_own_addresses_in_every_zone(tmp_path: Path) -> None:
    """The addresses are those of site_interfaces, in IPv4 and IPv6; interfaces bear the zones' names, or their own."""
    options = _model(tmp_path).run_options(_model(tmp_path).hosts["gw"])
    assert "lab-servers:ip=192.0.2.254,ip6=2001:db8:2::fe,mac=0a:58:c0:00:02:fe,interface_name=servers0" in options
    assert "lab-backup:ip=198.51.100.253,ip6=2001:db8:3::fd,mac=0a:58:c6:33:64:fd,interface_name=backup0" in options
    assert "net.ipv4.ip_forward=1" in options
    named = HOSTS.replace('{servers: [192.0.2.10, "2001:db8:2::a"]}',
                          '{servers: {addresses: ["2001:db8:2::a", 192.0.2.10], interface: ens18}}')  # fmt: skip
    model = _model(tmp_path, named)
    network = "lab-servers:ip=192.0.2.10,ip6=2001:db8:2::a,mac=0a:58:c0:00:02:0a,interface_name=ens18"
    assert network in model.run_options(model.hosts["db"])


def test_equipment_that_no_role_manages_is_in_the_lab_too(tmp_path: Path) -> None:
    """lab_equipment gives a container to entries of site_equipment, behind the same gateway, and hosts stay hosts."""
    model = _model(tmp_path, HOSTS.replace("  vars:\n", "  vars:\n    lab_equipment: {scanner: debian12}\n"))
    assert [host.name for host in model.hosts.values() if not host.managed] == ["scanner"]
    assert model.hosts["scanner"].address == "192.0.2.30"
    assert model.hosts["scanner"].routes == model.hosts["db"].routes


def test_the_rest_of_the_world_is_a_cable_around_its_first_machine(tmp_path: Path) -> None:
    """A zone that is 0.0.0.0/0 and ::/0 gets the lab network of the machine that stands for it."""
    model = _model(tmp_path, HOSTS.replace("  vars:\n", "  vars:\n    lab_equipment: {stranger: debian13}\n"))
    zone = model.zones["internet"]
    assert (str(zone.v4), str(zone.v6)) == ("203.0.113.0/24", "2001:db8:9::/64")
    assert (zone.control(4), zone.control(6)) == ("203.0.113.1", "2001:db8:9::1")


def test_only_the_gateway_forwards_and_everyone_knows_the_others_by_name(tmp_path: Path) -> None:
    """A host without forwarding gets the names of the other hosts, not its own."""
    options = _model(tmp_path).run_options(_model(tmp_path).hosts["db"])
    assert "net.ipv4.ip_forward=1" not in options
    assert "gw:192.0.2.254" in options
    assert not any(option.startswith("db:") for option in options)


def test_a_changed_image_makes_a_new_container(tmp_path: Path) -> None:
    """The digest follows the image and the description of the host, nothing else."""
    model = _model(tmp_path)
    assert model.digest(model.hosts["db"], "a") != model.digest(model.hosts["db"], "b")
    assert model.digest(model.hosts["db"], "a") == _model(tmp_path).digest(model.hosts["db"], "a")


@pytest.mark.parametrize(
    ("found", "written", "key"),
    [
        ("{servers: [192.0.2.10,", "{serveurs: [192.0.2.10,", "db.site_interfaces.serveurs"),
        ('{servers: [192.0.2.10, "2001:db8:2::a"]}', "{}", "db.site_interfaces"),
        ('192.0.2.10, "2001:db8:2::a"', "192.0.2.10", "db.site_interfaces.servers"),
        ("[192.0.2.10,", "[198.51.100.10,", "db.site_interfaces.servers"),
        ("ansible_host: 192.0.2.10", "ansible_host: 192.0.2.11", "db.ansible_host"),
        ("  vars:\n", "  vars:\n    lab_equipment: {nobody: debian12}\n", "lab_equipment.nobody"),
        ("lab_image", "image", "lab_image"),
    ],
)
def test_a_wrong_description_names_the_key(tmp_path: Path, found: str, written: str, key: str) -> None:
    """A wrong zone, no zone, one family only, an address elsewhere, unknown equipment, no lab: each names what to correct."""
    with pytest.raises(InvalidInput) as caught:
        _model(tmp_path, HOSTS.replace(found, written))
    assert [problem.key for problem in caught.value.problems] == [key]
    assert all(problem.remedy for problem in caught.value.problems)


def test_keys_are_made_once(tmp_path: Path) -> None:
    """A second call keeps the keys; a key whose public half is lost is made again."""
    make_keys(tmp_path)
    first = (tmp_path / "keys" / "pgssi").read_bytes()
    make_keys(tmp_path)
    assert (tmp_path / "keys" / "pgssi").read_bytes() == first
    (tmp_path / "keys" / "pgssi.pub").unlink()
    make_keys(tmp_path)
    assert (tmp_path / "keys" / "pgssi").read_bytes() != first
    assert (tmp_path / "keys" / "pgssi").stat().st_mode & 0o077 == 0


def test_pins_of_other_addresses_stay(tmp_path: Path) -> None:
    """Pinning replaces the lines of the given addresses only, and forgets an address without keys."""
    known = tmp_path / "known_hosts"
    known.write_text("192.0.2.1 ssh-ed25519 OLD\n192.0.2.10 ssh-ed25519 OTHER\n192.0.2.2 ssh-ed25519 GONE\n")
    pin(tmp_path, {"192.0.2.1": ["ssh-ed25519 NEW root@host"], "192.0.2.2": []})
    assert known.read_text() == "192.0.2.10 ssh-ed25519 OTHER\n192.0.2.1 ssh-ed25519 NEW\n"


def test_first_day_files_run_in_the_order_of_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all hosts get comes first, then what the groups get, then the host's own."""
    for name in ("db/10-own.sh", "database_servers/20-group.sql", "all/90-all.sh"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("true\n")
    monkeypatch.setattr("pgssi.lab.seed.SEED", tmp_path)
    hosts = HOSTS + "  children: {database_servers: {hosts: {db: }}}\n"
    files = steps(_model(tmp_path, hosts).hosts["db"]).files
    assert [file.name for file in files] == ["90-all.sh", "20-group.sql", "10-own.sh"]


def test_keys_of_the_lab_go_where_the_first_day_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of a .keys file puts one key there, for its owner alone; a public half may be read by all."""
    make_keys(tmp_path)
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "05-own.keys").write_text("irm1 root /etc/ssh/key\nirm1.pub root /etc/ssh/key.pub\n")
    said: list[tuple[str, bytes | None]] = []
    monkeypatch.setattr("pgssi.lab.seed.SEED", tmp_path)

    def console(*words: str, stdin: bytes | None = None) -> str:
        said.append((words[-1], stdin))
        return ""

    seed(_model(tmp_path).hosts["db"], console, tmp_path)
    private, public = ((tmp_path / "keys" / name).read_bytes() for name in ("irm1", "irm1.pub"))
    assert said[1:] == [
        ("install -o root -g root -m 600 /dev/stdin /etc/ssh/key", private),
        ("install -o root -g root -m 644 /dev/stdin /etc/ssh/key.pub", public),
    ]


def test_routes_come_back_with_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host gets a unit that sets both default routes at every start; the gateway gets none."""
    scripts: list[str] = []
    monkeypatch.setattr("pgssi.lab.seed.inside", lambda _name, script: scripts.append(script))
    model = _model(tmp_path)
    for host in model.hosts.values():
        give_routes(host, host.name)
    assert len(scripts) == 1
    assert "ip -4 route replace default via 192.0.2.254\n" in scripts[0]
    assert "ip -6 route replace default via 2001:db8:2::fe\n" in scripts[0]
    assert "enable --now lab-routes.service" in scripts[0]


VIRTUAL = """
    media:
      ansible_host: 127.0.0.1
      ansible_port: 2291
      lab_kind: vm
      lab_image: debian12
      lab_radios: 2
      site_interfaces: {servers: [192.0.2.40, "2001:db8:2::28"]}
      lab_disks:
        one: {bus: sata, size: 64M, serial: SER-1, wwn: "5000c50000000001"}
        two: {bus: scsi, size: 1G, serial: SER-2, rotational: false, fails_at: 32M}
"""


def test_a_virtual_machine_is_on_a_port_of_the_loopback_address_and_on_the_cable_of_its_zone(tmp_path: Path) -> None:
    """A host of lab_kind vm is no container and nobody's neighbour; its host key is pinned for its port."""
    model = _model(tmp_path, HOSTS + VIRTUAL)
    host = model.hosts["media"]
    assert host.machine and host.pinned == "[127.0.0.1]:2291"
    assert "media" not in model.names()
    assert "hostfwd=tcp:127.0.0.1:2291-192.0.2.40:22" in model.user_network(host)
    assert "net=192.0.2.0/24,host=192.0.2.1" in model.user_network(host)


def test_the_hardware_of_a_virtual_machine_is_what_the_inventory_says(tmp_path: Path) -> None:
    """Disks keep their serial number, world wide name and speed; a failing disk fails from the sector that was asked for."""
    machine = _model(tmp_path, HOSTS + VIRTUAL).hosts["media"].machine
    assert machine
    arguments = machine.arguments("lab-media", "media", "restrict=on")
    devices = [word for word in arguments if "serial=SER" in word]
    assert "serial=SER-1,wwn=0x5000c50000000001,rotation_rate=7200" in devices[0]
    assert "serial=SER-2,rotation_rate=1" in devices[1]
    assert any(f"iotype=write,inject-error.0.errno=5,inject-error.0.sector={32 * 2048}" in word for word in arguments)
    assert any("mac80211_hwsim.radios=2" in word for word in arguments)


def test_a_machine_may_start_by_grub(tmp_path: Path) -> None:
    """The firmware starts GRUB, which starts what the host's own configuration says; QEMU gives it no kernel."""
    machine = _model(tmp_path, HOSTS + VIRTUAL.replace("lab_radios: 2", "lab_boot: grub")).hosts["media"].machine
    assert machine
    arguments = machine.arguments("lab-media", "media", "restrict=on")
    assert "-kernel" not in arguments and "-append" not in arguments
    assert [word for word in arguments if "bootindex" in word and "drive=root" in word]
    assert arguments[arguments.index("-smbios") + 1] == "type=1,serial=media"


@pytest.mark.parametrize(
    ("found", "written", "key"),
    [
        ("bus: sata", "bus: floppy", "media.lab_disks.one.bus"),
        ("size: 64M", "size: much", "media.lab_disks.one.size"),
        ("serial: SER-1", "serial: 'a,b'", "media.lab_disks.one.serial"),
        ("rotational: false", "speed: 3", "media.lab_disks.two.speed"),
        ("ansible_port: 2291", "ansible_port: 22", "media.ansible_port"),
        ("ansible_host: 127.0.0.1", "ansible_host: 192.0.2.40", "media.ansible_host"),
        ("lab_kind: vm", "lab_kind: cloud", "media.lab_kind"),
        ("lab_radios: 2", "lab_boot: floppy", "media.lab_boot"),
        ("lab_radios: 2", "lab_radios: 2\n      lab_boot: grub", "media.lab_boot"),
    ],
)
def test_a_wrong_machine_names_the_key(tmp_path: Path, found: str, written: str, key: str) -> None:
    """An unknown bus or kind, a size or a serial number that QEMU would misread, a port of the system's: each is named."""
    with pytest.raises(InvalidInput) as caught:
        _model(tmp_path, HOSTS + VIRTUAL.replace(found, written))
    assert [problem.key for problem in caught.value.problems] == [key]


def test_a_number_left_by_a_machine_is_not_another_program(tmp_path: Path) -> None:
    """After a restart of the control node the pid file may name anything: it is neither asked nor killed."""
    hardware = _model(tmp_path, HOSTS + VIRTUAL).hosts["media"].machine
    assert hardware
    folder = tmp_path / "media"
    folder.mkdir()
    qemu = Qemu(folder, "lab-media", hardware, "restrict=on")
    (folder / "pid").write_text(f"{os.getpid()}\n")
    assert qemu.pid() == 0
    qemu.cut()
    with pytest.raises(QemuError):
        qemu.ask("query-status")


@pytest.mark.parametrize(
    ("does", "starts"),
    [
        ("echo 'Kernel panic - not syncing: VFS'", True),
        ("exec sleep 60", False),
        ("echo 'failed to initialize kvm' >&2; exit 1", False),
    ],
)
def test_an_accelerator_is_used_when_a_kernel_really_starts(
    does: str, starts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host in which a machine stands still is not taken for one that is fast, nor waited for."""
    program = tmp_path / "qemu"
    program.write_text(f"#!/bin/sh\n{does}\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(qemu_module, "PROGRAM", str(program))
    monkeypatch.setattr(qemu_module, "TRIAL_SECONDS", 1)
    assert qemu_module.starts_a_kernel(("-accel", "kvm"), tmp_path / "vmlinuz") is starts
