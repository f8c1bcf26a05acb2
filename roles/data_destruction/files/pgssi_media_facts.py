"""The storage media of this host, read live: what they are, what is on them, who uses them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SYS = Path("/sys")
COLUMNS = "NAME,PATH,MAJ:MIN,TYPE,SIZE,SERIAL,WWN,MODEL,REV,ROTA,RO,RM,TRAN,FSTYPE,LABEL,MOUNTPOINTS,START,DISC-MAX"
# Where an operating system lives; anything mounted is refused, these are told apart.
SYSTEM = ("/", "/boot", "/boot/efi", "/usr", "/var", "/var/lib", "/home")
SECTOR = 512
BTRFS = 0x10000
HOLDERS = (("mpath-", "mpath"), ("CRYPT-", "luks"), ("LVM-", "lvm"), ("DMRAID-", "raid"))


def run(*command: str, timeout: float = 120) -> str:
    """Return what a program writes; "" when it is missing or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def media() -> list[dict[str, Any]]:
    """Return every block device of the host that is no part of another, loop devices and memory left out.

    Raises OSError when the kernel's own list cannot be had: nothing may be decided then.
    """
    shown = run("lsblk", "--json", "--bytes", "--tree", "--output", COLUMNS)
    if not shown:
        raise OSError("lsblk ne répond pas")
    return [_medium(raw) for raw in json.loads(shown)["blockdevices"] if raw["type"] in ("disk", "rom")]


def _medium(raw: dict[str, Any]) -> dict[str, Any]:
    family = list(_family(raw))
    points = [point for one in family for point in one.get("mountpoints") or () if point]
    serials = [*dict.fromkeys(filter(None, [*_kernel_serials(raw["name"]), str(raw.get("serial") or "").strip()]))]
    return {
        "name": raw["name"],
        "path": raw["path"],
        "devno": raw["maj:min"],
        "numbers": sorted({one["maj:min"] for one in family}),
        "type": raw["type"] if not re.match(r"zram|ram|nbd|rbd|drbd|fd", raw["name"]) else raw["name"],
        "bus": _bus(raw),
        "serial": serials[0] if serials else "",
        "serials": serials,
        "wwn": str(raw.get("wwn") or ""),
        "model": " ".join(str(raw.get("model") or "").split()),
        "revision": str(raw.get("rev") or "").strip(),
        "size": int(raw["size"] or 0),
        "rotational": bool(raw["rota"]),
        "removable": bool(raw["rm"]),
        "read_only": bool(raw["ro"]),
        "discard": bool(raw.get("disc-max")),
        "parts": [(part["path"], int(part.get("start") or 0) * SECTOR, part.get("fstype") or "") for part in _parts(raw)],
        "contents": [],
        "holders": _holders(raw),
        "mounted": [point for point in points if point != "[SWAP]"],
        "system": [point for point in points if point in SYSTEM],
        "swap": [one["path"] for one in family if "[SWAP]" in (one.get("mountpoints") or ())],
        "last_write": None,
    }


