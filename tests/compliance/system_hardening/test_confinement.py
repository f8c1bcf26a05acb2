"""Confinement of exposed services, as systemd applies it in the end and as their processes have it (BP-028 R64, R65)."""

from __future__ import annotations

import re

import pytest

from pgssi.verify import not_applicable

KNOWN = {"nginx.service": [], "postgresql@.service": []}
WANTED = {
    "NoNewPrivileges": ("yes",),
    "ProtectSystem": ("full", "strict"),
    "ProtectKernelTunables": ("yes",),
    "ProtectKernelModules": ("yes",),
    "ProtectKernelLogs": ("yes",),
    "ProtectControlGroups": ("yes",),
    "ProtectHostname": ("yes",),
    "LockPersonality": ("yes",),
    "RestrictRealtime": ("yes",),
}
# Of each running service: what systemd applies, every drop-in counted in, then what its process has.
SEEN = """for unit in $(systemctl list-units --plain --no-legend --type=service --state=active {patterns} | cut -d' ' -f1); do
systemctl show -p Id,MainPID,{properties} -- "$unit"
pid=$(systemctl show -P MainPID -- "$unit")
sed -nE 's/^(NoNewPrivs|Seccomp):[[:space:]]*/\\1=/p' /proc/$pid/status
grep -qE '^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /usr ro' /proc/$pid/mountinfo && echo System=ro || echo System=rw
echo; done"""


@pytest.mark.rule("services-confined")
def test_confinement(kernel, facts, site, observe):
    """systemd is asked what it applies to each running service; the kernel, whether the process has it."""
    known = site.get("system_hardening_confined_services", KNOWN)
    patterns = " ".join(f"'{unit.replace('@.', '@*.')}'" for unit in known)
    said = facts("hardening-confinement", SEEN.format(patterns=patterns, properties=",".join(WANTED)), timeout=120)
    services = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n") if block]
    if not services:
        not_applicable("aucun de ces services ne tourne ici")
    faults = []
    for seen in services:
        left = known[re.sub(r"@.*\.", "@.", seen["Id"])]
        wrong = [key for key, allowed in WANTED.items() if key not in left and seen.get(key) not in allowed]
        if seen.get("NoNewPrivs") != "1" and "NoNewPrivileges" not in left:
            wrong.append("le processus peut gagner des droits")
        # In a container systemd may not make the mounts; what it asks for is what can be seen.
        if seen["System"] != "ro" and "ProtectSystem" not in left and not kernel.seen["container"]["inside"]:
            wrong.append("le processus peut écrire dans /usr")
        faults += [f"{seen['Id']} : {', '.join(wrong)}"] if wrong else []
    observe(f"{len(services)} services exposés, {len(faults)} mal confinés")
    assert not faults, " ; ".join(faults)
