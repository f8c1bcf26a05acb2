"""Every PAM service of the host asks for a secret, keeps lockouts and expiries, and refuses weak passwords."""

from __future__ import annotations

import pytest

from pgssi.verify import pam_stacks

# Tried whether the host has a file for them or not: without one, PAM takes that of `other`.
TRIED = ("sshd", "login", "sudo", "sudo-i", "su", "su-l", "cron", "passwd", "chpasswd", "other")


@pytest.mark.rule("authentication-no-bypass")
def test_stacks_hold(facts, observe):
    """Each service is followed as libpam does, with every line that proves nothing free to help an intruder."""
    services = pam_stacks.read_services(facts("access-pam", pam_stacks.COMMAND))
    assert services, "PAM n'a pas de service : /etc/pam.d est vide"
    found = {name: gaps for name in pam_stacks.names(services) if (gaps := pam_stacks.gaps(services, name))}
    observe(f"{len(pam_stacks.names(services))} services PAM, {len(found)} à contournement")
    assert not found, " ; ".join(f"{name} {', '.join(gaps)}" for name, gaps in found.items())


@pytest.mark.rule("authentication-no-bypass")
@pytest.mark.acts
def test_services_refuse(facts, new_visitor, on_host, draw, observe):
    """A throw-away account tries each service: wrong password, after three failures, once expired, weak new password."""
    person = new_visitor()
    services = pam_stacks.read_services(facts("access-pam", pam_stacks.COMMAND))
    names = sorted({*TRIED, *pam_stacks.names(services)})
    seen = on_host(
        "services", timeout=240, login=person.login, password=person.password, wrong=draw(16), weak="azertyui", names=names
    )
    opening = [name for name, codes in seen.items() if codes["right"] == 0]
    faults = [f"{name} s'ouvre sans le mot de passe" for name, codes in seen.items() if 0 in codes["wrong"]]
    faults += [f"{name} ouvre après trois échecs" for name in opening if seen[name]["locked"] == 0]
    faults += [f"{name} ouvre un compte expiré" for name in opening if seen[name]["expired"] == 0]
    faults += [f"{name} accepte un mot de passe faible" for name, codes in seen.items() if codes["weak"]]
    observe(f"{len(names)} services essayés, {len(opening)} ouverts au bon mot de passe, {len(faults)} manquements")
    assert not faults, " ; ".join(faults)
    assert {"sshd", "login"} <= set(opening), "le bon mot de passe est refusé : l'essai ne prouve rien"
