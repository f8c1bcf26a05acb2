"""Rights as the matrix declares them, no more, no less, no longer (PSSI 5.1.2.1, 5.2.1.2, 4.5.3.11)."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from pathlib import Path

import pytest

from pgssi.habilitations import declared_groups, fingerprint
from pgssi.verify import not_verified
from pgssi.verify.sshd_views import DEFAULT, views
from pgssi.verify.timers import DAY, one_pass, timer

ROOT_FILES = Path(__file__).with_name("root_files.py").read_text("utf-8")
OURS = {"pgssi-sudo", "pgssi-break-glass"}
ROOT_GROUPS = ("disk", "docker", "incus", "incus-admin", "kmem", "libvirt", "lxd", "root", "shadow", "staff", "sudo", "wheel")
SESSIONS = ("sshd", "login", "cron", "atd", "systemd-user", "gdm-password", "lightdm", "sddm", "xrdp-sesman")
OWN_UMASK = re.compile(r"\bumask=([0-7]{1,4})\b")  # in the comment of an account, where pam_umask takes it before anything else
HOMES = "getent passwd | awk -F: '$3 >= 1000 && $3 != 65534 {print $6}' | sort -u"
# Folders of the system that accounts without a home of their own name as theirs.
SHARED_HOMES = re.compile(
    r"^/?$|^/(nonexistent|bin|dev|proc|tmp|usr|etc|run|sbin|var/tmp|var/empty)(/|$)|^/(var|home|srv|opt)/?$"
)


def managed(matrix):
    """Return the accounts whose rights the matrix decides here."""
    return [a for a in matrix.values() if a.state == "active" and a.kind != "service"]


def printed(key):
    """Return the fingerprint of a key line, or the line itself when it holds no key."""
    try:
        return fingerprint(key)
    except ValueError:
        return key


@pytest.mark.rule("rights-groups-exact")
def test_groups(people, matrix, site, visitors, observe):
    """Live membership is compared both ways with the profiles: by account, and by group of a profile."""
    wrong = []
    for account in managed(matrix):
        if account.login not in people.passwd:
            wrong.append(f"{account.login} absent")
            continue
        have = people.member_of(account.login) - OURS
        primary = {name for name, fields in people.groups.items() if fields[2] == people.passwd[account.login][3]}
        have |= primary & (declared_groups(site) | set(ROOT_GROUPS))
        wrong += [f"{account.login} dans {group}" for group in sorted(have - set(account.groups))]
        wrong += [f"{account.login} hors de {group}" for group in sorted(set(account.groups) - have)]
    for group in sorted(declared_groups(site) & set(people.groups)):
        members = {login for login in people.passwd if group in people.member_of(login)}
        members |= {login for login, fields in people.passwd.items() if fields[3] == people.groups[group][2]}
        wrong += [f"{login} dans {group}" for login in sorted(members - set(matrix) - visitors)]
    observe(f"{len(managed(matrix))} comptes déclarés comparés, {len(wrong)} écarts")
    assert not wrong, f"écarts avec la matrice : {', '.join(dict.fromkeys(wrong))}"


@pytest.mark.rule("rights-groups-exact")
def test_groups_without_password(facts, people, site, observe):
    """No group of a profile, and none that gives root, opens by a password or by an administrator of its own."""
    named = (declared_groups(site) | OURS | set(ROOT_GROUPS)) & set(people.groups)
    shadow = {fields[0]: fields for fields in facts.getent("gshadow") if len(fields) > 3}
    wrong = []
    for group in sorted(named):
        own, (_, hidden, administrators, members) = people.groups[group][1], shadow.get(group, ["", "!", "", ""])
        wrong += [f"{group} (mot de passe)"] if (own if own not in ("x", "") else hidden).strip("!*") else []
        wrong += [f"{group} (administré par {administrators})"] if administrators else []
        listed = set(filter(None, members.split(","))) - set(people.groups[group][3].split(","))
        wrong += [f"{group} ({', '.join(sorted(listed))} dans gshadow seul)"] if listed else []
    observe(f"{len(named)} groupes de profils ou équivalents à root, {len(wrong)} ouverts autrement")
    assert not wrong, f"groupe ouvert : {' ; '.join(wrong)}"


@pytest.mark.rule("rights-keys-exact")
def test_keys(people, matrix, observe):
    """Fingerprints of every key line are compared both ways with the matrix, root included."""
    wrong = []
    for account in managed(matrix):
        have = {printed(key) for key in people.keys.get(account.login, ())}
        want = {fingerprint(key) for key in account.keys}
        wrong += [f"{account.login} : {len(have - want)} clé(s) en trop"] if have - want else []
        wrong += [f"{account.login} : {len(want - have)} clé(s) manquante(s)"] if want - have else []
    if people.keys.get("root"):
        wrong.append(f"root : {len(people.keys['root'])} clé(s)")
    observe(f"{sum(len(keys) for keys in people.keys.values())} clés sur l'hôte, {len(wrong)} écarts")
    assert not wrong, f"écarts avec la matrice : {', '.join(wrong)}"


@pytest.mark.rule("rights-keys-exact")
def test_keys_come_from_nowhere_else(facts, people, matrix, own_authorities, observe):
    """For each account that an sshd lets in, it reads keys from the home folder only and trusts no other host.

    A service of its own, beside the default sshd, may trust an authority of the site for the accounts that it admits.
    """
    wrong = []
    asked = [login for login in people.passwd if login == "root" or login in matrix or not people.closed_shell(login)]
    for login in asked:
        groups = people.member_of(login) | people.primary(login)
        for view in views(facts, login):
            if not view.admits(login, groups):
                continue
            files = [name.removeprefix("%h/") for name in view.get("authorizedkeysfile").split()]
            if not files or not set(files) <= {".ssh/authorized_keys", ".ssh/authorized_keys2", "none"}:
                wrong.append(f"{login} : {' '.join(files) or 'réglages illisibles'}")
            if view.get("authorizedkeyscommand") not in ("", "none"):
                wrong.append(f"{login} : authorizedkeyscommand {view.get('authorizedkeyscommand')}")
            trusted = view.get("trustedusercakeys")
            if trusted not in ("", "none"):
                keys = facts(f"access-ca:{trusted}", f"cat {shlex.quote(trusted)} 2>/dev/null; true")
                marks = {printed(line) for line in keys.splitlines() if line.strip() and not line.startswith("#")}
                if view.server.config == DEFAULT or not marks <= own_authorities:
                    wrong.append(f"{login} : trustedusercakeys {trusted}")
            wrong += [f"{login} : hostbasedauthentication"] if view.get("hostbasedauthentication") == "yes" else []
    observe(f"{len(asked)} comptes, {len(set(wrong))} autre(s) source(s) de clés pour sshd")
    assert not wrong, f"sshd accepte d'ailleurs : {', '.join(dict.fromkeys(wrong))}"


@pytest.mark.rule("rights-sudo-exact")
def test_sudo_rights(sudo_grants, matrix, visitors, observe):
    """The policy that sudo itself parses gives rights to root and to declared accounts only, as declared."""
    wrong = []
    declared = {a.login: a for a in managed(matrix)}
    for grant in sudo_grants:
        if grant.who == "root" or grant.who in visitors:
            continue
        account = declared.get(grant.who)
        if account is None:
            wrong.append(f"{grant.who} : {', '.join(grant.commands)}")
            continue
        if account.kind == "automation":
            continue
        allowed = {(rule.run_as, command) for rule in account.sudo for command in rule.commands}
        for command in grant.commands:
            bare = command.removesuffix(' ""')
            if not any((run_as, bare) in allowed for run_as in grant.run_as):
                wrong.append(f"{grant.who} : {command} en {', '.join(grant.run_as) or 'root'}")
    granted = {grant.who for grant in sudo_grants}
    wrong += [f"{a.login} : droit déclaré absent" for a in declared.values() if a.sudo and a.login not in granted]
    observe(f"{len(sudo_grants)} droits sudo, {len(wrong)} écarts")
    assert not wrong, f"écarts avec la matrice : {' ; '.join(wrong)}"


@pytest.mark.rule("rights-replacement-ends")
def test_end_is_watched(facts, people, matrix, observe):
    """The timer that withdraws dated rights starts within a day, and no right whose end is past is still held."""
    end = timer(facts, "pgssi-rights-end.timer")
    ended = [
        a.login for a in matrix.values() if a.reason == "replacement_ended" and a.login in people.passwd and people.opens(a.login)
    ]
    observe(str(end))
    fault = end.fault("retrait des droits échus", DAY)
    assert not fault, fault
    assert not ended, f"remplacement fini, compte ouvert : {', '.join(ended)}"


@pytest.mark.rule("rights-replacement-ends")
@pytest.mark.acts
def test_ended_right_is_withdrawn(host, new_visitor, observe):
    """A throw-away account holds a group until yesterday: the host's own job takes it out, without the toolkit."""
    group = f"essai{secrets.token_hex(4)}"
    host.check_output("groupadd %s", group)
    path = f"/run/pgssi/rights-end.d/{group}.json"
    try:
        login = new_visitor(group).login
        right = json.dumps([{"login": login, "group": group, "last_day": "2026-01-01"}])
        host.check_output(f"mkdir -p /run/pgssi/rights-end.d && printf %%s %s > {path}", right)
        before = group in host.check_output("id -Gn %s", login).split()
        done = one_pass(host, "pgssi-rights-end.service")
        after = group in host.check_output("id -Gn %s", login).split()
    finally:
        host.run(f"rm -f {path}; groupdel -f {group}")
    observe(f"droit échu : {'tenu' if before else 'absent'} avant, {'tenu' if after else 'retiré'} après")
    assert done.rc == 0, "aucune tâche de retrait des droits échus sur l'hôte"
    assert before and not after, "un droit échu reste en place"


