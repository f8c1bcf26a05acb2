"""SSH sessions: what an account that a key opens may do with its connection, and what is refused to keys."""

from __future__ import annotations

import re
import secrets
import shlex
from dataclasses import dataclass, field
from typing import Any

import pytest

from pgssi.verify import not_verified
from pgssi.verify.sshd_views import View, views

ALIKE = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=10", "LogLevel=INFO", "IdentityAgent=none",
         "IdentitiesOnly=yes", "BatchMode=yes")  # fmt: skip
USER_KEY = re.compile(
    r"(webauthn-)?(sk-)?(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|rsa-sha2-(256|512))(-cert-v01)?(@openssh\.com)?$"
)
FORWARDS = {"allowstreamlocalforwarding": "no", "allowagentforwarding": "no", "x11forwarding": "no", "permittunnel": "no",
            "gatewayports": "no"}  # fmt: skip
FREE = ("LANG", "LANGUAGE", "LC_*", "COLORTERM", "NO_COLOR")  # what a program shows, not what it runs


@dataclass
class Guest:
    """A throw-away account that a key opens, and a folder of the host with that key and others."""

    login: str
    folder: str
    port: int
    run: Any
    seen: list[str] = field(default_factory=list)

    def ssh(self, command: str, *options: str, key: str = "key", wrap: str = "") -> Any:
        """Log in from loopback, each time from another address; rc 255: refused."""
        self.seen.append(f"127.8.7.{len(self.seen) + 1}")
        words = " ".join(f"-o {one}" for one in ALIKE)
        return self.run(
            f"{wrap} ssh -F none -T -p {self.port} -b {self.seen[-1]} {words} {' '.join(options)} -i {self.folder}/{key} "
            f"{self.login}@127.0.0.1 {shlex.quote(command)} </dev/null",
            timeout=60,
        )

    def opens(self, *options: str, key: str = "key") -> bool:
        """Tell whether a login succeeds; not verified when sshd did not even answer."""
        answer = self.ssh("echo ouvert", *options, key=key)
        refused = "Permission denied" in answer.stderr or "Unable to negotiate" in answer.stderr or "closed" in answer.stderr
        if answer.rc == 255 and not refused:
            not_verified(f"sshd n'a ni accepté ni refusé : {answer.stderr.strip()[-200:]}")
        return "ouvert" in answer.stdout

    def make_key(self, name: str, kind: str, *trusted: str) -> None:
        """Make one more key in the folder; its public half is accepted for the account when ``trusted`` says so."""
        self.run(f"ssh-keygen -q -N '' -t {kind} -f {self.folder}/{name}")
        if trusted:
            self.run(f"cat {self.folder}/{name}.pub >> ~{self.login}/.ssh/authorized_keys")


@pytest.fixture(scope="module")
def guest(host, facts):
    """A throw-away account with a key of its own; both go away. When it cannot enter at all, nothing is verified."""
    login, folder = f"essai{secrets.token_hex(4)}", host.check_output("mktemp -d /run/pgssi-essai.XXXXXX").strip()
    person = Guest(login, folder, int((facts.sshd().get("port") or "22").split()[0]), host.run)
    try:
        host.check_output(
            f"useradd --create-home --shell /bin/bash --password '*' {login} && "
            f"ssh-keygen -q -t ed25519 -N '' -f {folder}/key && install -d -m 700 -o {login} -g {login} ~{login}/.ssh && "
            f"install -m 600 -o {login} -g {login} {folder}/key.pub ~{login}/.ssh/authorized_keys"
        )
        if not person.opens():
            not_verified("un compte d'essai n'entre pas par sa clé : rien d'autre ne peut être tenté")
        yield person
    finally:
        host.run(
            f"loginctl terminate-user {login}; pkill -KILL -u {login}; faillock --user {login} --reset; "
            f"userdel --remove {login}; groupdel {login}; rm -rf {folder} /run/faillock/{login} /var/mail/{login}; "
            f"sed -i '/^{login}:/d' /etc/security/opasswd"
        )


@pytest.fixture(scope="module")
def seen(facts) -> list[View]:
    """What each running server answers to every kind of connection that its Match blocks tell apart."""
    return views(facts)


def others(seen: list[View], **wanted: Any) -> list[str]:
    """Return the answers that are not the wanted values; a value may be a function of what is said."""
    return [
        f"{view} : {key} {view.get(key) or '?'}"
        for view in seen for key, value in wanted.items()
        if not (value(view.get(key)) if callable(value) else view.get(key) == value)
    ]  # fmt: skip


