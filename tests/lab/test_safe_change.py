"""A fatal change to sshd, PAM, sudo or the firewall never locks the operator out: real hosts, real SSH."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgssi.paths import ROOT

from .machine import NETWORK, PODMAN, Machine
from .support import BIN, Play, kill_family, play

SUBNET = (
    "--subnet",
    "10.91.0.0/24",
    "--gateway",
    "10.91.0.1",
)  # without a gateway this machine has no address in it
BOUND = 90  # seconds from the fatal change to a root session of the operator
SSHD = "/etc/ssh/sshd_config.d/50-test.conf"
DENY = "account required pam_deny.so\n"

PLAYBOOK = [
    {
        "hosts": "all",
        "tasks": [
            {
                "name": "Change",
                "pgssi.toolkit.protected_files": {
                    "files": "{{ files }}",
                    "apply": "{{ apply }}",
                    "check": "{{ check | default([]) }}",
                    "timeout": "{{ seconds | default(60) }}",
                },
            }
        ],
    }
]


@dataclass(frozen=True)
class Fatal:
    """One deliberately fatal change: valid for its subsystem, and only a new session shows what it does."""

    release: str
    path: str
    content: str | None
    apply: tuple[str, ...] = ()

    def variables(self) -> dict[str, Any]:
        """Return it as options of the action."""
        mode = "0440" if "sudoers" in self.path else "0644"
        file = {"path": self.path, "mode": mode, "state": "absent" if self.content is None else "file"}
        return {"files": [file | {"content": self.content or ""}], "apply": list(self.apply)}


RELOAD = ("systemctl reload ssh",)
RESTART = ("systemctl restart ssh",)
DROP = """flush ruleset
table inet filter {
  chain input { type filter hook input priority 0; policy drop; iif lo accept; }
}
"""
FATAL: Mapping[str, Fatal] = {
    "sshd-users": Fatal("debian13", SSHD, "AllowUsers nobody\n", RELOAD),
    "sshd-port": Fatal("debian12", SSHD, "Port 2222\n", RESTART),
    "pam-sshd": Fatal("debian12", "/etc/pam.d/sshd", f"{DENY}@include common-account\n"),
    "pam-sudo": Fatal("debian13", "/etc/pam.d/sudo", f"{DENY}@include common-auth\n"),
    "sudoers": Fatal("debian12", "/etc/sudoers.d/pgssi", None),
    "firewall": Fatal("debian13", "/etc/nftables.conf", DROP, ("nft -f /etc/nftables.conf",)),
}
HARMLESS = {"files": [{"path": SSHD, "content": "X11Forwarding no\n"}], "apply": RELOAD, "check": ["sshd -t"]}
BROKEN = [{"path": SSHD, "content": "X11Forwarding no\nNoSuchOption yes\n"}]
# What a subsystem itself refuses, and what must stand in the message.
REFUSED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "validator": ({"files": [BROKEN[0] | {"validate": "sshd -t -f %s"}], "apply": RELOAD}, "NoSuchOption"),
    "check": ({"files": BROKEN, "apply": [], "check": ["sshd -t"]}, "NoSuchOption"),
    "dead-daemon": ({"files": BROKEN, "apply": RESTART}, "systemctl restart ssh"),
    "slow-command": ({"files": BROKEN, "apply": ["sleep 100"], "seconds": 15}, "sleep 100"),
    "visudo": (
        {
            "files": [
                {
                    "path": "/etc/sudoers.d/pgssi",
                    "content": "pgssi ALL=ALL ALL\n",
                    "validate": "visudo -cf %s",
                }
            ],
            "apply": [],
        },
        "syntax error",
    ),
}
DIGEST = """cd /etc
sha256sum nftables.conf pam.d/s* sudoers.d/* $(find ssh/sshd_config.d -type f)
stat -c '%n %a %U' pam.d/s* sudoers.d/* $(find ssh/sshd_config.d -type f)
nft list ruleset"""
LEFTOVERS = "find /etc /var/lib/pgssi/guard -name 'pgssi-guard*' -o -name before -o -name '.*pgssi-new'"


@dataclass(frozen=True)
class Site:
    """The scratch hosts and where their key is."""

    directory: Path
    machines: dict[str, Machine]

    def inventory(self, variables: Mapping[str, Mapping[str, Any]]) -> Path:
        """Write an inventory of the machines that have variables here."""
        hosts = {
            name: {
                "ansible_host": self.machines[name].address,
                "ansible_ssh_common_args": " ".join(self.machines[name].options),
                **{key: list(value) if isinstance(value, tuple) else value for key, value in values.items()},
            }
            for name, values in variables.items()
        }
        common = {
            "ansible_user": "pgssi",
            "ansible_become": True,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.directory / "key"),
        }
        path = self.directory / f"{'-'.join(hosts)[:60]}.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": common}}), "utf-8")
        return path

    @property
    def playbook(self) -> Path:
        """The one task."""
        return self.directory / "change.yml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every fatal change gets a host of its own, and one more stays healthy."""
    directory = tmp_path_factory.mktemp("safe-change")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "key")], check=True)
    (directory / "change.yml").write_text(yaml.safe_dump(PLAYBOOK, sort_keys=False), "utf-8")
    create = [PODMAN, "network", "create", "--internal", "--disable-dns", *SUBNET, NETWORK]
    subprocess.run(create, capture_output=True, check=False)  # it may be there, left by an interrupted run
    releases = {name: fatal.release for name, fatal in FATAL.items()}
    releases |= {"healthy": "debian13"}
    machines = {name: Machine(f"safe-{name}", release, directory) for name, release in releases.items()}
    try:
        for machine in machines.values():
            machine.start()
        yield Site(directory, machines)
    finally:
        names = [machine.name for machine in machines.values()]
        subprocess.run([PODMAN, "rm", "-f", "-t", "1", *names], capture_output=True, check=False)
        subprocess.run([PODMAN, "network", "rm", "-f", NETWORK], capture_output=True, check=False)


@dataclass(frozen=True)
class Outcome:
    """What one run over all hosts did, and how they were before."""

    play: Play
    before: Mapping[str, str]

    def result(self, name: str) -> Mapping[str, Any]:
        """Return the task's result on one host."""
        found: Mapping[str, Any] = self.play.document["plays"][0]["tasks"][0]["hosts"][name]
        return found


@pytest.fixture(scope="module")
def outcome(site: Site) -> Outcome:
    """All fatal changes and a harmless one, at once, as a fleet would get them."""
    variables = {name: fatal.variables() for name, fatal in FATAL.items()} | {"healthy": HARMLESS}
    before = {name: site.machines[name].shell(DIGEST) for name in variables}
    stop = threading.Event()
    watchers = [threading.Thread(target=site.machines[name].watch, args=(stop,)) for name in FATAL]
    for watcher in watchers:
        watcher.start()
    try:
        run = play(site.playbook, inventory=site.inventory(variables), timeout=400)
        time.sleep(13)  # two more tries of the watchers
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()
    return Outcome(run, before)


@pytest.mark.usefixtures("outcome")
@pytest.mark.parametrize("name", FATAL)
def test_operator_is_back(site: Site, name: str) -> None:
    """A fatal change locks the operator out for at most 90 s, and nobody touched the host."""
    machine = site.machines[name]
    assert 0 < machine.outage() <= BOUND, machine.seen
    assert machine.becomes_root()


@pytest.mark.parametrize("name", FATAL)
def test_host_is_as_before(site: Site, outcome: Outcome, name: str) -> None:
    """After a fatal change every file is as it was, and no unit or copy of the guard remains."""
    machine = site.machines[name]
    assert machine.shell(DIGEST) == outcome.before[name]
    assert machine.shell(LEFTOVERS) == ""


@pytest.mark.parametrize("name", FATAL)
def test_message_names_file_cause_and_remedy(outcome: Outcome, name: str) -> None:
    """The task fails, and its message says which file, what failed and what to do."""
    result = outcome.result(name)
    assert result["failed"] and not result["changed"]
    for part in (FATAL[name].path, "nouvelle session root", "Remède", "l'accès est prouvé"):
        assert part in result["msg"], result["msg"]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.usefixtures("outcome")
def test_refused_by_the_subsystem(site: Site, name: str) -> None:
    """What the subsystem's own checker refuses is undone at once, with the checker's message."""
    machine = site.machines["healthy"]
    variables, message = REFUSED[name]
    before = machine.shell(DIGEST)
    run = play(site.playbook, inventory=site.inventory({"healthy": variables}))
    assert run.returncode == 2
    assert message in run.failures()[0] and "Remède" in run.failures()[0], run.failures()
    assert machine.becomes_root()
    assert machine.shell(DIGEST) == before
    assert machine.shell(LEFTOVERS) == ""


def test_healthy_host_keeps_its_change(site: Site, outcome: Outcome) -> None:
    """A good change stands although other hosts of the same run went back; a second run changes nothing."""
    assert outcome.result("healthy")["changed"] and not outcome.result("healthy").get("failed")
    assert "x11forwarding no" in site.machines["healthy"].shell("sshd -T")
    again = play(site.playbook, inventory=site.inventory({"healthy": HARMLESS})).succeeded()
    assert not again.changed()


@pytest.mark.usefixtures("outcome")
def test_check_mode_only_shows(site: Site) -> None:
    """In check mode the difference is shown, nothing is armed and nothing changes."""
    machine = site.machines["healthy"]
    before = machine.shell(DIGEST)
    fatal = FATAL["sshd-users"].variables()
    run = play(site.playbook, "--check", "--diff", inventory=site.inventory({"healthy": fatal})).succeeded()
    assert run.changed() == {("healthy", "Change")}
    assert "AllowUsers nobody" in run.output
    assert machine.shell(DIGEST) == before


def interrupted(site: Site, name: str, seconds: int, content: str = "AllowUsers nobody\n") -> None:
    """Start a change and kill the control node with SIGKILL between its application and its confirmation."""
    machine = site.machines[name]
    files = [{"path": SSHD, "content": content}]
    change = {"files": files, "apply": [*RELOAD, "sleep 3"], "seconds": seconds}
    command = [str(BIN / "ansible-playbook"), "-i", str(site.inventory({name: change})), str(site.playbook)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    control = subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)
    try:
        machine.wait_for("pgrep -x sleep")  # the change is in effect
    finally:
        kill_family(control)


@pytest.mark.usefixtures("outcome")
def test_killed_control_node(site: Site) -> None:
    """Killed between change and confirmation, the host goes back by itself; the next run applies again."""
    machine = site.machines["sudoers"]
    before = machine.shell(DIGEST)
    interrupted(site, "sudoers", 20)
    machine.wait_for(f"! test -e {SSHD}", 30)
    machine.wait_for("! test -e /etc/systemd/system/pgssi-guard.timer", 10)
    assert machine.becomes_root() and machine.shell(DIGEST) == before and machine.shell(LEFTOVERS) == ""
    repaired = play(site.playbook, inventory=site.inventory({"sudoers": HARMLESS})).succeeded()
    assert repaired.changed() == {("sudoers", "Change")}


@pytest.mark.usefixtures("outcome")
def test_next_run_waits_for_a_pending_change(site: Site) -> None:
    """A run that meets a change left pending lets it go back first, then makes its own."""
    machine = site.machines["pam-sudo"]
    tunnel = [{"path": "/etc/ssh/sshd_config.d/60-test.conf", "content": "PermitTunnel no\n"}]
    interrupted(site, "pam-sudo", 25, "DenyUsers nobody\n")
    run = play(site.playbook, inventory=site.inventory({"pam-sudo": HARMLESS | {"files": tunnel}})).succeeded()
    assert run.changed() == {("pam-sudo", "Change")}
    effective = machine.shell("sshd -T")
    assert "permittunnel no" in effective and "denyusers" not in effective


@pytest.mark.usefixtures("outcome")
def test_reboot_while_armed(site: Site) -> None:
    """A host that restarts in the middle of a change is as it was before its services start."""
    machine = site.machines["sshd-users"]
    before = machine.shell(DIGEST)
    interrupted(site, "sshd-users", 600)  # the window is far away: the boot does it
    machine.podman("kill", machine.name)  # power cut
    machine.podman("wait", machine.name)
    machine.podman("start", machine.name)
    machine.wait_for("systemctl is-active --quiet ssh")
    assert machine.shell(DIGEST) == before
    machine.wait_for("! test -e /etc/systemd/system/pgssi-guard.timer", 30)
    assert machine.becomes_root() and machine.shell(LEFTOVERS) == ""
