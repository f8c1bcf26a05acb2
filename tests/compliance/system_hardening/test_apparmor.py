"""AppArmor as the kernel applies it (BP-028 R37, R45)."""

from __future__ import annotations

import json
import re

import pytest

PROFILES = "cat /sys/kernel/security/apparmor/profiles"
# The programs that run without profile, and what the enforced profiles are made for.
UNCONFINED = """python3 -c '
import glob, json, os
def said(path):
    with open(path) as file: return file.read().strip()
programs = set()
for folder in glob.glob("/proc/[0-9]*"):
    try:
        if said(folder + "/attr/apparmor/current") == "unconfined":
            programs.add(os.readlink(folder + "/exe").removesuffix(" (deleted)"))
    except OSError:
        continue
made = [path for path in glob.glob("/sys/kernel/security/apparmor/policy/profiles/*") if said(path + "/mode") == "enforce"]
print(json.dumps({"programs": sorted(programs), "attached": [said(path + "/attach") for path in made]}))'"""


def profiles(facts):
    """Return the loaded profiles with their mode."""
    lines = facts("hardening-profiles", PROFILES).splitlines()
    return dict(match.groups() for line in lines if (match := re.fullmatch(r"(.*) \((\w+)\)", line)))


def attachment(pattern: str) -> re.Pattern[str]:
    """Return the programs that a profile is made for, as apparmor.d(5) writes them: * ** ? [] {,}."""
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
    words = re.split(r"(\*\*|[*?{},]|\[[^]]*\])", pattern)
    return re.compile("".join(signs.get(word, word if word.startswith("[") else re.escape(word)) for word in words))


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
    running = json.loads(facts("hardening-unconfined", UNCONFINED, timeout=120))
    made = [attachment(pattern) for pattern in running["attached"]]
    loose = [program for program in running["programs"] if any(one.fullmatch(program) for one in made)]
    faults += [f"{program} tourne sans son profil, chargé après lui" for program in loose]
    observe(f"{len(loaded)} profils, {len(faults)} écarts")
    assert not faults, ", ".join(faults)
