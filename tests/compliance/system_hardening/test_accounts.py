"""What a new account is like before anybody thinks of it (BP-028 R36, R68)."""

from __future__ import annotations

import secrets

import pytest

from pgssi.verify import not_verified


@pytest.mark.rule("account-defaults-strict")
@pytest.mark.acts
def test_new_account(host, observe):
    """A throw-away account is made without options and its group given a password: the home is closed, the hash is yescrypt."""
    login = f"essai{secrets.token_hex(4)}"
    try:
        made = host.run(f"useradd --create-home {login}")
        if made.rc:
            not_verified(f"aucun compte ne peut être créé : {made.stderr.strip()[-200:]}")
        mode = host.run(f"stat -c %a $(getent passwd {login} | cut -d: -f6)").stdout.strip()
        host.run(f"printf '%s:%s\\n' {login} {secrets.token_hex(8)} | chgpasswd")
        hashed = host.run(f"getent gshadow {login} | cut -d: -f2").stdout.strip()
    finally:
        host.run(f"userdel --remove {login}; groupdel {login}; rm -f /var/mail/{login} /run/faillock/{login}")
    if not mode or "$" not in hashed:
        not_verified("le compte ou le groupe d'essai n'a pas été fait entièrement")
    kind = hashed.split("$")[1]
    observe(f"répertoire personnel {mode}, condensat ${kind}$")
    assert not int(mode, 8) & 0o077, f"le répertoire d'un compte créé est ouvert à d'autres : {mode}"
    assert kind in ("y", "gy"), f"le mot de passe d'un groupe est condensé autrement : {kind}"
