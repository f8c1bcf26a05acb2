"""Key lines and key files as sshd reads them."""

from __future__ import annotations

import pytest

from pgssi.verify.authorized_keys import key_files, key_options

KEY = "ssh-ed25519 AAAA relais"


@pytest.mark.parametrize(
    ("line", "options"),
    [
        (KEY, [{}]),
        ("# commentaire", []),
        ("  ", []),
        (f"restrict {KEY}", [{"restrict": ""}]),
        (f'cert-authority,principals="rm-a",from="10.0.0.1,fd00::1",Restrict,pty {KEY}',
         [{"cert-authority": "", "principals": "rm-a", "from": "10.0.0.1,fd00::1", "restrict": "", "pty": ""}]),
        (f'command="echo \\"a, b\\" c",restrict\t{KEY}', [{"command": 'echo "a, b" c', "restrict": ""}]),
        (f"ssh-ed25519 AAAA restrict\n{KEY}", [{}, {}]),
        ('sk-ssh-ed25519@openssh.com AAAA from="*"', [{}]),
    ],
)  # fmt: skip
def test_options_of_key_lines(line: str, options: list[dict[str, str]]) -> None:
    """Options come before the key, values in quotes; a word in a comment or after the key is none."""
    assert list(key_options(line)) == options


def test_files_of_an_account() -> None:
    """What sshd expands is expanded, what is relative is in the home."""
    patterns = ".ssh/authorized_keys %h/cles /etc/ssh/keys/%u /etc/%%/%U none"
    assert key_files(patterns, "maint", "999", "/home/m") == [
        "/home/m/.ssh/authorized_keys", "/home/m/cles", "/etc/ssh/keys/maint", "/etc/%/999",
    ]  # fmt: skip