@pytest.mark.rule("ssh-user-keys-strong")
def test_user_keys(seen, observe):
    """Every running sshd is asked, for each kind of connection, which signatures and sizes of RSA key it takes."""
    weak = {name for view in seen for name in view.get("pubkeyacceptedalgorithms").split(",") if not USER_KEY.match(name)}
    short = others(seen, requiredrsasize=lambda said: said.isdigit() and int(said) >= 2048)
    observe(f"{len(seen)} réponses ; signatures faibles : {', '.join(sorted(weak)) or 'aucune'} ; RSA trop court : {len(short)}")
    assert not weak, f"signatures faibles acceptées : {', '.join(sorted(weak))}"
    assert not short, f"clés RSA courtes acceptées : {', '.join(short[:3])}"


@pytest.mark.rule("ssh-user-keys-strong")
@pytest.mark.acts
def test_weak_user_key_is_refused(guest, observe):
    """A throw-away account tries an RSA key of 1024 bits, and one of 3072 signing with SHA-1: neither enters."""
    guest.make_key("short", "rsa -b 1024", "trusted")
    guest.make_key("long", "rsa -b 3072", "trusted")
    short = guest.opens("-o RequiredRSASize=1024", key="short")
    old = guest.opens("-o PubkeyAcceptedAlgorithms=ssh-rsa", key="long")
    sound = guest.opens(key="long")
    observe(f"RSA 1024 : {'admis' if short else 'refusé'} ; SHA-1 : {'admis' if old else 'refusé'} ; RSA 3072 : {sound}")
    assert not short, "une clé RSA de 1024 bits ouvre une session"
    assert not old, "une signature SHA-1 ouvre une session"


@pytest.mark.rule("ssh-forwarding-refused")
def test_forwarding(site, seen, observe):
    """Every running sshd is asked, for each kind of connection, what it forwards; declared jumps apart."""
    jumps = {login: set(jump["to"]) for jump in site.get("system_hardening_ssh_jumps") or () for login in jump["logins"]}
    # DisableForwarding prevails over all the others save the one for tunnels.
    closed = [view for view in seen if view.get("disableforwarding") == "yes"]
    wrong = [*others([view for view in seen if view not in closed], **FORWARDS), *others(closed, permittunnel="no")]
    for view in seen:
        said = view.get("allowtcpforwarding")
        allowed = jumps.get(view.connection.get("user", ""))
        declared = allowed and said == "local" and set(view.get("permitopen").split()) <= allowed
        if said != "no" and view.get("disableforwarding") != "yes" and not declared:
            wrong.append(f"{view} : allowtcpforwarding {said or '?'}")
    observe(f"{len(seen)} réponses, {len(jumps)} rebond(s) déclaré(s), {len(wrong)} relais ouverts")
    assert not wrong, f"relais ouverts : {', '.join(wrong[:4])}"


@pytest.mark.rule("ssh-forwarding-refused")
@pytest.mark.acts
def test_forwarding_is_refused(guest, observe):
    """A throw-away account asks for a tunnel each way, a relayed socket, the agent and the display; none is given."""
    agent = f'ssh-agent sh -c \'ssh-add -q {guest.folder}/key; exec "$0" "$@"\''
    carried = guest.ssh("true", "-o ExitOnForwardFailure=yes", f"-W 127.0.0.1:{guest.port}").stdout
    tried = {
        "tunnel vers l'extérieur": "SSH-" in carried,
        "tunnel vers l'intérieur": guest.ssh("echo ouvert", "-o ExitOnForwardFailure=yes", "-R 127.0.0.1:0:127.0.0.1:9").rc == 0,
        "prise locale": guest.ssh("echo ouvert", "-o ExitOnForwardFailure=yes", f"-R /tmp/{guest.login}:127.0.0.1:9").rc == 0,
        "agent": "/" in guest.ssh("printenv SSH_AUTH_SOCK", "-A", "-o IdentityAgent=SSH_AUTH_SOCK", wrap=agent).stdout,
        "affichage": ":" in guest.ssh("printenv DISPLAY", "-Y", wrap="env DISPLAY=:7").stdout,
    }
    given = [what for what, done in tried.items() if done]
    observe(f"{len(tried)} relais demandés, {len(given)} obtenus")
    assert guest.opens(), "le compte d'essai n'entre plus : aucun refus ne prouve rien"
    assert not given, f"sshd relaie : {', '.join(given)}"


@pytest.mark.rule("ssh-attempts-limited")
def test_attempts(seen, observe):
    """Every running sshd is asked how long and how many tries it leaves to a client that has not proven who it is."""
    wrong = others(
        seen,
        logingracetime=lambda said: said.isdigit() and 0 < int(said) <= 60,
        maxauthtries=lambda said: said.isdigit() and 0 < int(said) <= 4,
    )
    observe(f"{len(seen)} réponses, {len(wrong)} trop larges")
    assert not wrong, f"trop de temps ou d'essais : {', '.join(wrong[:4])}"


