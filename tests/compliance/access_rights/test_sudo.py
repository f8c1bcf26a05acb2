"""sudo: what its policy really says and what a throw-away account can do with it (BP-028 R38 to R44, R33)."""

from __future__ import annotations

import re
import secrets
import shlex

import pytest

EDITORS = re.compile(
    r"(?:^|/)(?:r?vi|n?vi|g?r?n?vim(?:diff|tutor)?(?:\.\w+)?|g?r?view|(?:r?nano|pico)(?:-\w+)?|emacs[\w.-]*|mg|jed|[jr]?joe|jmacs|jpico"
    r"|jstar|micro|ne|tilde|dte|r?ed|ex|mcedit|mc|(?:z|bz|xz|lz|zstd)?(?:less|more)|most|pg|lv|w3m|man|(?:sensible-)?(?:editor|pager)"
    r"|vipw|vigr|visudo)(?:\s|$)"
)
# What a value of sudo must be for everybody; None: as sudo is built.
PASSWORD = {
    "authenticate": (None, True), "exempt_group": (None,), "rootpw": (None, False), "targetpw": (None, False),
    "runaspw": (None, False), "timestamp_type": (None, "tty", "ppid"), "tty_tickets": (None, True), "pam_service": (None, "sudo"),
    "pam_login_service": (None, "sudo-i"), "pam_askpass_service": (None, "sudo"), "pam_acct_mgmt": (None, True),
}  # fmt: skip
ENVIRONMENT = {"env_reset": (None, True), "setenv": (None, False), "env_file": (None,), "restricted_env_file": (None,),
               "exempt_group": (None,), "umask_override": (None, False)}  # fmt: skip
# Variables that change what a program runs or loads; sudo removes them unless it is told to keep them.
HARMFUL = re.compile(
    r"\*|^(LD_|DYLD_|_RLD|LIBPATH|SHLIB_PATH|BASH|ENV$|IFS$|CDPATH|PATH$|PROMPT_COMMAND|SHELLOPTS|PYTHON|PERL|RUBY|JAVA|JDK_"
    r"|NODE_|GEM_|CLASSPATH|TMPPREFIX|ZDOTDIR|NULLCMD|READNULLCMD|TERMINFO|TERMPATH|GCONV|LOCALDOMAIN|HOSTALIASES|EDITOR"
    r"|VISUAL|PAGER|GIT_|LESS|MANPAGER|SYSTEMD_|HOME$|SHELL$)"
)
COMMANDS = ("/usr/bin/env", "/usr/bin/env id", "/bin/sh -c umask", "/bin/echo MARQUE")


def loosened(sudo_defaults, wanted):
    """Return the options whose value, for everybody or for somebody, is none of those wanted."""
    return [
        f"{option} = {value}" for option, allowed in wanted.items() for value in sudo_defaults(option) if value not in allowed
    ]  # fmt: skip


@pytest.fixture
def people_grants(sudo_grants, matrix, visitors):
    """The grants that are neither root's nor automation's nor of a throw-away account."""
    exempt = {a.login for a in matrix.values() if a.kind == "automation"} | {"root"}
    return [grant for grant in sudo_grants if grant.who not in exempt | visitors]


@pytest.fixture(scope="module")
def sudoer(host, facts, new_visitor):
    """Give a throw-away account four harmless sudo commands, through a file that goes away."""
    groups = ["pgssi-sudo"] if host.run("getent group pgssi-sudo").rc == 0 else []
    person = new_visitor(*groups)
    path = f"/etc/sudoers.d/essai-{secrets.token_hex(4)}"
    right = f"{person.login} ALL=(root) NOPASSWD: {', '.join(COMMANDS)}\n"
    host.check_output(f"printf %%s %s > {path} && chmod 0440 {path} && visudo -cqf {path}", right)
    yield person
    host.run(f"rm -f {path}; for l in /var/log/sudo-io/*/*/*/log; do grep -q :{person.login}: $l && rm -r ${{l%%/log}}; done")


@pytest.fixture(scope="module")
def as_sudoer(sudoer, on_host):
    """``as_sudoer("sudo -n …")``: run a command line as this account, on a terminal; return what it printed."""
    return lambda line: on_host("talk", login=sudoer.login, argv=["sh", "-c", line], answers=[])["said"]


@pytest.mark.rule("sudo-password-required")
def test_password_is_asked(sudo_grants, sudo_defaults, matrix, observe, people_grants):
    """No right of a person carries NOPASSWD unless its profile says so, and no default lifts the password."""
    free = {a.login for a in matrix.values() if any(not rule.password for rule in a.sudo)}
    found = [g.who for g in people_grants if g.options.get("authenticate") is False and g.who not in free]
    lifted = loosened(sudo_defaults, PASSWORD)
    minutes = [float(value) if str(value).lstrip("-").replace(".", "").isdigit() else 15.0
               for value in sudo_defaults("timestamp_timeout") if value is not None]  # fmt: skip
    lifted += [f"mot de passe retenu {value:g} min" for value in minutes if not 0 <= value <= 15]
    observe(f"{len(people_grants)} droits de personnes, {len(found)} sans mot de passe")
    assert not found, f"sudo sans mot de passe : {', '.join(found)}"
    assert not lifted, f"un réglage lève le mot de passe : {', '.join(lifted)}"
    asked = [a for a in matrix.values() if a.sudo and a.kind == "technical"]
    granted = {g.who for g in sudo_grants}
    assert all(a.login in granted for a in asked), (
        "les droits sudo déclarés n'existent pas : rien à quoi demander un mot de passe"
    )


