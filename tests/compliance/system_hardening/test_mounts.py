"""Mounts as the first process of the host has them."""

from __future__ import annotations

import pytest

FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
LINE = "{print $5, $6}"


def covering(mounts, folder):
    """Return the options of the mount that holds a folder: the last of the longest."""
    found = ("", [])
    for path, options in mounts:
        if (folder == path or folder.startswith(path.rstrip("/") + "/")) and len(path) >= len(found[0]):
            found = (path, options)
    return found[1]


@pytest.mark.rule("temporary-mounts-restricted")
def test_temporary_folders(kernel, facts, site, observe):
    """The mount that holds each temporary folder is asked for its options, as the kernel has them now."""
    kernel.own()
    lines = facts("hardening-mounts", f"awk '{LINE}' /proc/1/mountinfo").splitlines()
    mounts = [(line.split()[0], line.split()[1].split(",")) for line in lines]
    wanted = ["nosuid", "nodev"]
    if str(site.get("system_hardening_temporary_noexec", False)).lower() in ("true", "yes"):
        wanted.append("noexec")
    faults = []
    for folder in FOLDERS:
        missing = [option for option in wanted if option not in covering(mounts, folder)]
        faults += [f"{folder} sans {','.join(missing)}"] if missing else []
    observe(f"{len(FOLDERS)} dossiers, {len(faults)} écarts")
    assert not faults, ", ".join(faults)
