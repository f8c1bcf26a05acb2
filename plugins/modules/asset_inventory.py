#!/usr/bin/python
"""Read, on one host, what hardware, system and software it is made of. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: asset_inventory
short_description: Read hardware, system and software of a host
description:
  - Read-only. Asks the kernel and the package database; C(elsewhere) names what stands in C(/opt) and C(/usr/local), and what
    snap and flatpak have, which no package of the distribution brought.
options: {}
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Read hardware and software
  pgssi.toolkit.asset_inventory:
  register: seen
"""

RETURN = r"""
asset:
  description: C(release), C(kernel), C(model), C(serial), C(processor), C(processors), C(memory_mb); C(disks), C(interfaces),
    C(packages) and C(elsewhere) by name.
  returned: always
  type: dict
"""

import os
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DISK = re.compile(r"^(sd|hd|vd|xvd|nvme|mmcblk)")
OURS = ("/usr/local/sbin/pgssi-", "/usr/local/lib/pgssi")


def text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def release() -> str:
    found = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)"?$', text("/etc/os-release"), re.MULTILINE))
    return f"{found.get('ID', '?')} {found.get('VERSION_ID', '?')}"


def disks() -> dict[str, str]:
    """Return model, size and serial number of each disk, removable ones included."""
    found = {}
    for folder in sorted(Path("/sys/block").glob("*")):
        if DISK.match(folder.name):
            size = int(text(f"{folder}/size") or 0) * 512 // 10**9
            serial = text(f"{folder}/serial") or text(f"{folder}/device/serial")
            parts = (text(f"{folder}/device/model"), f"{size} Go", serial)
            found[folder.name] = ", ".join(part for part in parts if part)
    return found


def interfaces() -> dict[str, str]:
    folders = sorted(Path("/sys/class/net").glob("*"))
    return {folder.name: text(f"{folder}/address") for folder in folders if folder.name != "lo"}


def packages(module: AnsibleModule) -> dict[str, str]:
    asked = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}\\t${binary:Package}\\t${Version}\\n"]
    _, out, _ = module.run_command(asked, check_rc=True)
    lines = (line.split("\t") for line in out.splitlines())
    return {name: version for status, name, version in lines if status == "installed"}


def elsewhere(module: AnsibleModule) -> dict[str, str]:
    """Return what no package brought: first level of /opt and of the programs of /usr/local, snaps and flatpaks."""
    found = {}
    for root in ("/opt", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib"):
        for path in sorted(Path(root).glob("*")):
            if not str(path).startswith(OURS):
                kind = "répertoire" if path.is_dir() else f"{path.lstat().st_size} octets"
                if kind != "répertoire" or any(path.iterdir()):
                    found[str(path)] = kind
    for program, asked in (("snap", ["snap", "list"]), ("flatpak", ["flatpak", "list", "--columns=application,version"])):
        if module.get_bin_path(program):
            _, out, _ = module.run_command(asked)
            rows = [line.split() for line in out.splitlines() if len(line.split()) > 1]
            found.update({f"{program}:{row[0]}": row[1] for row in rows if row[0] not in ("Name", "Application")})
    return found


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    models = re.findall(r"^model name\s*:\s*(.*)$", text("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", text("/proc/meminfo"), re.MULTILINE)
    dmi = [text(f"/sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name")]
    asset = {
        "release": release(),
        "kernel": os.uname().release,
        "model": " ".join(part for part in dmi if part),
        "serial": text("/sys/class/dmi/id/product_serial"),
        "processor": models[0] if models else os.uname().machine,
        "processors": os.cpu_count() or 0,
        "memory_mb": int(memory[1]) // 1024 // 64 * 64 if memory else 0,
        "disks": disks(),
        "interfaces": interfaces(),
        "packages": packages(module),
        "elsewhere": elsewhere(module),
    }
    module.exit_json(changed=False, asset=asset)


if __name__ == "__main__":
    main()
