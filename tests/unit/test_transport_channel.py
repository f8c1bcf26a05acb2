"""The channel gives exact answers, or says that it cannot."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fake_host
import pytest

from pgssi.transport import Channel, CommandTimeout, ConnectionLost, OutputTooLarge, channel


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channel]:
    opened = fake_host.channel(tmp_path_factory.mktemp("line"))
    yield opened
    opened.close()


def running(argument: str) -> bool:
    """Tell whether a process of this machine has this argument."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def gone(argument: str) -> bool:
    """Wait a little for a process to disappear."""
    for _ in range(50):
        if not running(argument):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("command", "rc", "stdout", "stderr"),
    [
        ("echo a; echo b >&2; exit 7", 7, b"a\n", b"b\n"),
        ("printf 'no newline'", 0, b"no newline", b""),
        (r"printf '\000\377\012\015\200'", 0, b"\0\xff\n\r\x80", b""),
        (r"printf '\003\000\000\000\005\000\000\000\000\000'", 0, b"\3\0\0\0\5\0\0\0\0\0", b""),
        ("exec true", 0, b"", b""),
        ("exec 1>&- 2>&-; exit 3", 3, b"", b""),
        ("exec 0<&-; echo ok", 0, b"ok\n", b""),
        ("kill -9 $$", 137, b"", b""),
        ("kill -TERM $$", 143, b"", b""),
        ("no-such-command-here 2>/dev/null", 127, b"", b""),
        ("if then", 2, b"", None),
        ("cat", 0, b"", b""),
        ('read x; echo "[$x]"', 0, b"[]\n", b""),
        ("pwd; umask; echo $LC_ALL $HOME", 0, b"/\n0022\nC /root\n", b""),
        ("trap '' TERM; false", 1, b"", b""),
        ("tty", 1, b"not a tty\n", b""),
        ("printf 'a' | { cat; exit 4; }", 4, b"a", b""),
        ("yes | head -1", 0, b"y\n", b""),
        ("echo pgssi-0123456789abcdef01234567", 0, b"pgssi-0123456789abcdef01234567\n", b""),
    ],
)
def test_outcome_is_exact(line: Channel, command: str, rc: int, stdout: bytes, stderr: bytes | None) -> None:
    """Exit status and both outputs are what the command produced, byte for byte."""
    result = line.run(command)
    assert (result.rc, result.stdout) == (rc, stdout)
    assert stderr is None or result.stderr == stderr


def test_command_without_valid_text(line: Channel) -> None:
    """A command given as bytes is passed on as it is."""
    assert line.run(b"printf '%s' '\xff\xfe'").stdout == b"\xff\xfe"


def test_huge_output(line: Channel) -> None:
    """200 MB come through whole, and the next answer is still the next answer."""
    assert len(line.run("head -c 200000000 /dev/zero").stdout) == 200_000_000
    assert line.run("echo next").stdout == b"next\n"


def test_floods_of_both_outputs(line: Channel) -> None:
    """Both outputs written at once, 16 MB each, neither block nor mix."""
    result = line.run("yes o | head -c 16000000 & yes e | head -c 16000000 >&2 & wait")
    assert result.stdout == b"o\n" * 8_000_000
    assert result.stderr == b"e\n" * 8_000_000


def test_standard_input(line: Channel) -> None:
    """Data given to a command arrives whole, also when it answers while it reads, or does not read at all."""
    data = os.urandom(3_000_000)
    assert line.run("cat", stdin=data).stdout == data
    assert line.run("head -c 3; exit 5", stdin=data).stdout == data[:3]
    assert line.run("true", stdin=data).rc == 0


def test_long_command(line: Channel) -> None:
    """A command longer than the kernel's limit for an argument runs all the same, without any file."""
    result = line.run(": " + "x" * 500_000 + "\necho end; exit 9")
    assert (result.rc, result.stdout) == (9, b"end\n")


def test_late_output_is_nobodys(line: Channel) -> None:
    """What a surviving child writes after its command has ended is not in the next command's output."""
    started = time.monotonic()
    assert line.run("(sleep 0.4; echo late; echo late >&2) & echo now").stdout == b"now\n"
    assert time.monotonic() - started < 0.4
    following = line.run("sleep 0.8; echo mine")
    assert (following.stdout, following.stderr) == (b"mine\n", b"")


def test_daemon_does_not_hold_the_channel(line: Channel) -> None:
    """A daemon that keeps the outputs open, in a session of its own, delays nothing."""
    started = time.monotonic()
    daemon = line.run("setsid sleep 5.25 & echo $!")
    assert daemon.rc == 0 and time.monotonic() - started < 3
    assert line.run(f"kill {daemon.stdout.decode()}").rc == 0


def test_hanging_command(line: Channel) -> None:
    """A command that outlives its timeout is killed with its children, and the channel goes on."""
    with pytest.raises(CommandTimeout, match=r"après 0\.5 s"):
        line.run("sleep 31.75 & echo partial; sleep 31.75", timeout=0.5)
    assert gone("31.75")
    assert line.run("echo after").stdout == b"after\n"


def test_hanging_command_that_ignores_signals(line: Channel) -> None:
    """Ignoring signals does not help a hanging command."""
    with pytest.raises(CommandTimeout):
        line.run("trap '' INT TERM HUP; while :; do sleep 0.1; done", timeout=0.4)


def test_loss_in_mid_command(tmp_path: Path) -> None:
    """When the channel ends during a command nothing is claimed about it; the next command reconnects."""
    opened = fake_host.channel(tmp_path)
    with pytest.raises(ConnectionLost):
        opened.run("echo before; kill -9 $PPID; sleep 0.2; echo after")
    assert opened.run("echo again").stdout == b"again\n"
    opened.close()


def test_loss_between_commands(tmp_path: Path) -> None:
    """A channel found dead before anything was sent is replaced without an error."""
    opened = fake_host.channel(tmp_path)
    assert opened.run("(sleep 0.2; kill -9 $PPID) & true").rc == 0
    time.sleep(0.6)
    assert opened.run("echo fresh").stdout == b"fresh\n"
    opened.close()


def test_frozen_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that says nothing any more, not even that the timeout struck, is a lost connection."""
    monkeypatch.setattr(channel, "GRACE", 0.3)
    opened = fake_host.channel(tmp_path)
    frozen = int(opened.run("echo $PPID").stdout)
    with pytest.raises(ConnectionLost, match="ne répond plus"):
        opened.run("kill -STOP $PPID; sleep 5", timeout=0.2)
    assert opened.run("echo back").stdout == b"back\n"
    opened.close()
    os.kill(frozen, signal.SIGKILL)


def test_end_of_channel_ends_the_command(tmp_path: Path) -> None:
    """When the control node goes away, what it had started on the host does too."""
    opened = fake_host.channel(tmp_path)
    opened.connect()
    process = opened._process
    assert process and process.stdin
    timer = threading.Timer(0.4, process.stdin.close)
    timer.start()
    with pytest.raises(ConnectionLost):
        opened.run("sleep 32.5 & sleep 32.5", timeout=20)
    assert gone("32.5")


def test_output_limit(tmp_path: Path) -> None:
    """A command that never stops writing is stopped, and the channel serves the next one."""
    opened = fake_host.channel(tmp_path, limit=5 << 20)
    with pytest.raises(OutputTooLarge, match="5 Mio"):
        opened.run("exec yes 33.25")
    assert gone("33.25")
    assert opened.run("echo ok").stdout == b"ok\n"
    opened.close()
