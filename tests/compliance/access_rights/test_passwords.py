"""Passwords: construction, history, renewal and issue, by real changes of an ordinary user (PSSI 4.5.1)."""

from __future__ import annotations

import hashlib
import re
import shlex

import pytest

from pgssi.verify import not_applicable
from pgssi.verify.sshd_views import views

STRONG = re.compile(r"^\$(y|gy|6|2[abxy])\$")
# What PAM says is in the language of the host.
MUST_CHANGE = re.compile(
    "(?i)expired|required to change|password change required|expiré|changer (votre|le) mot de passe|mot de passe .*périmé"
)
ENVELOPES = "for f in /var/lib/pgssi/accounts/*; do [ -f $f ] && echo ${f##*/} $(cat $f); done; true"
# Copies of shadow on the local disks that somebody else than their owner may read.
COPIES = r"""
for top in $(findmnt -rnuo TARGET -t ext2,ext3,ext4,xfs,btrfs,f2fs,zfs,overlay,tmpfs); do
    find "$top" -xdev -type f -name '*shadow*' -size -4096 -perm /0044 ! -path '/etc/*' \
        -exec grep -laE '^[^:]+:!*[$](y|gy|1|2[abxy]|5|6|7)[$]' {} + 2>/dev/null
done | grep -v "['[:space:]]" | sort -u; true
"""
ISSUE = "/usr/local/sbin/pgssi-initial-password"


DRAWS = 4


def refused(visitor, password):
    """Return whether the host refused this change."""
    return not visitor.change(password)["accepted"]


def change(visitor, draw, length=16, without=None):
    """Change to a random password of this kind; return the host's answer.

    A few letters in a row may by chance be those of a word: what is refused once is refused for that, what each of
    several draws is refused for is its length or its classes.
    """
    for _ in range(DRAWS):
        answer = visitor.change(draw(length, without))
        if answer["accepted"]:
            break
    return answer


@pytest.mark.rule("password-length-min")
@pytest.mark.acts
def test_length_minimum(visitor, draw, context, observe):
    """An ordinary user changes a password for real: one character too few is refused, the exact minimum is taken."""
    least = 10 if context.guidance == "pssi" else 12
    short, exact = not change(visitor, draw, least - 1)["accepted"], change(visitor, draw, least)["accepted"]
    observe(f"{least - 1} caractères {'refusés' if short else 'acceptés'}, {least} {'acceptés' if exact else 'refusés'}")
    assert short, f"un mot de passe de {least - 1} caractères est accepté"
    assert exact, f"un mot de passe conforme de {least} caractères est refusé"


@pytest.mark.rule("password-length-max")
@pytest.mark.acts
def test_length_maximum(visitor, draw, observe):
    """A change to 24 characters is taken, a change to 25 is refused and the user is told why."""
    exact, answer = change(visitor, draw, 24)["accepted"], change(visitor, draw, 25)
    told = "long" in answer["said"]
    observe(f"24 caractères {'acceptés' if exact else 'refusés'}, 25 {'acceptés' if answer['accepted'] else 'refusés'}")
    assert not answer["accepted"], "un mot de passe de 25 caractères est accepté"
    assert exact, "un mot de passe conforme de 24 caractères est refusé"
    assert told, "le refus ne dit pas la longueur maximale à l'utilisateur"


@pytest.mark.rule("password-character-classes")
@pytest.mark.acts
def test_four_classes(visitor, draw, observe):
    """Changes to long random passwords without one of the classes are all refused."""
    names = ("majuscule", "minuscule", "chiffre", "caractère spécial")
    taken = [name for number, name in enumerate(names) if change(visitor, draw, without=number)["accepted"]]
    observe(f"sans {', '.join(names)} : {4 - len(taken)} refus sur 4")
    assert not taken, f"accepté sans {', '.join(taken)}"


@pytest.mark.rule("password-not-identity")
@pytest.mark.acts
def test_own_name(visitor, observe):
    """Changes to passwords built on the login and on the holder's name are refused."""
    tried = {"identifiant": f"K7#{visitor.login}Zq", "nom": "Quatrebarbes#47zK"}
    taken = [what for what, password in tried.items() if not refused(visitor, password)]
    observe(f"avec l'identifiant et avec le nom : {2 - len(taken)} refus sur 2")
    assert not taken, f"accepté avec {', '.join(taken)}"


@pytest.mark.rule("password-not-public-word")
@pytest.mark.acts
def test_public_words(visitor, site, observe):
    """Changes to passwords that hold a public word of the site, plain or spelt with digits and signs, are refused."""
    words = [str(word).lower() for word in site.get("site_public_words") or () if len(str(word)) <= 16]
    if not words:
        not_applicable("aucun mot public déclaré (site_public_words)")
    spelt = str.maketrans("aeios", "@310$")
    forms = [form for word in words for form in (f"Kz7#{word}X", f"{word.translate(spelt).capitalize()}-47Z")]
    taken = [form for form in forms if not refused(visitor, form)]
    observe(f"{len(words)} mots publics, 2 écritures chacun : {len(forms) - len(taken)} refus")
    assert not taken, f"accepté avec un mot public : {', '.join(taken)}"


