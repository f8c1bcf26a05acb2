"""A virtual machine of the lab: its hardware as the inventory describes it, and QEMU's arguments for that hardware."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgssi.errors import InvalidInput, Problem

BUSES = ("virtio", "sata", "scsi", "nvme", "usb")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
SECTOR = 512
# The controllers that hold several disks, and their QEMU devices; the others are one device each.
CONTROLLERS = {"scsi": "virtio-scsi-pci,id=bus-scsi", "usb": "qemu-xhci,id=bus-usb"}
# How it starts: QEMU loads the kernel, or its firmware loads GRUB, which reads the host's own configuration.
BOOTS = ("kernel", "grub")
FIRMWARE, FIRMWARE_VALUES = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
KEYS = ("bus", "size", "serial", "wwn", "rotational", "read_only", "fails_at", "lies")


@dataclass(frozen=True)
class Disk:
    """One extra disk. size and fails_at are in bytes; a write that touches the byte fails_at (-1: none) is refused.

    lies: it reports every write as done and keeps what it held. wwn: 16 hexadecimal digits, or "".
    """

    name: str
    bus: str
    size: int
    serial: str
    wwn: str = ""
    rotational: bool = True
    read_only: bool = False
    fails_at: int = -1
    lies: bool = False

    @property
    def file(self) -> str:
        """The name of its backing file."""
        return f"{self.name}.img"

    def block(self) -> list[str]:
        """Return the QEMU options that open its backing file as the block device of its name."""
        opened = f"driver=raw,cache.no-flush=on,discard=unmap,file.driver=file,file.filename={self.file},file.locking=off"
        if self.lies:
            # Writes go to both children and one success is enough; reads come from the first, which takes none.
            real = f"{self.name}-real"
            void = f"{self.name}-void"
            refusing = ("driver=blkdebug", f"node-name={self.name}-refusing", f"image={real}", *_refused(0, "write", "discard"))
            return [
                *("-blockdev", f"{opened},node-name={real}"),
                *("-blockdev", ",".join(refusing)),
                *("-blockdev", f"driver=null-co,node-name={void},size={self.size},read-zeroes=on"),
                "-blockdev",
                f"driver=quorum,node-name={self.name},vote-threshold=1,read-pattern=fifo,"
                f"children.0={self.name}-refusing,children.1={void}",
            ]
        if self.fails_at >= 0:
            real = f"{self.name}-real"
            faults = _refused(self.fails_at // SECTOR, "write")
            return [
                *("-blockdev", f"{opened},node-name={real}"),
                *("-blockdev", ",".join(("driver=blkdebug", f"node-name={self.name}", f"image={real}", *faults))),
            ]
        return ["-blockdev", f"{opened},node-name={self.name},read-only={'on' if self.read_only else 'off'}"]

    def device(self, place: int) -> str:
        """Return the QEMU device of the disk; place: its number on its bus."""
        common = f"drive={self.name},id=disk-{self.name},serial={self.serial}"
        wwn = f",wwn=0x{self.wwn}" if self.wwn else ""
        rate = f",rotation_rate={7200 if self.rotational else 1}"
        return {
            "virtio": f"virtio-blk-pci,{common}",
            "sata": f"ide-hd,bus=ide.{place},{common}{wwn}{rate}",
            "scsi": f"scsi-hd,bus=bus-scsi.0,scsi-id={place},device_id={self.serial},{common}{wwn}{rate}",
            "nvme": f"nvme,{common}",
            "usb": f"usb-storage,bus=bus-usb.0,{common}",
        }[self.bus]


def _refused(sector: int, *kinds: str) -> list[str]:
    """Return blkdebug's rules for an error on each of these kinds of request that touches the sector (0: any sector)."""
    rules = []
    for number, kind in enumerate(kinds):
        rule = f"inject-error.{number}"
        rules += [f"{rule}.event=none", f"{rule}.iotype={kind}", f"{rule}.errno=5"]
        if sector:
            rules.append(f"{rule}.sector={sector}")
    return rules