@pytest.mark.rule("rights-root-groups-empty")
def test_root_groups(people, matrix, observe):
    """Supplementary and primary membership of each group that gives root is listed."""
    declared = {a.login: set(a.groups) for a in managed(matrix)}
    present = [group for group in ROOT_GROUPS if group in people.groups]
    found = []
    for group in present:
        gid = people.groups[group][2]
        # By number: a second group of the same number gives the same rights under another name.
        members = {login for fields in people.groups.values() if fields[2] == gid for login in fields[3].split(",") if login}
        members |= {login for login, fields in people.passwd.items() if fields[3] == gid and people.uid(login) > 0}
        found += [f"{login} dans {group}" for login in sorted(members) if group not in declared.get(login, ())]
    observe(f"{len(present)} groupes équivalents à root, {len(found)} membres non déclarés")
    assert not found, f"root sans sudo : {', '.join(found)}"


@pytest.mark.rule("root-jobs-not-writable")
def test_root_jobs(facts, observe):
    """One search over what root executes lists files that another account owns or may write, access lists included."""
    found = facts("access-root-files", f"python3 -I -c {shlex.quote(ROOT_FILES)}", timeout=300).splitlines()
    observe(f"{len(found)} fichiers de root modifiables par un autre compte")
    assert not found, f"modifiable par un autre compte : {', '.join(found[:5])}"