@pytest.mark.rule("password-not-dictionary")
@pytest.mark.acts
def test_dictionary_words(visitor, observe):
    """Changes to a French and an English word dressed up to satisfy every other rule are refused."""
    tried = ["Parapluies1!", "Elephants1!"]
    taken = [password for password in tried if not refused(visitor, password)]
    observe(f"{len(tried)} mots maquillés : {len(tried) - len(taken)} refus")
    assert not taken, f"mot de dictionnaire accepté : {', '.join(taken)}"


@pytest.mark.rule("password-history")
@pytest.mark.acts
def test_history(new_visitor, draw, observe):
    """After three changes, the password in force and each of the three before it are refused."""
    person = new_visitor()
    past = [person.password]
    for _ in range(3):
        answer = change(person, draw)
        assert answer["accepted"], f"un changement conforme est refusé : {answer['said'][-120:]}"
        past.append(person.password)
    taken = []
    for age, password in ((3, past[0]), (2, past[1]), (1, past[2]), (0, past[3])):
        current = person.password
        if not refused(person, password):
            taken.append(age)
            change(person, draw)
        elif person.password != current:
            taken.append(age)
    observe(f"en cours et trois précédents : {4 - len(taken)} refus sur 4")
    assert not taken, f"mot de passe repris {max(taken)} changements plus tard"


@pytest.mark.rule("password-set-by-root")
@pytest.mark.acts
def test_root_sets_a_weak_one(host, new_visitor, observe):
    """root gives a throw-away account short and one-class passwords through chpasswd: both are refused."""
    login = new_visitor().login
    taken = []
    for password in ("Ab1#xyz", "zkwqtrvbnmhg"):
        before = host.check_output("getent shadow %s", login)
        host.run("printf '%%s:%%s' %s %s | chpasswd", login, password)
        if host.check_output("getent shadow %s", login) != before:
            taken.append(f"{len(password)} caractères")
    observe(f"deux mots de passe faibles donnés par root : {2 - len(taken)} refus sur 2")
    assert not taken, f"root a pu donner un mot de passe faible : {', '.join(taken)}"


@pytest.mark.rule("password-renewal")
def test_every_password_expires(people, matrix, visitors, observe):
    """The shadow file gives each person's usable password at most 90 days."""
    technical = {login for login, account in matrix.items() if account.kind in ("break_glass", "automation", "service")}
    # Not root: cron refuses the jobs of an account whose password has expired. root-password-renewed is its rule.
    concerned = [
        login for login in people.passwd
        if people.usable(login) and login not in technical and login not in visitors
        and people.uid(login) >= 1000
    ]  # fmt: skip
    long = [login for login in concerned if not 0 < (people.day(login, 4) or 99999) <= 90]
    # Without a date of last change, or with one to come, nothing ever expires.
    undated = [login for login in concerned if not 0 <= (-1 if (last := people.day(login, 2)) is None else last) <= people.today]
    observe(f"{len(concerned)} mots de passe de personnes, {len(long)} sans échéance à 90 jours, {len(undated)} sans date")
    assert not long, f"sans renouvellement à 90 jours : {', '.join(long)}"
    assert not undated, f"date du dernier changement absente ou à venir : {', '.join(undated)}"
    declared = [a.login for a in matrix.values() if a.state == "active" and a.kind in ("business", "technical")]
    assert not set(declared) - set(people.passwd), "les comptes déclarés n'existent pas : renouvellement non imposé"


@pytest.mark.rule("password-renewal")
@pytest.mark.acts
def test_old_password_must_change(host, new_visitor, ssh_in, observe):
    """A password changed 91 days ago, with the validity of declared accounts, opens no command over SSH."""
    person = new_visitor()
    host.check_output("chage --maxdays 90 --lastday $(( $(date +%%s) / 86400 - 91 )) %s", person.login)
    answer = ssh_in(person.login, person.password, "echo ENTREE")
    observe(f"connexion après 91 jours : {'entrée' if 'ENTREE' in answer.stdout else 'changement imposé'}")
    assert "ENTREE" not in answer.stdout, "un mot de passe de 91 jours ouvre encore une session"
    assert MUST_CHANGE.search(answer.stdout + answer.stderr), f"refus inattendu : {answer.stderr[-200:]}"


@pytest.mark.rule("password-initial-change")
def test_initial_passwords_still_to_change(facts, people, matrix, observe):
    """No account still lives on the password it was issued without being forced to change it."""
    issued = dict(line.split() for line in facts("access-issued", ENVELOPES).splitlines() if len(line.split()) == 2)
    active = [a.login for a in matrix.values() if a.state == "active" and a.kind in ("business", "technical")]
    kept = [
        login for login in active
        if login in people.shadow and people.shadow[login][2] != "0"
        and issued.get(login) == hashlib.sha256(people.hash(login).encode()).hexdigest()
    ]  # fmt: skip
    observe(f"{len(active)} comptes actifs, {len(kept)} gardent leur mot de passe initial")
    assert not kept, f"mot de passe initial gardé : {', '.join(kept)}"


