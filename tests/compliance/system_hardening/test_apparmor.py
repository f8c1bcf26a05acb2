"""AppArmor as the kernel applies it (BP-028 R37, R45)."""

from __future__ import annotations

import re

import pytest

PROFILES = "cat /sys/kernel/security/apparmor/profiles"
# The programs that run, and the profile that each is under.
PROCESSES = """python3 -c '
import glob, os
for folder in glob.glob("/proc/[0-9]*"):
    try:
        program = os.readlink(folder + "/exe")
        under = open(folder + "/attr/apparmor/current").read().strip()
    except OSError:
        continue
    print(program, under)'"""


def profiles(facts):
    """Return the loaded profiles with their mode."""
    lines = facts("hardening-profiles", PROFILES).splitlines()
    return dict(match.groups() for line in lines if (match := re.fullmatch(r"(.*) \((\w+)\)", line)))


@pytest.mark.rule("apparmor-active")
def test_active(kernel, facts, observe):
    """The kernel is asked whether AppArmor works and what it has loaded, systemd whether the profiles come at boot."""
    kernel.own()
    switch = facts("hardening-apparmor", "cat /sys/module/apparmor/parameters/enabled").strip()
    state = facts(
        "hardening-apparmor-unit", "systemctl is-enabled apparmor.service; systemctl is-active apparmor.service"
    ).split()
    loaded = profiles(facts)
    observe(f"noyau : {switch or 'absent'}, {len(loaded)} profils, service : {' '.join(state)}")
    assert switch == "Y", "AppArmor n'est pas actif dans le noyau"
    assert loaded, "aucun profil chargé"
    assert state == ["enabled", "active"], f"apparmor.service : {' '.join(state)}"


@pytest.mark.rule("apparmor-profiles-enforced")
def test_enforced(kernel, facts, site, observe):
    """The mode of every profile in the kernel is read, and under which profile each program runs."""
    kernel.own()
    loaded, kept = profiles(facts), site.get("system_hardening_kept_profiles", [])
    assert loaded, "aucun profil chargé"
    faults = [f"{name} ({mode})" for name, mode in loaded.items() if mode == "complain" and name not in kept]
    running = [line.partition(" ") for line in facts("hardening-processes", PROCESSES, timeout=120).splitlines()]
    attached = {program for program, _, under in running if under.strip() == "unconfined" and loaded.get(program) == "enforce"}
    faults += [f"{program} tourne sans son profil" for program in sorted(attached)]
    observe(f"{len(loaded)} profils, {len(faults)} écarts")
    assert not faults, ", ".join(faults)
