"""The gateway for suppliers: who gets in, and what nobody gets there (PSSI 6.1.2.1, 6.1.2.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.remote.model import Access
from pgssi.verify.sshd_views import View, views

GATE = "/usr/local/lib/pgssi/pgssi-remote-gate"
KEYS = "/etc/pgssi/remote/keys"
Observe = Callable[[str], None]


@pytest.mark.rule("remote-certificate-only")
def test_service_wants_certificates(service: list[View], in_effect: Any, observe: Observe) -> None:
    """In effect for every connection to the suppliers' service: one authority, no key file, password or list of other names."""
    loose = in_effect(
        authorizedkeysfile="none",
        authorizedprincipalsfile="none",
        passwordauthentication="no",
        authorizedkeyscommand="none",
        authorizedprincipalscommand="none",
    )
    authorities = {view.get("trustedusercakeys") or "none" for view in service}
    without = [str(view) for view in service if not _wants_key(view)]
    eternal = [str(view) for view in service if view.get("revokedkeys") in ("", "none")]
    observe(f"{len(service)} sortes de connexion, {len(loose)} réglages trop larges, autorité {', '.join(sorted(authorities))}")
    assert not loose, f"le service admet autre chose que des certificats : {' ; '.join(loose[:4])}"
    assert not without, f"le service n'exige pas de certificat : {' ; '.join(without[:4])}"
    assert "none" not in authorities, "aucune autorité n'est reconnue"
    assert len(authorities) == 1, f"plusieurs autorités selon la connexion : {', '.join(sorted(authorities))}"
    assert not eternal, f"aucun certificat ne peut être révoqué : {' ; '.join(eternal[:4])}"


def _wants_key(view: View) -> bool:
    """Return whether every way through a server asks for a key."""
    ways = view.get("authenticationmethods")
    if ways in ("", "any"):
        others = ("password", "kbdinteractive", "gssapi", "hostbased")
        return all(view.get(f"{other}authentication") in ("", "no") for other in others)
    return all("publickey" in way.split(",") for way in ways.split())


@pytest.mark.rule("remote-certificate-only")
@pytest.mark.acts
def test_only_the_right_certificate_opens(door: Any, observe: Observe) -> None:
    """In a throw-away window the right certificate opens; a bare key, another authority, name, source or time does not."""
    door.prepare()
    door.open()
    right = door.certificate()
    signed = f"ssh-keygen -q -s ca -I x -n {door.account} autre.pub"
    foreign = door.host.check_output(f"cd {door.folder} && cp k.pub autre.pub && {signed} && echo $PWD/autre-cert.pub").strip()
    wrong = {
        "clé sans certificat": "",
        "autre autorité": foreign,
        "autre compte": door.certificate(door.relay),
        "autre adresse": door.certificate(source="192.0.2.1/32"),
        "certificat expiré": door.certificate(start="-2h", end="-1h"),
        "certificat à venir": door.certificate(start="+1h", end="+2h"),
    }
    door.opens(right)
    opened = [name for name, certificate in wrong.items() if door.passes(certificate)]
    door.shut()
    observe(f"{len(wrong)} certificats refusables essayés, {len(opened)} admis")
    assert not opened, f"admis à tort : {', '.join(opened)}"
    door.open()
    door.opens(door.certificate())
    assert not door.passes(right), "le certificat d'une fenêtre fermée ouvre la suivante"


@pytest.mark.rule("remote-accounts-declared")
def test_accounts_are_those_declared(declared: list[Access], facts: Any, observe: Observe) -> None:
    """The accounts of the suppliers' group are the declared pairs, closed otherwise; none has a password, key or group."""
    groups = {entry[0]: entry for entry in facts.getent("group")}
    assert "pgssi-suppliers" in groups, "la passerelle n'a pas de comptes de prestataires"
    number = groups["pgssi-suppliers"][2]
    present = {entry[0]: entry for entry in facts.getent("passwd") if entry[3] == number}
    shadow = facts.shadow()
    # An account of a test may go between two questions; a hash in passwd itself opens as well.
    hashes = {name: one[1] if one[1] != "x" else shadow.get(name, ["", "!"])[1] for name, one in present.items()}
    wanted = {access.account for access in declared}
    closed = {name for name in present if hashes[name].startswith("!")}
    passwords = [name for name in present if not hashes[name].startswith(("!", "*"))]
    others = {name: entry[3].split(",") for name, entry in groups.items() if name != "pgssi-sudo"}
    members = [f"{name} dans {group}" for group, names in others.items() for name in names if name in present]
    homes = " ".join(sorted({entry[5] for entry in present.values()})) or "/nonexistent"
    keys = facts("remote-keys", f"find {homes} -name 'authorized_keys*' -size +0 2>/dev/null; true").split()
    observe(f"{len(present)} comptes pour {len(wanted)} couples déclarés, {len(keys)} fichiers de clés")
    assert not wanted - set(present), f"comptes absents : {', '.join(sorted(wanted - set(present)))}"
    assert not set(present) - wanted - closed, (
        f"comptes ouverts sans être déclarés : {', '.join(sorted(set(present) - wanted - closed))}"
    )
    assert not passwords, f"comptes avec mot de passe : {', '.join(passwords)}"
    assert not members, f"comptes dans un autre groupe : {', '.join(members)}"
    assert not keys, f"clés permanentes : {', '.join(keys)}"


