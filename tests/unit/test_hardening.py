"""What decides in the host baseline, without any host: parameters of the kernel, rights of files, care hours."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import ModuleType

import pytest
from hardening_builder import Host, correct, part

NIGHT = {"starts": "22:00", "ends": "06:00", "days": ["fri"]}


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The part about the kernel, on a kernel of its own."""
    module = part("kernel")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for name, value in {
        "kernel/sysrq": 438,
        "kernel/perf_event_paranoid": 3,
        "net/ipv4/ip_forward": 1,
        "net/ipv4/conf/all/rp_filter": 0,
        "net/ipv4/conf/eth0/rp_filter": 2,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n", "ascii")
    return module


def test_parameters_are_set_on_every_interface_and_given_back(kernel: ModuleType, tmp_path: Path) -> None:
    """A star reaches each interface; the host gets its own values back once nothing is wanted any more."""
    host = Host(kernel=[{"key": "net.ipv4.conf.*.rp_filter", "value": 1}, {"key": "kernel.sysrq", "value": "0"}])
    assert len(correct(kernel, host)) == 3
    assert (tmp_path / "net/ipv4/conf/eth0/rp_filter").read_text("ascii") == "1\n"
    assert len(host.undone) == 3
    assert correct(kernel, host) == []
    host.wanted = {"kernel": []}
    correct(kernel, host)
    assert (tmp_path / "net/ipv4/conf/eth0/rp_filter").read_text("ascii") == "2\n"
    assert (tmp_path / "kernel/sysrq").read_text("ascii") == "438\n"


def test_a_stricter_value_is_kept(kernel: ModuleType) -> None:
    """What the host already has beyond a least value stays; a plain value is exact."""
    assert correct(kernel, Host(kernel=[{"key": "kernel.perf_event_paranoid", "value": 2, "at_least": True}])) == []
    assert len(correct(kernel, Host(kernel=[{"key": "kernel.perf_event_paranoid", "value": 2}]))) == 1


def test_a_container_touches_its_own_network_only(kernel: ModuleType, tmp_path: Path) -> None:
    """In a container the kernel's own parameters are left alone, those of its network are set."""
    host = Host(kernel=[{"key": "kernel.sysrq", "value": 0}, {"key": "net.ipv4.conf.*.rp_filter", "value": 1}])
    host.container = True
    assert len(correct(kernel, host)) == 2
    assert (tmp_path / "kernel/sysrq").read_text("ascii") == "438\n"


def test_forwarding_for_others_is_not_cut(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """An undeclared container host keeps forwarding, and the error names the option."""
    monkeypatch.setattr(kernel, "hosts_others", lambda: ["docker0"])
    with pytest.raises(OSError, match=r"docker0.*system_hardening_forwards"):
        correct(kernel, Host(kernel=[{"key": "net.ipv4.ip_forward", "value": 0}]))


@pytest.mark.parametrize(
    ("now", "busy"),
    [
        ("2026-11-27T23:00", True),  # Friday night
        ("2026-11-28T05:59", True),  # still the night of Friday
        ("2026-11-28T06:00", False),
        ("2026-11-28T23:00", False),
        ("2026-11-27T21:59", False),
    ],
)
def test_care_hours_may_pass_midnight(now: str, busy: bool) -> None:
    """A period that ends the next morning belongs to the day on which it began."""
    assert part("confinement").care([NIGHT], datetime.fromisoformat(now)) is busy


def test_care_hours_of_every_day() -> None:
    """Without days a period holds on each; without periods there are no care hours."""
    care = part("confinement").care
    assert care([{"starts": "08:00", "ends": "18:00"}], datetime.fromisoformat("2026-11-29T12:00"))
    assert not care([], datetime.fromisoformat("2026-11-29T12:00"))


def test_closed_folders_are_given_back(tmp_path: Path) -> None:
    """A folder loses the rights beyond its mask, and only those; they come back when the rule goes."""
    files, folder = part("files"), tmp_path / "boot"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    host = Host()
    for wanted, mode in (({str(folder): "0750"}, 0o750), ({str(folder): "0750"}, 0o750), ({}, 0o755)):
        for _, correction in files.closed(host, wanted):
            correction()
        assert folder.stat().st_mode & 0o777 == mode


def test_ids_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subordinate ids and those that systemd lends need no name; others do."""
    files = part("files")

    def nobody(_number: int) -> None:
        raise KeyError

    seen: dict[int, bool] = {}
    ranges = [files.DYNAMIC, range(100000, 165536)]
    assert [files.known(number, nobody, seen, ranges) for number in (61184, 100001, 4711)] == [True, True, False]


def test_mounts_are_read_from_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two mounts on one path the last one counts."""
    mounts = part("mounts")
    lines = "1 0 8:1 / /tmp rw,relatime - ext4 a rw\n2 1 8:1 /tmp /tmp rw,nosuid - ext4 a rw\n"
    monkeypatch.setattr(Path, "read_text", lambda *_: lines)
    assert mounts.options("/tmp") == ["rw", "nosuid"]
    assert mounts.options("/var/tmp") is None


@pytest.fixture
def usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The part about USB, on two controllers of its own: one takes everything, one takes what is built in."""
    module = part("usb")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for name, value in (("usb1", "1"), ("usb2", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "authorized_default").write_text(f"{value}\n", "ascii")
    return module


def test_usb_is_closed_and_given_back(usb: ModuleType, tmp_path: Path) -> None:
    """Closed where asked for, a stricter controller left as it is; once no longer asked for, as it was."""
    host = Host(usb=True)
    assert len(correct(usb, host)) == 1
    assert correct(usb, host) == []
    host.wanted = {"usb": False}
    assert correct(usb, host) == ["usb1 : rendu"]
    assert (tmp_path / "usb1" / "authorized_default").read_text("ascii") == "1"
    assert correct(usb, host) == []


def test_processes_are_hidden_and_shown_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mount on /proc is read as the kernel tells it; a group that is not there is an error that names the option."""
    processes, table, done = part("processes"), tmp_path / "mountinfo", []
    monkeypatch.setattr(processes, "MOUNTS", table)
    monkeypatch.setattr(processes, "remount", lambda *asked: done.append(asked))
    monkeypatch.setattr(processes, "number", lambda name: {"adm": 4}.get(name, -1))
    table.write_text("21 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n")
    host = Host(hidden="adm")
    assert correct(processes, host) == ["/proc : hidepid=0, gid=0"]
    table.write_text("21 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw,gid=4,hidepid=invisible\n")
    assert correct(processes, host) == []
    host.wanted = {"hidden": ""}
    assert correct(processes, host) == ["/proc : rendu"]
    assert done == [(2, 4), (0, 0)]
    with pytest.raises(OSError, match="system_hardening_process_watchers"):
        correct(processes, Host(hidden="nobody-here"))


def test_defaults_of_accounts_are_set_in_both_files_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of a key counts, in the words of each file; without adduser nothing is missing."""
    accounts = part("accounts")
    monkeypatch.setattr(accounts, "DEFS", tmp_path / "login.defs")
    monkeypatch.setattr(accounts, "ADDUSER", tmp_path / "adduser.conf")
    (tmp_path / "login.defs").write_text("# HOME_MODE 0755\nHOME_MODE\t0700\nHOME_MODE 0755\n", "ascii")
    host = Host(accounts={"HOME_MODE": "0700", "DIR_MODE": "0700"})
    assert len(correct(accounts, host)) == 1
    (tmp_path / "adduser.conf").write_text('#DIR_MODE=0700\nDIR_MODE="0755"\n', "ascii")
    assert len(correct(accounts, host)) == 1
    assert correct(accounts, host) == []
    assert (tmp_path / "adduser.conf").read_text("ascii") == "#DIR_MODE=0700\nDIR_MODE=0700\n"
    assert (tmp_path / "login.defs").read_text("ascii") == "# HOME_MODE 0755\nHOME_MODE 0700\n"
    host.wanted = {"accounts": {}}
    assert len(correct(accounts, host)) == 2
    assert (tmp_path / "adduser.conf").read_text("ascii") == "#DIR_MODE=0700\nDIR_MODE=0755\n"
