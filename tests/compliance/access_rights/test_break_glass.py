"""The sealed account for the day when nothing else works: there, console only, and loud (PSSI 5.2.4)."""

from __future__ import annotations

import hashlib
import re

import pytest

from pgssi.verify import not_applicable
from pgssi.verify.sshd_views import views

STATE = "/var/lib/pgssi"


@pytest.fixture
def glass(matrix):
    """Return the declared break-glass account."""
    found = [account for account in matrix.values() if account.kind == "break_glass"]
    if not found:
        not_applicable("aucun compte de secours déclaré (site_break_glass)")
    return found[0]


@pytest.mark.rule("break-glass-sealed")
def test_sealed(host, glass, people, facts, sudo_grants, observe):
    """The account opens with a password that is still the sealed one, may become root, and its envelope is encrypted."""
    login = glass.login
    assert login in people.passwd, f"le compte de secours {login} n'existe pas"
    envelope = facts(
        "access-envelope", f"head -c 30 {STATE}/sealed/{login}.age 2>/dev/null; stat -c ' %a %U' {STATE}/sealed/{login}.age; true"
    )
    issued = facts("access-envelope-of", f"cat {STATE}/accounts/{login} 2>/dev/null; true").strip()
    same = issued == hashlib.sha256(people.hash(login).encode()).hexdigest()
    rights = [grant for grant in sudo_grants if grant.who == login and "ALL" in grant.commands]
    able = host.run("setpriv --reuid=%s --regid=nogroup --init-groups test -x /usr/bin/sudo", login).rc == 0
    observe(
        f"mot de passe {'scellé' if same else 'hors enveloppe'}, enveloppe {'chiffrée' if 'AGE ENC' in envelope else 'absente'}"
    )
    assert people.usable(login) and not people.expired(login), "le compte de secours ne s'ouvre pas"
    assert not people.closed_shell(login), "le compte de secours n'a pas de shell"
    assert "AGE ENCRYPTED FILE" in envelope, "aucune enveloppe chiffrée pour le compte de secours"
    assert envelope.split()[-2:] == ["600", "root"], "l'enveloppe n'est pas réservée à root"
    assert same, "le mot de passe en service n'est plus celui de l'enveloppe"
    assert rights and able, "le compte de secours ne peut pas devenir root"


@pytest.mark.rule("break-glass-console-only")
def test_no_key_no_network(glass, people, facts, observe):
    """The effective settings of every sshd deny the group of the account, which holds no key."""
    seen = views(facts, glass.login)
    open_ = [str(view) for view in seen if "pgssi-break-glass" not in view.get("denygroups").split()]
    member = "pgssi-break-glass" in people.member_of(glass.login)
    observe(f"sshd : {len(seen) - len(open_)} refus sur {len(seen)} ; clés : {len(people.keys.get(glass.login, ()))}")
    assert member and not open_, f"sshd ne refuse pas le compte de secours : {', '.join(open_) or 'hors du groupe'}"
    assert not people.keys.get(glass.login), "le compte de secours a une clé SSH"


@pytest.mark.rule("break-glass-console-only")
@pytest.mark.acts
def test_refused_by_ssh_open_at_console(host, new_visitor, ssh_in, on_host, draw, observe):
    """A throw-away member of the group is refused over SSH with its password; after four failures the console opens."""
    assert host.run("getent group pgssi-break-glass").rc == 0, "aucun groupe de secours sur l'hôte"
    plain, member = new_visitor(), new_visitor("pgssi-break-glass")
    control, answer = ssh_in(plain.login, plain.password), ssh_in(member.login, member.password)
    for _ in range(3):
        ssh_in(member.login, draw(16))
    code = on_host("authenticate", service="login", login=member.login, passwords=[member.password])[0]
    observe(
        f"SSH : {'refusé' if answer.rc else 'ouvert'} ; console après échecs : {'ouverte' if code == 0 else f'refusée ({code})'}"
    )
    assert control.rc == 0, "le témoin ordinaire est refusé : l'essai ne prouve rien"
    assert answer.rc == 255, "un membre du groupe de secours entre par SSH"
    assert code == 0, "des échecs venus du réseau ferment la console au compte de secours"


@pytest.mark.rule("break-glass-use-detected")
def test_not_used_since_sealed(glass, people, facts, observe):
    """The journal and the host's own record show no session of the account since its password was last set."""
    login = glass.login
    assert login in people.passwd, f"le compte de secours {login} n'existe pas"
    pattern = rf"session opened for user {login}[( ]|password changed for {login}$"
    command = f"journalctl -q -o short-unix --facility=auth,authpriv --grep='{pattern}' --case-sensitive=yes; true"
    lines = facts("access-glass-journal", command).splitlines()
    opened = [float(line.split()[0]) for line in lines if "session opened" in line]
    changed = [float(line.split()[0]) for line in lines if "password changed" in line]
    marks = (
        f"stat -c %Y {STATE}/sealed/{login}.age 2>/dev/null || echo 0; "
        f"grep -F ' {login} ' {STATE}/break-glass-used | cut -d ' ' -f 1 | date --file=- +%s; true"
    )
    sealed, *marked = map(int, facts("access-glass-marks", marks).split())
    later = opened and (not changed or max(opened) > max(changed))
    observe(
        f"{len(opened)} session(s) du compte de secours au journal, {'après' if later else 'aucune après'} le dernier scellement"
    )
    assert sealed, "aucune enveloppe : un usage ne pourrait être clos"
    assert not later and max(marked, default=0) < sealed + 1, (
        "le compte de secours a servi depuis son scellement : mot de passe à changer"
    )


@pytest.mark.rule("break-glass-use-detected")
@pytest.mark.acts
def test_use_raises_an_alert(host, new_visitor, on_host, observe):
    """Sessions of a throw-away member are opened at the console and by su: each is recorded and an alert names it."""
    assert host.run("getent group pgssi-break-glass").rc == 0, "aucun groupe de secours sur l'hôte"
    member = new_visitor("pgssi-break-glass")
    try:
        on_host("session", service="login", login=member.login)
        console = host.run(f"grep -cF {member.login} {STATE}/break-glass-used").stdout.strip() == "1"
        host.run("su - %s -c true </dev/null", member.login)
        host.run("journalctl --sync")
        said = host.run("journalctl -q --since=-5min -o cat -t pgssi-alert | grep -F %s", member.login).stdout
        marked = host.run(f"grep -F {member.login} {STATE}/break-glass-used").rc == 0
    finally:
        host.run(f"cd {STATE} && sed -i '/ {member.login} /d' break-glass-used && find break-glass-used -empty -delete")
    observe(f"alerte : {'émise' if re.search('secours', said) else 'aucune'}, usage {'consigné' if marked else 'non consigné'}")
    assert "secours" in said, "l'usage d'un compte de secours n'alerte pas"
    assert console and marked, "l'usage d'un compte de secours n'est pas consigné"