@pytest.mark.rule("sudo-no-negation")
def test_no_negation(sudo_grants, observe):
    """The parsed policy holds no negated command."""
    found = [grant.who for grant in sudo_grants if grant.negated]
    observe(f"{len(sudo_grants)} droits sudo, {len(found)} avec négation")
    assert not found, f"commande exclue par négation pour {', '.join(found)}"


@pytest.mark.rule("sudo-arguments-explicit")
def test_arguments(people_grants, observe):
    """Each command of a person's right, ALL apart, names its arguments and has no wildcard."""
    loose = []
    for grant in people_grants:
        for command in grant.commands:
            if command == "ALL":
                continue
            if re.search(r"(?<!\\)[*?\[]|^\^| \^", command) or " " not in command:
                loose.append(f"{grant.who} : {command}")
    observe(f"{len(people_grants)} droits de personnes, {len(loose)} sans arguments précis")
    assert not loose, f"arguments libres : {' ; '.join(loose)}"


@pytest.mark.rule("sudo-no-root-editor")
def test_no_editor(host, people_grants, observe):
    """No command of a person's right is, links followed, an editor or a pager."""
    rights = [(grant.who, command) for grant in people_grants for command in grant.commands]
    real = {
        command: host.run("readlink -f -- %s", command.split()[0]).stdout.strip()
        for _, command in rights if command.startswith("/")
    }  # fmt: skip
    found = [
        f"{who} : {command}" for who, command in rights
        if not command.startswith("sudoedit ") and (EDITORS.search(command.split()[0]) or EDITORS.search(real.get(command, "")))
    ]  # fmt: skip
    observe(f"{len(found)} éditeurs ou afficheurs autorisés en root")
    assert not found, f"éditeur en root : {' ; '.join(found)}"


@pytest.mark.rule("sudo-clean-environment")
def test_defaults_of_environment(sudo_defaults, observe):
    """The defaults that sudo parses, for anybody, reset the environment, impose a path, ignore the dot, mask new files."""
    shown = {option: sudo_defaults(option) for option in ("secure_path", "ignore_dot", "umask")}
    observe(", ".join(f"{option}={', '.join(map(str, values))}" for option, values in shown.items()))
    lifted = loosened(sudo_defaults, ENVIRONMENT)
    kept = [name for option in ("env_keep", "env_check") for value in sudo_defaults(option) for name in value or ()]
    harmful = sorted({str(name) for name in kept if HARMFUL.search(str(name).split("=")[0])})
    assert not lifted, f"l'environnement n'est pas remis à zéro : {', '.join(lifted)}"
    assert not harmful, f"variables gardées par sudo : {', '.join(harmful)}"
    for path in shown["secure_path"]:
        folders = str(path or "nul").split(":")
        assert all(re.match(r"/(usr/)?(local/)?s?bin$|/snap/bin$", folder) for folder in folders), f"PATH de sudo : {path}"
    assert all(value is True for value in shown["ignore_dot"]), "sudo n'ignore pas le répertoire courant"
    assert all(str(value) == "0077" for value in shown["umask"]), f"umask de sudo : {', '.join(map(str, shown['umask']))}"


@pytest.mark.rule("sudo-clean-environment")
@pytest.mark.acts
def test_environment_is_clean(as_sudoer, observe):
    """A throw-away account injects a variable and a path into sudo: neither reaches the command, and umask is 0077."""
    said = as_sudoer("PIEGE=oui PATH=/tmp/piege:$PATH /usr/bin/sudo -n /usr/bin/env; /usr/bin/sudo -n /bin/sh -c umask")
    observe(f"variable {'passée' if 'PIEGE=' in said else 'retirée'}, umask {said.split()[-1] if said.split() else 'inconnu'}")
    assert "PATH=" in said, f"sudo ne s'exécute pas : {said[-120:]}"
    assert "PIEGE=" not in said and "/tmp/piege" not in said, "l'environnement de l'appelant passe à travers sudo"
    assert "0077" in said.split(), "umask 0077 n'est pas appliqué"


@pytest.mark.rule("sudo-requires-terminal")
def test_pseudo_terminal(sudo_defaults, observe):
    """The defaults that sudo parses demand a terminal of people and run commands in a pseudo-terminal."""
    found = {option: sudo_defaults(option) for option in ("use_pty", "requiretty")}
    observe(", ".join(f"{option}={', '.join(map(str, values))}" for option, values in found.items()))
    assert all(value is True for value in found["use_pty"]), "sudo n'utilise pas de pseudo-terminal pour tous"
    assert all(value is True for value in found["requiretty"]), "sudo n'exige pas de terminal de tous"


