"""What GRUB is made to start with, on folders of its own: its settings are read and its scripts run as grub-mkconfig does."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hardening_builder import Host, correct, part

HASH = "grub.pbkdf2.sha512.10000.AB12.CD34"
# As Debian's 10_linux prints them: the usual start, then the older kernels and the repair in a submenu.
LINUX = r"""#!/bin/sh
line() { printf "\tlinux\t/boot/vmlinuz-6.1 root=UUID=1 ro %s %s\n}\n" "$GRUB_CMDLINE_LINUX" "$1"; }
echo "menuentry 'Debian GNU/Linux' --class debian \$menuentry_id_option 'gnulinux-simple-1' {"; line "$GRUB_CMDLINE_LINUX_DEFAULT"
echo "submenu 'Advanced options' \$menuentry_id_option 'gnulinux-advanced-1' {"
echo "menuentry 'Linux 6.1' --class debian \$menuentry_id_option 'gnulinux-6.1-advanced-1' {"; line "$GRUB_CMDLINE_LINUX_DEFAULT"
echo "menuentry 'Linux 6.1 (recovery mode)' --class debian \$menuentry_id_option 'gnulinux-6.1-recovery-1' {"; line single
echo "}"
"""
MAKE = r"""
cd "$1"
[ ! -e broken ] || { echo "syntax error" >&2; exit 1; }
. default/grub
for file in default/grub.d/*.cfg; do [ ! -e "$file" ] || . "./$file"; done
export GRUB_CMDLINE_LINUX GRUB_CMDLINE_LINUX_DEFAULT
{
    printf '%s\n' 'if [ "${next_entry}" ] ; then' '   set default="${next_entry}"' else '   set default="0"' fi
    for script in grub.d/*; do
        [ -x "$script" ] || continue
        echo "### BEGIN /etc/$script ###"
        sed "s|/etc/grub.d|$1/grub.d|" "$script" | sh
        echo "### END /etc/$script ###"
    done
} > cfg.new
mv cfg.new grub.cfg
"""


@pytest.fixture
def grub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The part about GRUB, with a GRUB of its own that was set up once."""
    module = part("boot")
    for name, value in {
        "CONFIG": "grub.cfg",
        "FORMER": "set-aside/grub.cfg",
        "RUNNING": "cmdline",
        "DEFAULTS": "default/grub.d",
        "SCRIPTS": "grub.d",
    }.items():
        monkeypatch.setattr(module, name, tmp_path / value)
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/sbin/{name}")

    def update_grub() -> None:
        done = subprocess.run(["sh", "-euc", MAKE, "sh", str(tmp_path)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr)

    monkeypatch.setattr(module, "update_grub", update_grub)
    (tmp_path / "default" / "grub.d").mkdir(parents=True)
    (tmp_path / "grub.d").mkdir()
    (tmp_path / "default" / "grub").write_text(
        'GRUB_CMDLINE_LINUX="console=ttyS0"\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\n', "utf-8"
    )
    script = tmp_path / "grub.d" / "10_linux"
    script.write_text(LINUX, "utf-8")
    script.chmod(0o755)
    update_grub()
    return module


def there(folder: Path) -> dict[Path, bytes]:
    """Every file of GRUB's, without the copy that is kept of its configuration."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.parent.name != "set-aside"}


def asked(**boot: Any) -> Host:
    """A host for which these are asked."""
    return Host(boot={"refused": ["mitigations=off", "nopti"], **boot})


def test_what_is_asked_for_comes_last_and_what_switches_off_goes(grub: ModuleType, tmp_path: Path) -> None:
    """Every entry gets the parameters and loses the words that switch off; then nothing is left to do; lowered, all goes back."""
    before = (tmp_path / "grub.cfg").read_text("utf-8")
    (tmp_path / "default" / "grub.d" / "vendor.cfg").write_text(
        'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT mitigations=\\"off\\" slab-nomerge=no dyndbg=*"\n', "utf-8"
    )
    host = asked(memory=["slab_nomerge=yes"], iommu=["iommu=force"])
    assert correct(grub, host)
    lines = [words for _, words in grub.kernels((tmp_path / "grub.cfg").read_text("utf-8"))]
    assert lines[0] == ["root=UUID=1", "ro", "console=ttyS0", "slab_nomerge=yes", "iommu=force", "quiet", "dyndbg=*"]
    assert "single" in lines[-1] and "iommu=force" in lines[-1]
    assert correct(grub, host) == []
    (tmp_path / "default" / "grub.d" / "vendor.cfg").unlink()
    host.wanted["boot"] = {}
    assert correct(grub, host)
    assert (tmp_path / "grub.cfg").read_text("utf-8") == before
    assert correct(grub, host) == []


def test_what_is_as_it_should_be_is_left_alone(grub: ModuleType, tmp_path: Path) -> None:
    """Nothing switched off, nothing asked for: what somebody wrote into GRUB's file stays; it is kept when the file changes."""
    edited = (tmp_path / "grub.cfg").read_text("utf-8").replace("quiet", "quiet by-hand")
    (tmp_path / "grub.cfg").write_text(edited, "utf-8")
    assert correct(grub, asked()) == []
    assert correct(grub, asked(memory=["slab_nomerge=yes"]))
    assert (tmp_path / "set-aside" / "grub.cfg").read_text("utf-8") == edited


def test_what_is_read_after_ours_is_set_aside(grub: ModuleType, tmp_path: Path) -> None:
    """A file of settings that undoes ours is renamed, not deleted."""
    later = tmp_path / "default" / "grub.d" / "zzz-slow.cfg"
    later.write_text('GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX nopti"\n', "utf-8")
    grub.update_grub()
    assert correct(grub, asked())
    assert [path.name for path in later.parent.glob("zzz*")] == ["zzz-slow.cfg.pgssi-off"]
    assert "nopti" not in (tmp_path / "grub.cfg").read_text("utf-8")


def test_a_password_lets_the_server_start_by_itself(grub: ModuleType, tmp_path: Path) -> None:
    """The usual entries and the submenu open without it, the repair does not; Debian's script is given back afterwards."""
    host = asked(password=HASH)
    assert correct(grub, host)
    text = (tmp_path / "grub.cfg").read_text("utf-8")
    entries = [line for line in text.splitlines() if line.lstrip().startswith(("menuentry", "submenu"))]
    assert ["--unrestricted" in line for line in entries] == [True, True, True, False]
    assert text.index(f"password_pbkdf2 pgssi {HASH}") < text.index("menuentry ")
    assert not grub.waits(text)
    assert correct(grub, host) == []
    host.wanted["boot"] = {}
    assert correct(grub, host)
    assert "superusers" not in (tmp_path / "grub.cfg").read_text("utf-8")
    assert (tmp_path / "grub.d" / "10_linux").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("trouble", ["password", "default", "broken"])
def test_nothing_changes_when_the_host_might_not_start(grub: ModuleType, tmp_path: Path, trouble: str) -> None:
    """A password that is no hash, a default entry of others that would wait for it, GRUB that fails: all is as before."""
    if trouble == "default":
        other = tmp_path / "grub.d" / "09_vendor"
        other.write_text("#!/bin/sh\necho \"menuentry 'Vendor' {\"; echo 'linux /boot/vmlinuz-vendor'; echo '}'\n", "utf-8")
        other.chmod(0o755)
    if trouble == "broken":
        (tmp_path / "broken").touch()
    before = there(tmp_path)
    with pytest.raises(OSError, match=r"grub-mkpasswd-pbkdf2|attendrait le mot de passe|syntax error"):
        correct(grub, asked(password="secret" if trouble == "password" else HASH, memory=["slab_nomerge=yes"]))
    assert there(tmp_path) == before
    assert (tmp_path / "grub.d" / "10_linux").stat().st_mode & 0o777 == 0o755


def test_what_waits_for_the_next_start_is_told(grub: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The running kernel lacks it until then; a host that GRUB does not start is told what to give its loader."""
    (tmp_path / "cmdline").write_text("root=UUID=1 ro mitigations=off\n", "ascii")
    host = asked(memory=["slab_nomerge=yes"])
    assert list(grub.notes(host)) == ["noyau, au prochain démarrage : sans mitigations=off, slab_nomerge=yes"]
    monkeypatch.setattr(grub.shutil, "which", lambda _name: None)
    assert correct(grub, host) == []
    assert "à donner au chargeur" in next(iter(grub.notes(host)))