@pytest.mark.rule("home-private")
def test_homes(host, facts, people, observe):
    """Nobody tries to list every home, links followed, as does every account where there is an access list; modes are read."""
    homes = [home for home in facts("access-homes", HOMES).splitlines() if not SHARED_HOMES.search(home)]
    given = " ".join(map(shlex.quote, homes))
    script = 'for h; do ls "$h/." >/dev/null 2>&1 && printf "%s\\n" "$h"; done; true'
    listed = host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups sh -c %s sh " + given.replace("%", "%%"), script)
    opened = listed.stdout.splitlines()
    observe(f"{len(homes)} répertoires personnels, {len(opened)} ouverts à tous")
    assert listed.rc == 0 and not opened, f"ouvert à tous : {', '.join(opened)}"
    modes = f'for h in {given}; do [ -d "$h" ] && find "$h/." -maxdepth 0 -perm /0027; done; true'
    loose = facts("access-homes-mode", modes).splitlines()
    assert not loose, f"ouvert au groupe ou aux autres : {', '.join(loose)}"
    # What an access list gives to one account, nobody does not have and the mode does not show.
    tried = (
        'login=$1; shift; for h; do [ "$(stat -Lc %U "$h")" = "$login" ] || id -Gn "$login" | tr " " "\\n" | '
        'grep -qxF "$(stat -Lc %G "$h")" || ! setpriv --reuid="$login" --regid=nogroup --init-groups test -r "$h" '
        '|| printf "%s (%s)\\n" "$h" "$login"; done; true'
    )
    listed = f'for h in {given}; do [ -d "$h" ] && LC_ALL=C ls -ld "$h/." | grep -q "^[^ ]*+" && printf "%s\\n" "$h"; done; true'
    named = [home for home in facts("access-homes-listed", listed).splitlines() if home]
    others = [login for login in people.passwd if people.uid(login) > 0] if named else []
    homes = " ".join(map(shlex.quote, named)).replace("%", "%%")
    able = [line for login in others for line in host.run(f"sh -c %s sh %s {homes}", tried, login).stdout.splitlines()]
    assert not able, f"ouvert par une liste d'accès : {', '.join(able[:5])}"


