"""Opening a channel: banners, sudo, refusals, load shedding; and what ssh is told."""

from __future__ import annotations

import time
from pathlib import Path

import fake_host
import pytest
from testinfra.host import Host

from pgssi.errors import InvalidInput
from pgssi.transport import Channel, Unreachable, channel
from pgssi.transport.backend import open_host
from pgssi.transport.connection import Connection, connection_from


def test_banners_are_not_answers(tmp_path: Path) -> None:
    """What a login prints before the channel is ready is in nobody's output."""
    noisy = 'echo Bienvenue; printf x; echo avertissement >&2; exec /bin/sh -c "$1"'
    opened = fake_host.channel(tmp_path, ("/bin/sh", "-c", noisy, "login"))
    result = opened.run("echo mine")
    assert (result.stdout, result.stderr) == (b"mine\n", b"")
    opened.close()


def test_sudo_password(tmp_path: Path) -> None:
    """The password is given when sudo asks for it."""
    opened, asked = fake_host.with_sudo(tmp_path, "bon mot")
    assert opened.run("echo root").stdout == b"root\n"
    assert asked.read_text("utf-8") == "bon mot\n"
    opened.close()


def test_wrong_sudo_password_is_given_once(tmp_path: Path) -> None:
    """A wrong password is tried once and never again: three failures would lock the account."""
    opened, asked = fake_host.with_sudo(tmp_path, "mauvais mot")
    for _ in range(3):
        with pytest.raises(Unreachable, match=r"mot de passe de sudo refusé : Sorry, try again"):
            opened.run("true")
    assert asked.read_text("utf-8") == "mauvais mot\n"


def test_sudo_without_a_password_to_give(tmp_path: Path) -> None:
    """Without a password sudo is not allowed to ask, and its own words are reported."""
    opened, _ = fake_host.with_sudo(tmp_path, None)
    with pytest.raises(Unreachable, match="a password is required"):
        opened.run("true")


def test_not_root(tmp_path: Path) -> None:
    """A channel that is not root is refused: half of the facts would be missing."""
    plain = fake_host.script(tmp_path / "plain", '#!/bin/sh\nexec python3 -I -S -c "import os\nos.geteuid=lambda:1000\n$5"\n')
    opened = Channel(["/bin/sh", "-c"], become=False, python=plain)
    with pytest.raises(Unreachable, match=r"sans être root \(uid 1000\)"):
        opened.run("true")


def test_unreachable_is_remembered(tmp_path: Path) -> None:
    """A host that cannot be reached costs one attempt, and says in ssh's words why."""
    count = tmp_path / "count"
    refusing = f"echo try >> {count}; echo 'ssh: connect to host h port 22: Connection refused' >&2; exit 255"
    opened = fake_host.channel(tmp_path, ("/bin/sh", "-c", refusing, "ssh"))
    for _ in range(5):
        with pytest.raises(Unreachable, match="Connection refused"):
            opened.run("true")
    assert count.read_text("utf-8") == "try\n"


def test_connection_turned_away_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sheds load or punishes the address is asked again, later each time, then given up."""
    monkeypatch.setattr(channel, "PATIENCE", (0.01, 0.01))
    mark = tmp_path / "mark"
    shedding = (
        f'if [ -e {mark} ]; then exec /bin/sh -c "$1"; fi; touch {mark};'
        "echo 'kex_exchange_identification: Connection closed by remote host' >&2; exit 255"
    )
    opened = fake_host.channel(tmp_path, ("/bin/sh", "-c", shedding, "ssh"))
    assert opened.run("echo in").stdout == b"in\n"
    opened.close()
    count = tmp_path / "count"
    always = f"echo try >> {count}; echo 'kex_exchange_identification: read: Connection reset' >&2; exit 255"
    with pytest.raises(Unreachable, match="kex_exchange"):
        fake_host.channel(tmp_path, ("/bin/sh", "-c", always, "ssh")).run("true")
    assert count.read_text("utf-8") == "try\n" * 3


def test_silent_connection(tmp_path: Path) -> None:
    """A connection that never becomes a channel ends at the timeout."""
    opened = fake_host.channel(tmp_path, ("/bin/sh", "-c", "sleep 60", "ssh"), connect_timeout=0.5)
    started = time.monotonic()
    with pytest.raises(Unreachable, match="délai dépassé"):
        opened.run("true")
    assert time.monotonic() - started < 5


def test_no_ssh_at_all(tmp_path: Path) -> None:
    """A missing ssh command is an unreachable host, not a crash."""
    with pytest.raises(Unreachable, match="connexion impossible"):
        fake_host.channel(tmp_path, ("/nowhere/ssh",)).run("true")


def test_testinfra_modules_work_on_the_channel(tmp_path: Path) -> None:
    """Testinfra's own modules ask their questions through the channel."""
    opened = fake_host.channel(tmp_path)
    host: Host = open_host("here", opened)
    assert host.user("root").uid == 0
    assert host.file("/etc/passwd").contains("root")
    assert host.run("echo %s", "a b'c").stdout == "a b'c\n"
    assert host.run("cat", stdin=b"\xe9").stdout_bytes == b"\xe9"
    assert host.check_output("printf é") == "é"
    opened.close()


def test_ssh_command_line() -> None:
    """Ansible's settings become ssh's arguments, ours before the site's."""
    variables = {
        "ansible_host": "192.0.2.7",
        "ansible_port": 2222,
        "ansible_user": "pgssi",
        "ansible_ssh_private_key_file": "/keys/pgssi",
        "ansible_ssh_common_args": "-o ProxyJump=bastion -o 'UserKnownHostsFile=/a b'",
        "ansible_ssh_extra_args": "-4",
        "ansible_ssh_host_key_checking": False,
        "ansible_ssh_timeout": 7,
    }
    connection = connection_from("dpi1", variables, "hosts.yml")
    argv = connection.argv()
    assert argv[0] == "ssh"
    assert argv[-2:] == ["--", "192.0.2.7"]
    text = "\n".join(argv)
    for wanted in (
        "-p\n2222",
        "User=pgssi",
        "-i\n/keys/pgssi",
        "ProxyJump=bastion",
        "UserKnownHostsFile=/a b",
        "-4",
    ):
        assert wanted in text
    assert "StrictHostKeyChecking=no" in text
    assert "ConnectTimeout=7" in text
    assert "ControlMaster=auto" not in text
    assert argv.index("ControlPath=none") < argv.index("ProxyJump=bastion")


def test_login_as_somebody_else() -> None:
    """A login from outside uses neither the operator's name nor the operator's key."""
    text = "\n".join(Connection("ssh", "h", user="pgssi", key="/keys/pgssi").argv(user="alice"))
    assert "User=alice" in text
    assert "/keys/pgssi" not in text


@pytest.mark.parametrize(
    "variables",
    [{"ansible_connection": "winrm"}, {"ansible_become_method": "su"}],
)
def test_unsupported_ways_in_are_told(variables: dict[str, str]) -> None:
    """A connection or become method that cannot serve is refused with its variable and its value."""
    with pytest.raises(InvalidInput, match=rf"{next(iter(variables))} \(h\) = '{next(iter(variables.values()))}'"):
        connection_from("h", variables, "hosts.yml")