@pytest.mark.rule("password-initial-change")
@pytest.mark.acts
def test_initial_password_is_random_and_forced(host, new_visitor, ssh_in, observe):
    """Two issues to a throw-away account, opened with the recipient's key, differ, comply and force a change at login."""
    login = new_visitor().login
    assert host.run(f"test -x {ISSUE} && command -v age-keygen").rc == 0, "aucune attribution de mot de passe initial scellé"
    folder = host.check_output("mktemp -d")
    try:
        host.check_output(f"age-keygen -o {folder}/key 2>/dev/null && age-keygen -y {folder}/key > {folder}/recipients")
        found = []
        for number in (1, 2):
            done = host.run(f"{ISSUE} --recipients {folder}/recipients --sealed {folder}/{number} {login}")
            assert done.rc == 0, f"attribution refusée : {done.stderr[-200:]}"
            sheet = host.check_output(f"age -d -i {folder}/key {folder}/{number}/{login}.age").split()
            found.append(sheet[2])
            assert sheet[2] not in done.stdout + done.stderr, "le mot de passe initial paraît dans la sortie"
        answer = ssh_in(login, found[1], "echo ENTREE")
    finally:
        host.run(f"rm -rf {folder}")
    classes = sum(bool(re.search(kind, found[1])) for kind in ("[A-Z]", "[a-z]", "[0-9]", "[^A-Za-z0-9]"))
    forced = "ENTREE" not in answer.stdout
    observe(f"deux attributions {'différentes' if found[0] != found[1] else 'identiques'}, {len(found[1])} caractères, "
            f"{classes} types, {'changement imposé' if forced else 'aucun changement imposé'}")  # fmt: skip
    assert found[0] != found[1], "deux attributions donnent le même mot de passe"
    assert len(found[1]) >= 10 and classes == 4, "le mot de passe initial ne suit pas la règle de constitution"
    assert forced, "le mot de passe initial ouvre une session sans être changé"
    assert MUST_CHANGE.search(answer.stdout + answer.stderr), f"refus inattendu : {answer.stderr[-200:]}"


@pytest.mark.rule("password-not-empty")
def test_no_empty_password(facts, people, observe):
    """No account has an empty password field and sshd, asked for its effective state, accepts none."""
    empty = [login for login in people.passwd if people.hash(login) == ""]
    seen = views(facts)
    accepting = [str(view) for view in seen if view.get("permitemptypasswords") != "no"]
    observe(
        f"{len(people.passwd)} comptes, {len(empty)} sans mot de passe ; sshd : {len(accepting)} refus manquants sur {len(seen)}"
    )
    assert not empty, f"mot de passe vide : {', '.join(empty)}"
    assert not accepting, f"sshd accepte un mot de passe vide : {', '.join(accepting)}"


@pytest.mark.rule("password-hash-strong")
def test_hashes(people, observe):
    """Every usable password of the shadow file is hashed with a slow, salted function."""
    usable = [login for login in people.passwd if people.usable(login)]
    weak = [login for login in usable if not STRONG.match(people.hash(login))]
    observe(f"{len(usable)} mots de passe utilisables, {len(weak)} mal protégés")
    assert not weak, f"condensat faible ou absent : {', '.join(weak)}"


@pytest.mark.rule("password-hash-strong")
@pytest.mark.acts
def test_new_hash(visitor, draw, observe):
    """A password that an ordinary user changes gets such a hash."""
    answer = change(visitor, draw)
    observe(f"nouveau condensat de type {answer['hash'][0] if answer['hash'] else 'inconnu'}")
    assert answer["accepted"], f"un changement conforme est refusé : {answer['said'][-120:]}"
    assert answer["hash"] and STRONG.match(f"${answer['hash'][0]}$"), "le nouveau condensat est faible"


@pytest.mark.rule("password-files-private")
def test_password_files(host, facts, people, observe):
    """Every ordinary account, nobody included, is asked whether it could open a password file or a copy, wherever it lies."""
    names = "/etc/*shadow* /etc/security/*opasswd* /var/backups/*shadow*"
    copies = facts("access-shadow-copies", COPIES, timeout=600).splitlines()
    group = set(people.groups.get("shadow", ["", "", "", ""])[3].split(","))
    logins = [login for login in people.passwd if people.uid(login) > 0 and login not in group]
    tried = f'for f in {names} {shlex.join(copies)}; do [ -f "$f" ] && [ -r "$f" ] && echo "$f"; done'
    script = f'for l; do setpriv --reuid="$l" --regid=nogroup --init-groups sh -c {shlex.quote(tried)}; done | sort -u; true'
    opened = host.run("sh -c %s sh " + " ".join(map(shlex.quote, logins)), script).stdout.split()
    loose = host.run(f"find {names} -type f -perm /0037 2>/dev/null").stdout.split()
    loose += [f"/etc/passwd ({login})" for login, fields in people.passwd.items() if len(fields[1]) > 1]
    observe(f"{len(logins)} comptes ordinaires, fichiers ouverts : {', '.join(opened) or 'aucun'}")
    assert not opened and not loose, f"lisible ou modifiable : {', '.join(dict.fromkeys(opened + loose))}"