@pytest.mark.rule("remote-no-forwarding")
def test_service_forwards_nothing(service: list[View], in_effect: Any, observe: Observe) -> None:
    """In effect for every connection to the suppliers' service: forwarding of any kind is off."""
    loose = in_effect(
        disableforwarding="yes",
        allowtcpforwarding="no",
        allowagentforwarding="no",
        x11forwarding="no",
        permittunnel="no",
        allowstreamlocalforwarding="no",
    )
    observe(f"{len(service)} sortes de connexion, {len(loose)} réglages qui relaient")
    assert not loose, f"le service relaie : {' ; '.join(loose[:4])}"


@pytest.mark.rule("remote-no-forwarding")
@pytest.mark.acts
def test_forwarding_is_tried_and_refused(door: Any, observe: Observe) -> None:
    """With a valid certificate: a port and a socket behind the gateway, a port on it and a tunnel are asked for."""
    door.prepare()
    door.open()
    certificate = door.certificate()
    door.opens(certificate)
    tried = {
        "port": "-W 127.0.0.1:22",
        "socket": "-W /run/systemd/private",
        "port de la passerelle": "-N -o ExitOnForwardFailure=yes -R 45001:127.0.0.1:22",
    }
    answers = {name: door.login(certificate, options) for name, options in tried.items()}
    observe(", ".join(f"{name} : code {answer.rc}" for name, answer in answers.items()))
    through = [name for name, answer in answers.items() if answer.rc == 0 or "SSH-2.0" in answer.stdout]
    assert not through, f"relayé : {', '.join(through)}"


@pytest.mark.rule("remote-no-shell")
@pytest.mark.acts
def test_nothing_runs_on_the_gateway(door: Any, in_effect: Any, facts: Any, observe: Observe) -> None:
    """With a valid certificate without forced command: commands, injections, a terminal and transfers leave no mark here.

    What was tried as one account is read for all: every connection has the forced command, every account the gate as shell.
    """
    door.prepare()
    door.open()
    door.opens(door.certificate())
    door.shut()
    door.open("ssh")
    certificate = door.certificate()
    door.host.check_output(f"chmod 0711 {door.folder} && install -d -m 0777 {door.folder}/ouvert")
    mark = f"{door.folder}/ouvert/marque"
    commands = [
        f"touch {mark}",
        f"-oProxyCommand=touch {mark}",
        f"x; touch {mark}",
        f"$(touch {mark})",
        f"x\ntouch {mark}",
        "pgssi-sftp",
    ]
    for command in commands:
        door.login(certificate, "-T", command)
    door.login(certificate, "-tt", typed=f"touch {mark}\nexit\n")
    door.host.run(f"printf 'put /etc/hostname {mark}\\n' | {door.line(certificate, '-s', 'sftp')}", timeout=40)
    left = door.host.run(f"ls {door.folder}/ouvert").stdout.strip()
    door.host.run(f"chmod 0700 {door.folder}")
    free = in_effect(forcecommand=GATE)
    accounts = {access.account for access in door.declared}
    shells = {entry[0]: entry[6] for entry in facts.getent("passwd") if entry[0] in accounts}
    shelled = [f"{name} ({shell})" for name, shell in sorted(shells.items()) if shell != GATE]
    observe(f"{len(commands) + 2} essais, trace : {left or 'aucune'} ; {len(shells)} comptes, {len(shelled)} avec interpréteur")
    assert not left, "une commande du prestataire s'est exécutée sur la passerelle"
    assert not free, f"le service n'impose pas sa commande : {' ; '.join(free[:4])}"
    assert not shelled, f"comptes avec un interpréteur : {', '.join(shelled[:4])}"