def _family(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a device and everything that is built on it."""
    return [raw, *(one for child in raw.get("children") or () for one in _family(child))]


def _parts(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a disk and its partitions."""
    return [raw, *(child for child in raw.get("children") or () if child["type"] == "part")]


def _bus(raw: dict[str, Any]) -> str:
    if raw["name"].startswith("mmcblk"):
        return "mmc"
    if raw["name"].startswith("nvme"):
        return _transport(SYS / "block" / raw["name"] / "device")
    return str(raw.get("tran") or ("virtio" if raw["name"].startswith("vd") else "scsi"))


def _transport(controller: Path) -> str:
    """Return "nvme" for a medium of this host, and the way to it (nvme-tcp, nvme-rdma…) for a volume of another one.

    With several ways to it, the kernel shows a subsystem whose controllers are inside.
    """
    ways = {_text(path) for path in (controller / "transport", *controller.glob("nvme*/transport"))}
    return min((f"nvme-{way}" for way in ways - {"", "pcie", "apple-nvme"}), default="nvme")


def _kernel_serials(name: str) -> list[str]:
    """Return the serial numbers that the kernel itself has read from the device, most telling first."""
    block = SYS / "block" / name
    found = [_text(block / "serial"), _text(block / "device" / "serial")]
    with contextlib.suppress(OSError):
        page = (block / "device" / "vpd_pg80").read_bytes()
        found.append(page[4 : 4 + page[3]].decode("ascii", "replace").strip("\0 "))
    if not any(found):
        for folder in (block / "device").resolve().parents:
            if (folder / "idVendor").exists():
                found.append(_text(folder / "serial"))
                break
    return [serial for serial in found if serial]


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip("\0 \n")
    except OSError:
        return ""


def _holders(raw: dict[str, Any]) -> list[dict[str, str]]:
    """Return what the kernel says is built on the disk or on a partition of it: {name, kind}."""
    block = SYS / "block" / raw["name"]
    found = []
    for holder in sorted([*block.glob("holders/*"), *block.glob("*/holders/*")]):
        name = holder.name
        uuid = _text(SYS / "block" / name / "dm" / "uuid")
        kind = "raid" if name.startswith("md") else next((kind for start, kind in HOLDERS if start in uuid), "dm")
        found.append({"name": _text(SYS / "block" / name / "dm" / "name") or name, "kind": kind})
    return found


def looked(medium: dict[str, Any]) -> dict[str, Any]:
    """Return the medium with the signatures on it, {where, type, label, offset in bytes}, and when it was last written to.

    A signature is inside its structure: a LUKS container, whose header must go, begins where the partition begins.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path, start, known in medium["parts"]:
        shown = run("wipefs", "--json", path)
        seen = [(one["type"], one.get("label")) for one in (json.loads(shown)["signatures"] if shown.strip() else ())]
        for kind, label in seen or ([(known, "")] if known else []):
            kind = "btrfs_member" if kind == "btrfs" and _btrfs_disks(path) > 1 else kind
            found.setdefault((path, kind), {"where": path, "type": kind, "label": label or "", "offset": start})
    contents = list(found.values())
    return {**medium, "contents": contents, "last_write": _last_write(contents)}


def _btrfs_disks(path: str) -> int:
    """Return how many media a btrfs volume lives on (its first superblock); one that cannot be read may have several."""
    try:
        with Path(path).open("rb") as device:
            device.seek(BTRFS + 0x88)
            return int.from_bytes(device.read(8), "little")
    except OSError:
        return 2


def _last_write(contents: list[dict[str, Any]]) -> str | None:
    """Return when the filesystems were last written to, None when one of the contents does not tell."""
    latest = 0
    for one in contents:
        if one["type"] in ("gpt", "dos", "PMBR"):
            continue
        if one["type"] not in ("ext2", "ext3", "ext4"):
            return None
        with contextlib.suppress(OSError), Path(one["where"]).open("rb") as device:
            device.seek(1024 + 44)
            mounted, written, _, _, magic = struct.unpack("<IIHHH", device.read(14))
            if magic == 0xEF53:
                latest = max(latest, mounted, written)
    return datetime.fromtimestamp(latest, UTC).isoformat() if latest else None


def detail(medium: dict[str, Any]) -> dict[str, Any]:
    """Return the medium with what it must be asked for: hidden sectors, its own erase commands, its health."""
    path = medium["path"]
    hidden, commands, beyond = 0, [], []
    if medium["bus"] == "nvme":
        with contextlib.suppress(ValueError):
            known = json.loads(run("nvme", "id-ctrl", "--output-format=json", path) or "{}")
            commands = nvme_commands(int(known.get("sanicap", 0)), int(known.get("fna", 0)), int(known.get("oacs", 0)))
            beyond = nvme_beyond(run("nvme", "list-ns", "--all", "--output-format=json", path), int(known.get("unvmcap", 0)))
    elif medium["bus"] in ("sata", "ata"):
        hidden = ata_hidden(run("hdparm", "-N", path))
        commands = ata_commands(run("hdparm", "-I", path))
    elif medium["bus"] in ("scsi", "sas"):
        commands = scsi_commands(path)
    return {**medium, "hidden": hidden, "beyond": beyond, "firmware": commands, "smart": _smart(path)}


def nvme_commands(sanicap: int, fna: int, oacs: int) -> list[str]:
    """Return the commands of an NVMe controller, the surest first (NVM Express base specification, identify controller)."""
    found = [name for bit, name in ((2, "nvme-sanitize-block"), (1, "nvme-sanitize-crypto")) if sanicap & bit]
    if oacs & 2:
        found += ["nvme-format-crypto"] if fna & 4 else []
        found.append("nvme-format")
    return found


def nvme_beyond(shown: str, free: int) -> list[str]:
    """Return what a controller has beyond its one visible namespace: others, which no host need see, and what is in none."""
    every = [one["nsid"] for one in json.loads(shown or "{}").get("nsid_list", ()) if one["nsid"]]
    told = [f"{len(every) - 1} autres espaces de noms"] if len(every) > 1 else []
    return [*told, f"{free} octets qui ne sont dans aucun"] if free else told


def ata_hidden(shown: str) -> int:
    """Return how many sectors an ATA device hides (host-protected area) from ``hdparm -N``; 0 when it has no such area."""
    limits = re.search(r"max sectors\s*=\s*(\d+)/(\d+)", shown)
    return max(0, int(limits[2]) - int(limits[1])) if limits else 0


def ata_commands(shown: str) -> list[str]:
    """Return the commands of an ATA device from ``hdparm -I``; a frozen or locked device has no security erase."""
    found = [name for word, name in (("BLOCK_ERASE_EXT", "ata-sanitize-block"), ("CRYPTO_SCRAMBLE_EXT", "ata-sanitize-crypto"))
             if word in shown]  # fmt: skip
    security = shown.partition("\nSecurity:")[2]
    if re.search(r"^\s+supported\s*$", security, re.MULTILINE) and re.search(r"^\s+not\s+frozen\s*$", security, re.MULTILINE):
        found.append("ata-security-erase-enhanced" if "supported: enhanced erase" in security else "ata-security-erase")
    return found


def scsi_commands(path: str) -> list[str]:
    """Return the sanitize commands that a SCSI device says it supports."""
    found = []
    for code, name in (("0x48,0x2", "block"), ("0x48,0x3", "crypto"), ("0x48,0x1", "overwrite")):
        said = run("sg_opcodes", f"--opcode={code}", path).lower()
        if "supported" in said and "not supported" not in said:
            found.append(f"scsi-sanitize-{name}")
    return found


def _smart(path: str) -> dict[str, Any]:
    """Return {passed, hours, reallocated, pending} as far as the device tells."""
    try:
        done = subprocess.run(["smartctl", "--json", "--health", "--attributes", path], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, check=False)  # fmt: skip
        shown = json.loads(done.stdout or b"{}")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    table = {one["id"]: one["raw"]["value"] for one in shown.get("ata_smart_attributes", {}).get("table", ())}
    known = {
        "passed": shown.get("smart_status", {}).get("passed"),
        "hours": shown.get("power_on_time", {}).get("hours"),
        "reallocated": table.get(5),
        "pending": table.get(197),
    }
    return {key: value for key, value in known.items() if value is not None}


def counters(name: str) -> dict[str, int]:
    """Return what the kernel has counted for a disk since it knows it: {read, written, discarded}, in bytes."""
    fields = (SYS / "block" / name / "stat").read_text("ascii").split()
    return {"read": int(fields[2]) * SECTOR, "written": int(fields[6]) * SECTOR, "discarded": int(fields[13]) * SECTOR}


def host() -> dict[str, Any]:
    """Return what identifies this equipment: name, machine-id, product serial number, addresses of its network cards."""
    cards = sorted(path for path in (SYS / "class" / "net").iterdir() if (path / "device").exists())
    return {
        "name": os.uname().nodename,
        "machine_id": _text(Path("/etc/machine-id")),
        "kernel": os.uname().release,
        "product": _text(SYS / "class" / "dmi" / "id" / "product_name"),
        "product_serial": _text(SYS / "class" / "dmi" / "id" / "product_serial"),
        "mac": [_text(card / "address") for card in cards],
    }


def tools() -> dict[str, str]:
    """Return the version of each program that may take part, by name; those that are missing are not there."""
    ask = {"nwipe": "--version", "nvme": "version", "hdparm": "-V", "sg_sanitize": "--version", "blkdiscard": "--version",
           "smartctl": "--version", "lsblk": "--version"}  # fmt: skip
    found = {}
    for name, option in ask.items():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run([name, option], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
            said = (done.stdout or done.stderr).decode(errors="replace").strip()
            if said:
                found[name] = said.splitlines()[0][:100]
    return found