@pytest.mark.rule("ssh-attempts-limited")
@pytest.mark.acts
def test_tries_are_counted(guest, observe):
    """A client shows eight keys that open nothing in one connection: the server hangs up after the fourth at the latest."""
    for number in range(8):
        guest.make_key(f"wrong{number}", "ed25519")
    keys = " ".join(f"-i {guest.folder}/wrong{number}" for number in range(8))
    said = guest.ssh("true", keys, "-v", key="wrong0").stderr
    offered = said.count("Offering public key")
    observe(f"{offered} clés essayées en une connexion")
    if not offered:
        not_verified(f"le client n'a essayé aucune clé : {said.strip()[-200:]}")
    assert offered <= 4 and "Too many authentication failures" in said, f"sshd laisse essayer {offered} clés en une connexion"


@pytest.mark.rule("ssh-environment-fixed")
def test_environment(seen, observe):
    """Every running sshd is asked whether the account's own files and the client's variables count, language apart."""
    wrong = others(
        seen,
        permituserenvironment="no",
        permituserrc="no",
        acceptenv=lambda said: set(said.split()) <= set(FREE),
    )
    observe(f"{len(seen)} réponses, {len(wrong)} trop larges")
    assert not wrong, f"environnement modifiable : {', '.join(wrong[:4])}"


@pytest.mark.rule("ssh-environment-fixed")
@pytest.mark.acts
def test_environment_is_fixed(host, guest, observe):
    """A throw-away account sends a variable, keeps another in a file and a program for its login: none takes effect."""
    home = host.check_output(f"getent passwd {guest.login} | cut -d: -f6").strip()
    host.check_output(
        f"echo PIEGE_FICHIER=oui > {home}/.ssh/environment; echo 'touch $HOME/piege' > {home}/.ssh/rc; "
        f"chown {guest.login}: {home}/.ssh/environment {home}/.ssh/rc"
    )
    said = guest.ssh("env; ls", "-o SetEnv=PIEGE_CLIENT=oui").stdout
    host.run(f"rm -f {home}/.ssh/environment {home}/.ssh/rc {home}/piege")
    assert "HOME=" in said, "le compte d'essai n'entre plus : aucun refus ne prouve rien"
    found = [what for what in ("PIEGE_CLIENT", "PIEGE_FICHIER", "piege\n") if what in f"{said}\n"]
    observe(f"pris en compte : {', '.join(map(str.strip, found)) or 'rien'}")
    assert not found, f"la session prend en compte : {', '.join(map(str.strip, found))}"


@pytest.mark.rule("ssh-strict-modes")
def test_strict_modes(seen, observe):
    """Every running sshd is asked whether it looks at who may write the files of keys."""
    wrong = others(seen, strictmodes="yes")
    observe(f"{len(seen)} réponses, {len(wrong)} sans contrôle")
    assert not wrong, f"sshd n'examine pas les droits : {', '.join(wrong[:4])}"


@pytest.mark.rule("ssh-strict-modes")
@pytest.mark.acts
def test_open_files_of_keys_are_refused(host, guest, observe):
    """A throw-away account enters by its key, then not once anybody may write its list of keys, then again."""
    before = guest.opens()
    host.check_output(f"chmod 0666 ~{guest.login}/.ssh/authorized_keys")
    loose = guest.opens()
    host.check_output(f"chmod 0600 ~{guest.login}/.ssh/authorized_keys")
    after = guest.opens()
    observe(f"liste fermée : {before}, ouverte à tous : {loose}, refermée : {after}")
    assert before and after, "le compte d'essai n'entre plus : aucun refus ne prouve rien"
    assert not loose, "une liste de clés que chacun peut écrire ouvre une session"


@pytest.mark.rule("ssh-refused-keys-traced")
@pytest.mark.acts
def test_refused_key_is_traced(host, guest, observe):
    """A client shows an unknown key once: the journal names the account, the address and the print of the key."""
    guest.make_key("unknown", "ed25519")
    mark = host.check_output(f"ssh-keygen -l -f {guest.folder}/unknown.pub").split()[1]
    assert not guest.opens(key="unknown"), "une clé inconnue ouvre une session"
    host.run("journalctl --sync")
    lines = host.run("journalctl -q --since=-10min -o cat --grep %s", re.escape(guest.login)).stdout.splitlines()
    found = [line for line in lines if mark in line and guest.seen[-1] in line]
    observe(f"{len(found)} ligne(s) avec le compte, l'adresse et l'empreinte")
    assert found, "le journal ne dit pas quelle clé a été refusée"