@pytest.mark.rule("sudo-requires-terminal")
@pytest.mark.acts
def test_without_terminal(host, sudoer, observe):
    """A throw-away account with a sudo right tries it without a terminal and is refused."""
    command = f"setpriv --reuid={sudoer.login} --regid={sudoer.login} --init-groups setsid -w sudo -n /bin/echo MARQUE"
    answer = host.run(command)
    observe(f"sudo sans terminal : {'exécuté' if 'MARQUE' in answer.stdout else 'refusé'}")
    assert "MARQUE" not in answer.stdout, "sudo s'exécute sans terminal"


@pytest.mark.rule("sudo-session-recorded")
@pytest.mark.acts
def test_session_is_replayable(host, as_sudoer, sudoer, observe):
    """A throw-away account runs a command through sudo: sudoreplay lists it and plays what it printed."""
    said = as_sudoer("/usr/bin/sudo -n /bin/echo MARQUE")
    assert "MARQUE" in said, f"sudo ne s'exécute pas : {said[-120:]}"
    listed = host.run("sudoreplay -l user %s", sudoer.login).stdout
    found = [line for line in listed.splitlines() if "echo MARQUE" in line]
    identity = re.search(r"TSID=(\S+)", found[-1]) if found else None
    played = host.run("sudoreplay -m 0 -s 100 %s", identity.group(1)).stdout if identity else ""
    observe(f"{len(found)} enregistrement, rejoué : {'oui' if 'MARQUE' in played else 'non'}")
    assert found, "la commande n'est pas enregistrée"
    assert "MARQUE" in played, "l'enregistrement ne rejoue pas ce qui a été affiché"


@pytest.mark.rule("sudo-session-recorded")
def test_recording_is_default(sudo_defaults, people_grants, observe):
    """The defaults that sudo parses record what it prints, and no option or right of a person lifts that."""
    silent = [g.who for g in people_grants if g.options.get("log_output") is False]
    default, *bound = sudo_defaults("log_output")
    observe(f"enregistrement par défaut : {default}, {len(silent)} droits et {bound.count(False)} réglages sans enregistrement")
    assert default is True, "les sessions sudo ne sont pas enregistrées"
    assert not silent and False not in bound, f"non enregistrés : {', '.join(silent) or 'réglage particulier'}"


@pytest.mark.rule("sudo-group-only")
def test_sudo_is_executable_by_its_group_only(host, people, sudo_grants, observe):
    """Every account without a sudo right, outside the dedicated group, and nobody are asked whether they could execute sudo."""
    answer = host.run("LC_ALL=C setpriv --reuid=nobody --regid=nogroup --clear-groups sh -c 'sudo -V'")
    inside = set(people.groups.get("pgssi-sudo", ["", "", "", ""])[3].split(","))
    # A site may give the group another name: whoever has a right to sudo may execute it.
    granted = {grant.who for grant in sudo_grants}
    mine = {
        login: {login, *(f"%{group}" for group in people.member_of(login) | people.primary(login))} for login in people.passwd
    }
    inside |= {login for login, names in mine.items() if names & granted}
    outside = [login for login in people.passwd if login not in inside and people.uid(login) > 0]
    tried = "for l; do setpriv --reuid=$l --regid=nogroup --init-groups test -x /usr/bin/sudo && echo $l; done; true"
    able = host.run("sh -c %s sh " + " ".join(map(shlex.quote, outside)), tried).stdout.split()
    observe(f"{len(outside)} comptes sans droit sudo, {len(able)} peuvent exécuter sudo")
    assert answer.rc != 0, "tout compte peut exécuter sudo"
    assert "denied" in answer.stderr.lower(), f"refus inattendu : {answer.stderr[-120:]}"
    assert not able, f"exécutent sudo sans y avoir droit : {', '.join(able)}"


@pytest.mark.rule("sudo-no-subprocess")
def test_noexec_is_default(sudo_defaults, people_grants, observe):
    """noexec is the default of the parsed policy and only rights to ALL carry EXEC."""
    loose = [
        f"{grant.who} : {', '.join(grant.commands)}" for grant in people_grants
        if grant.options.get("noexec") is False and grant.commands != ("ALL",)
    ]  # fmt: skip
    default, *bound = sudo_defaults("noexec")
    observe(f"noexec par défaut : {default}, {len(loose)} règles EXEC autres que ALL")
    assert default is True, "les sous-processus sont permis par défaut"
    assert False not in bound, "les sous-processus sont permis à certains"
    assert not loose, f"EXEC sans être ALL : {' ; '.join(loose)}"


@pytest.mark.rule("sudo-no-subprocess")
@pytest.mark.acts
def test_subprocess_is_refused(as_sudoer, observe):
    """A throw-away account uses an allowed utility to start another program as root, and is refused."""
    said = as_sudoer("/usr/bin/sudo -n /usr/bin/env id")
    observe(f"sous-processus : {'exécuté' if 'uid=0' in said else 'refusé'}")
    assert "uid=0" not in said, "un utilitaire autorisé lance un autre programme en root"
    assert "ermission" in said, f"refus inattendu : {said[-120:]}"