@pytest.mark.rule("remote-doors-apart")
def test_each_door_has_its_own_people(service: list[View], in_effect: Any, facts: Any, observe: Observe) -> None:
    """The suppliers' service admits one group, whose members are suppliers' accounts alone; no other server shares its port."""
    strangers = in_effect(allowgroups="pgssi-suppliers")
    group = next((entry for entry in facts.getent("group") if entry[0] == "pgssi-suppliers"), None)
    guests = [name for name in (group[3].split(",") if group else []) if name]
    mine = {port for view in service for port in view.get("port").split()}
    others = [view for view in views(facts) if view.server.config != service[0].server.config]
    shared = mine & {port for view in others for port in (view.get("port") or "22").split()}
    open_to = [view for view in others if view.admits("rm-essai", {"pgssi-suppliers"})]
    trusting = [str(view) for view in open_to if view.get("trustedusercakeys") not in ("", "none")]
    observe(f"{len(service)} sortes de connexion, port {', '.join(sorted(mine))}, {len(guests)} invités")
    assert not strangers, f"le service admet d'autres groupes : {' ; '.join(strangers[:4])}"
    assert not guests, f"le service des prestataires admet aussi {', '.join(guests)}"
    assert not shared, f"les deux services ont le même port : {', '.join(sorted(shared))}"
    assert not trusting, f"le SSH des exploitants reconnaît une autorité : {' ; '.join(trusting[:4])}"


@pytest.mark.rule("remote-doors-apart")
@pytest.mark.acts
def test_doors_refuse_each_other(door: Any, site: Mapping[str, Any], facts: Any, observe: Observe) -> None:
    """A valid certificate is shown to the operators' SSH, and certificates for operators' names to the suppliers' service."""
    door.prepare()
    door.open()
    operators = ["root", site.get("ansible_user") or "root"]
    port = facts.sshd().get("port", "22").split()[0]
    certificate = door.certificate()
    door.opens(certificate)
    inside = door.login(certificate, f"-T -p {port}", "true")
    across = [name for name in operators if door.login(door.certificate(name), "-T", "true", user=name, code="").rc == 0]
    observe(f"SSH des exploitants : code {inside.rc} ; exploitants admis chez les prestataires : {across or 'aucun'}")
    assert inside.rc == 255, "le SSH des exploitants admet le compte d'un prestataire"
    assert not across, f"le service des prestataires admet {', '.join(across)}"


@pytest.mark.rule("remote-secret-one-equipment")
def test_one_key_for_each_equipment(host: Host, declared: list[Access], facts: Any, observe: Observe) -> None:
    """Each equipment has its own key on the gateway, and no account but its relay reads it when it tries."""
    relays = sorted({access.relay for access in declared if access.equipment.protocol == "ssh"})
    accounts = sorted({access.account for access in declared})[:5]
    script = f"cd {KEYS} 2>/dev/null || exit 0; for k in {' '.join(relays)}; do [ -s $k ] || continue; "
    script += 'echo "key $k $(ssh-keygen -lf $k.pub | cut -d" " -f2)"; '
    script += f"for a in nobody {' '.join([*relays, *accounts])}; do "
    script += '[ $a != $k ] || continue; as="setpriv --reuid=$(id -u $a) --regid=$(id -g $a) --clear-groups"; '
    script += 'if $as cat $k >/dev/null 2>&1; then echo "read $k $a"; fi; done; done; true'
    lines = [line.split() for line in facts("remote-secret", script, 60).splitlines()]
    prints = {line[1]: line[2] for line in lines if line[0] == "key"}
    readers = [f"{line[2]} lit celle de {line[1]}" for line in lines if line[0] == "read"]
    observe(f"{len(prints)} clés pour {len(relays)} équipements, {len(set(prints.values()))} différentes")
    assert set(prints) == set(relays), f"équipements sans clé : {', '.join(sorted(set(relays) - set(prints)))}"
    assert len(set(prints.values())) == len(prints), "une même clé ouvre plusieurs équipements"
    assert not readers, f"clé lisible : {' ; '.join(readers)}"


@pytest.mark.rule("remote-two-factors")
def test_service_wants_two_factors(service: list[View], in_effect: Any, observe: Observe) -> None:
    """In effect for every connection to the suppliers' service: certificate, then one-time code, by a PAM service of its own."""
    single = in_effect(authenticationmethods="publickey,keyboard-interactive")
    unchecked = in_effect(usepam="yes")
    observe(f"{len(service)} sortes de connexion, {len(single)} sans second facteur")
    assert not single, f"le certificat suffit, ou n'est pas exigé : {' ; '.join(single[:4])}"
    assert not unchecked, "aucun code n'est vérifié"


@pytest.mark.rule("remote-two-factors")
@pytest.mark.acts
def test_code_is_needed(door: Any, observe: Observe) -> None:
    """With a valid certificate: no code and a wrong code are refused, the right code opens."""
    door.prepare()
    door.open()
    certificate = door.certificate()
    without = door.passes(certificate, code="")
    wrong = door.passes(certificate, code=door.code(wanted=False))
    right = door.passes(certificate, code=door.code())
    observe(f"sans code {without}, code faux {wrong}, code juste {right}")
    assert not without, "le certificat seul ouvre"
    assert not wrong, "un code faux ouvre"
    assert right, "le code juste n'ouvre pas"