@dataclass(frozen=True)
class Machine:
    """The hardware of a virtual machine. port: where its sshd answers on the loopback address; memory: MiB; boot: see BOOTS."""

    port: int
    memory: int
    processors: int
    radios: int
    boot: str
    disks: tuple[Disk, ...]

    def arguments(self, name: str, hostname: str, network: str) -> list[str]:
        """Return QEMU's arguments, for its folder as working directory. network: options of the user-mode network."""
        order = ",bootindex=2" if self.boot == "grub" else ""  # the firmware only looks at disks that have a place
        arguments = [
            *("-name", name, "-M", "q35", "-m", str(self.memory), "-smp", str(self.processors)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-daemonize"),
            *("-chardev", "socket,id=console,path=console,server=on,wait=off,logfile=console.log", "-serial", "chardev:console"),
            *("-qmp", "unix:qmp,server=on,wait=off"),
            *self._start(hostname),
            *("-fw_cfg", "name=opt/io.systemd.credentials/tmpfiles.extra,file=first-boot"),
            *("-drive", "if=none,id=root,file=root.qcow2,format=qcow2,cache=unsafe,discard=unmap"),
            *("-device", f"virtio-blk-pci,drive=root,serial=root{order}", "-device", "virtio-rng-pci"),
            *("-netdev", f"user,id=net,restrict=on,{network}", "-device", "virtio-net-pci,netdev=net"),
        ]
        for bus in dict.fromkeys(disk.bus for disk in self.disks):
            if bus in CONTROLLERS:
                arguments += ["-device", CONTROLLERS[bus]]
            for place, disk in enumerate(disk for disk in self.disks if disk.bus == bus):
                arguments += [*disk.block(), "-device", disk.device(place)]
        return arguments

    def _start(self, hostname: str) -> list[str]:
        """Return the options of what starts the machine; GRUB learns the name of the host from the firmware."""
        if self.boot == "grub":
            return [
                *("-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}"),
                *("-drive", "if=pflash,format=raw,file=firmware"),
                *("-drive", "if=none,id=efi,format=qcow2,read-only=on,file=efi.qcow2"),
                *("-device", "virtio-blk-pci,drive=efi,serial=efi,bootindex=1"),
                *("-smbios", f"type=1,serial={hostname}"),
            ]
        kernel = f"root=LABEL=labroot rw console=ttyS0 quiet systemd.hostname={hostname} net.ifnames=1"
        if self.radios:
            kernel += f" modules_load=mac80211_hwsim mac80211_hwsim.radios={self.radios}"
        return ["-kernel", "vmlinuz", "-initrd", "initrd.img", "-append", kernel]


def machine(name: str, values: Mapping[str, Any], source: str) -> Machine:
    """Read the machine of a host with ``lab_kind: vm``: ``ansible_port`` and the optional ``lab_memory``,
    ``lab_processors``, ``lab_radios``, ``lab_boot`` and ``lab_disks``. Raises InvalidInput.
    """
    numbers = {"ansible_port": 0, "lab_memory": 768, "lab_processors": 1, "lab_radios": 0}
    for key, default in numbers.items():
        value = values.get(key, default)
        low = {"ansible_port": 1024, "lab_memory": 256, "lab_processors": 1}.get(key, 0)
        if not isinstance(value, int) or not low <= value <= 65535:
            raise _invalid(source, f"{name}.{key}", value, "n'est pas un nombre utilisable", f"Un entier de {low} à 65535.")
        numbers[key] = value
    boot = values.get("lab_boot", "kernel")
    if boot not in BOOTS:
        raise _invalid(source, f"{name}.lab_boot", boot, "n'est pas connu", f"Choisir parmi : {', '.join(BOOTS)}.")
    if boot == "grub" and numbers["lab_radios"]:
        raise _invalid(source, f"{name}.lab_boot", boot, "ne donne pas de radios au noyau", "Choisir kernel.")
    raw = values.get("lab_disks") or {}
    if not isinstance(raw, Mapping):
        raise _invalid(source, f"{name}.lab_disks", raw, "n'est pas un dictionnaire", "NOM: {bus, size, serial}.")
    disks = tuple(_disk(f"{name}.lab_disks.{disk}", disk, value, source) for disk, value in raw.items())
    return Machine(numbers["ansible_port"], numbers["lab_memory"], numbers["lab_processors"], numbers["lab_radios"], boot, disks)


def _disk(key: str, name: str, raw: Any, source: str) -> Disk:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", name):
        raise _invalid(source, key, name, "n'est pas un nom de disque", "Lettres minuscules, chiffres et tirets.")
    if not isinstance(raw, Mapping):
        raise _invalid(source, key, raw, "n'est pas un dictionnaire", "Donner {bus, size, serial}.")
    for unknown in sorted(set(raw) - set(KEYS)):
        raise _invalid(source, f"{key}.{unknown}", raw[unknown], "clé inconnue", f"Choisir parmi : {', '.join(KEYS)}.")
    bus, serial, wwn = raw.get("bus"), str(raw.get("serial", "")), str(raw.get("wwn", ""))
    if bus not in BUSES:
        raise _invalid(source, f"{key}.bus", bus, "bus inconnu", f"Choisir parmi : {', '.join(BUSES)}.")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,20}", serial):
        raise _invalid(source, f"{key}.serial", serial, "n'est pas un numéro de série", "1 à 20 lettres, chiffres, - ou _.")
    if wwn and (bus not in ("sata", "scsi") or not re.fullmatch(r"[0-9a-f]{16}", wwn)):
        raise _invalid(source, f"{key}.wwn", wwn, "n'est pas utilisable", "16 chiffres hexadécimaux, sur sata ou scsi.")
    read_only = raw.get("read_only", False) is True
    if read_only and bus == "sata":
        raise _invalid(source, f"{key}.read_only", True, "QEMU ne sait pas protéger un disque sata", "Choisir scsi ou virtio.")
    fails_at = _bytes(f"{key}.fails_at", raw["fails_at"], source) if "fails_at" in raw else -1
    return Disk(name, bus, _bytes(f"{key}.size", raw.get("size"), source), serial, wwn, raw.get("rotational", True) is True,
                read_only, fails_at, raw.get("lies", False) is True)  # fmt: skip


def _bytes(key: str, value: object, source: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([KMG])", str(value))
    if not found:
        raise _invalid(source, key, value, "n'est pas une taille", "Un nombre suivi de K, M ou G : 64M.")
    return int(found[1]) * UNITS[found[2]]


def _invalid(file: str, key: str, value: object, message: str, remedy: str) -> InvalidInput:
    return InvalidInput([Problem(file, key, value, message, remedy)])
