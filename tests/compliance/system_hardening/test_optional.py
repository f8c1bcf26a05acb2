"""What a site has to ask for, since it may hinder an application or a person: processes hidden, USB newcomers refused."""

from __future__ import annotations

import pytest

from pgssi.verify import not_applicable, not_verified

# As an account without any group: the processes that it sees and that are not its own.
STRANGERS = """setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs python3 -I -c '
import os
pids = [name for name in os.listdir("/proc") if name.isdigit()]
seen = 0
for pid in pids:
    try:
        seen += os.stat(f"/proc/{pid}").st_uid != 65534
    except FileNotFoundError:
        pass
print(len(pids), seen)'"""
HUBS = 'for hub in /sys/bus/usb/devices/usb*/authorized_default; do [ -e "$hub" ] && echo "$hub $(cat "$hub")"; done; true'


@pytest.mark.rule("processes-hidden")
def test_processes_of_others(kernel, facts, site, observe):
    """An account without any group lists /proc: it sees no process that belongs to another account."""
    if str(site.get("system_hardening_processes_hidden", False)).lower() not in ("true", "yes"):
        not_applicable("le site ne le demande pas pour cet hôte (system_hardening_processes_hidden)")
    kernel.own()
    answer = facts.result("hardening-strangers", STRANGERS)
    if answer.rc:
        not_verified(f"l'essai n'a pas pu se faire : {answer.stderr.strip()[-200:]}")
    total, strangers = map(int, answer.stdout.split())
    observe(f"{total} processus vus par un compte ordinaire, {strangers} d'autrui")
    assert total and not strangers, f"un compte ordinaire voit {strangers} processus d'autrui"


@pytest.mark.rule("usb-newcomers-refused")
def test_usb_newcomers(kernel, facts, site, observe):
    """The kernel is asked, for each USB controller, what becomes of a device that is plugged in from now on."""
    if site.get("system_hardening_usb", "open") != "closed":
        not_applicable("le site ne le demande pas pour cet hôte (system_hardening_usb)")
    kernel.own()
    hubs = dict(line.split() for line in facts("hardening-usb", HUBS).splitlines())
    if not hubs:
        not_applicable("l'hôte n'a pas de contrôleur USB")
    faults = [path.split("/")[5] for path, value in hubs.items() if value not in ("0", "2")]
    observe(f"{len(hubs)} contrôleurs USB, {len(faults)} qui acceptent tout")
    assert not faults, f"un périphérique branché maintenant serait accepté : {', '.join(faults)}"