@pytest.mark.rule("su-restricted")
@pytest.mark.acts
def test_su(new_visitor, on_host, observe):
    """A throw-away account gives su, then su -, the right password of another one, on a terminal, and is refused."""
    one, two = new_visitor(), new_visitor()
    entered = []
    for argv in (["su"], ["su", "-"]):  # each asks a PAM service of its own: su, su-l
        answer = on_host("talk", login=one.login, argv=[*argv, two.login, "-c", "echo ENTREE"], answers=[two.password])
        entered += [" ".join(argv)] if "ENTREE" in answer["said"] else []
    observe(f"su et su - avec le bon mot de passe : {len(entered)} accepté(s) sur 2")
    assert not entered, f"un compte ordinaire prend une autre identité par {' et '.join(entered)}"


@pytest.mark.rule("remote-accounts-secured")
def test_remote_accounts(host, facts, observe):
    """The sources of accounts are read from the name service; a remote one must be encrypted and authenticated."""
    sources = facts("access-nsswitch", "grep -E '^(passwd|group|shadow|initgroups|sudoers):' /etc/nsswitch.conf; true")
    words = {word for line in sources.splitlines() for word in line.split("#")[0].split()[1:] if not word.startswith("[")}
    remote = sorted(words - {"files", "systemd", "compat"})
    observe(f"sources de comptes : {', '.join(sorted(words)) or 'aucune'}")
    if not remote:
        return
    settings = host.run(
        "cat /etc/sssd/sssd.conf /etc/sssd/conf.d/*.conf /etc/nslcd.conf /etc/ldap.conf /etc/libnss-ldap.conf 2>/dev/null; true"
    ).stdout.lower()
    encrypted = "ldaps://" in settings or ("start_tls" in settings and "true" in settings) or "ssl on" in settings
    checked = not any(f"{word}reqcert{sep}{value}" in settings.replace(" ", "") for word in ("ldap_tls_", "tls_")
                      for sep in ("=", "") for value in ("never", "allow"))  # fmt: skip
    assert encrypted and "ldap://" not in settings.replace("start_tls", ""), f"annuaire distant en clair ({', '.join(remote)})"
    assert checked, "le certificat de l'annuaire n'est pas vérifié"


@pytest.mark.rule("umask-restrictive")
@pytest.mark.acts
def test_new_files(visitor, ssh_in, observe):
    """A throw-away account logs in over SSH and creates a file, by a command and from a login shell; the modes are read."""
    create = "f=$(mktemp -u) && : > $f && stat -c %a $f && rm $f"
    modes = [
        (ssh_in(visitor.login, visitor.password, command).stdout.split() or ["inconnu"])[-1]
        for command in (create, f"bash -lc {shlex.quote(create)}", f"bash -ic {shlex.quote(create)}")
    ]
    observe(f"fichier créé par une commande, un shell de connexion, un shell ordinaire : {', '.join(modes)}")
    assert set(modes) == {"600"}, f"un fichier créé par un utilisateur a le mode {', '.join(sorted(set(modes) - {'600'}))}"


@pytest.mark.rule("umask-restrictive")
@pytest.mark.acts
def test_no_other_way_is_looser(visitor, people, on_host, observe):
    """PAM opens a session of a throw-away account at each service: none has a looser umask than sshd; no account has its own."""
    # The kernel lets nobody who has logged in open a session as somebody else (pam_loginuid).
    seen = on_host("umasks", apart=True, login=visitor.login, names=SESSIONS)
    if not seen:
        not_verified("PAM n'ouvre de session à aucun service")
    # Where sshd's is loose too, profiles may do it: what the other test has seen.
    strict = seen.get("sshd", 0) & 0o077 == 0o077
    loose = [f"{name} {mask:03o}" for name, mask in seen.items() if strict and mask & 0o077 != 0o077]
    own = [
        login
        for login, fields in people.passwd.items()
        if (given := OWN_UMASK.search(fields[4])) and int(given[1], 8) & 0o077 != 0o077
    ]
    observe(", ".join(f"{name} {mask:03o}" for name, mask in seen.items()) or "aucune session ouverte")
    assert not loose, f"session ouverte avec un umask plus large : {', '.join(loose)}"
    assert not own, f"umask à soi dans la base des comptes : {', '.join(own)}"
