"""What a new account is like before anybody thinks of it (BP-028 R36, R68)."""

from __future__ import annotations

import secrets

import pytest

from pgssi.verify import not_verified


@pytest.mark.rule("account-defaults-strict")
@pytest.mark.acts
def test_new_account(host, observe):
    """Throw-away accounts are made by useradd and adduser, a group given a password: closed homes, a hash that is yescrypt."""
    login, second = f"essai{secrets.token_hex(4)}", f"essai{secrets.token_hex(4)}"
    try:
        made = host.run(f"useradd --create-home {login}")
        if made.rc:
            not_verified(f"aucun compte ne peut être créé : {made.stderr.strip()[-200:]}")
        mode = host.run(f"stat -c %a $(getent passwd {login} | cut -d: -f6)").stdout.strip()
        # Debian's own tool has a setting of its own.
        added = host.run(f"command -v adduser && adduser --quiet --disabled-password --gecos '' {second} </dev/null").rc == 0
        other = host.run(f"stat -c %a $(getent passwd {second} | cut -d: -f6)").stdout.strip() if added else ""
        host.run(f"printf '%s:%s\\n' {login} {secrets.token_hex(8)} | chgpasswd")
        hashed = host.run(f"getent gshadow {login} | cut -d: -f2").stdout.strip()
    finally:
        for one in (login, second):
            host.run(f"userdel --remove {one}; groupdel {one}; rm -f /var/mail/{one} /run/faillock/{one}")
    if not mode or "$" not in hashed:
        not_verified("le compte ou le groupe d'essai n'a pas été fait entièrement")
    kind = hashed.split("$")[1]
    observe(f"répertoire personnel {mode}, par adduser {other or 'sans objet'}, condensat ${kind}$")
    assert not int(mode, 8) & 0o077, f"le répertoire d'un compte créé est ouvert à d'autres : {mode}"
    assert not int(other or "0", 8) & 0o077, f"le répertoire d'un compte créé par adduser est ouvert à d'autres : {other}"
    assert kind in ("y", "gy"), f"le mot de passe d'un groupe est condensé autrement : {kind}"
