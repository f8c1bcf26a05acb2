"""What the kernel notes: changes of rights, privileged programs, modules and clock, refusals; nobody turns it off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

Observe = Callable[[str], None]
ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d")


@pytest.mark.rule("audit-account-changes")
@pytest.mark.acts
@pytest.mark.parametrize("path", ACCOUNTS)
def test_account_files_are_watched(audited: Any, path: str) -> None:
    """Each file that gives rights has its mode set to what it already is; the audit trail is asked for the event."""
    assert audited(f"chmod --reference={path} {path}", f'name="{path}"', "type=SYSCALL"), (
        f"modifier {path} ne laisse pas d'événement"
    )


@pytest.mark.rule("audit-privileged-programs")
@pytest.mark.acts
def test_privileged_program_is_noted(audited: Any) -> None:
    """The account nobody starts a setuid program of the system, and the audit trail is asked for its execution."""
    assert audited("runuser -u nobody -- chage -l nobody", 'exe="/usr/bin/chage"', "type=SYSCALL"), (
        "un programme setuid lancé par un compte ordinaire ne laisse pas d'événement"
    )


@pytest.mark.rule("audit-kernel-changes")
@pytest.mark.acts
@pytest.mark.parametrize(
    ("what", "call", "name"),
    [("module", "syscall(175, b'', 0, b'')", "syscall=175"), ("horloge", "syscall(227, 11, None)", "syscall=227")],
)
def test_kernel_changes_are_noted(audited: Any, host: Host, what: str, call: str, name: str) -> None:
    """A module that is none is loaded and a clock that cannot be set is set; both calls fail, and leave an audit event."""
    if host.check_output("uname -m").strip() != "x86_64":
        call, name = call.replace("175", "105").replace("227", "112"), {"module": "syscall=105", "horloge": "syscall=112"}[what]
    command = f'python3 -I -c "import ctypes; ctypes.CDLL(None).{call}"'
    assert audited(command, name, "type=SYSCALL"), f"{what} : l'appel ne laisse pas d'événement"


@pytest.mark.rule("audit-refused-access")
@pytest.mark.acts
def test_refused_access_is_noted(audited: Any) -> None:
    """The account nobody opens /etc/shadow, is refused, and the audit trail is asked for the refusal."""
    assert audited("runuser -u nobody -- cat /etc/shadow", 'name="/etc/shadow"', "success=no"), (
        "un accès refusé ne laisse pas d'événement"
    )


@pytest.mark.rule("audit-rules-locked")
@pytest.mark.acts
def test_root_cannot_erase_the_rules(host: Host, own_kernel: bool, observe: Observe) -> None:
    """Root deletes a rule that does not exist: the kernel refuses; what the next start would load is read."""
    status = host.run("auditctl -s").stdout.replace("\n", " ")
    tried = host.run("auditctl -d always,exit -F path=/pgssi-essai -F perm=x -k pgssi-essai")
    observe(f"{status[:60]}; effacement : {tried.stderr.strip()[:120]}")
    # auditctl says so and exits 0: a script at boot must not fail for it.
    locked = "immutable" in tried.stdout + tried.stderr or tried.rc != 0
    assert locked and "enabled 2" in status, "root change les règles d'audit sans redémarrer l'hôte"
    last = host.run("cat $(ls /etc/audit/rules.d/*.rules | LC_ALL=C sort -V) | grep -E '^-e' | tail -n 1").stdout.strip()
    observe(f"au prochain démarrage : {last or 'aucun verrou'}")
    assert last.split() == ["-e", "2"], "les règles du prochain démarrage ne verrouillent pas l'audit"
