"""Sessions: lockout, its trace and its alert, idle sessions, notice, root over SSH (PSSI 5.2.3, 4.5.2.3)."""

from __future__ import annotations

import re
import shlex

import pytest

from pgssi.verify import not_verified
from pgssi.verify.sshd_views import views
from pgssi.verify.timers import one_pass, timer

LOCKED = "Consecutive login failures for user {} account temporarily locked"
DENIED = 255
# Servers that know nothing of sshd's settings: those that run, and those that systemd would start for a connection.
OTHER_SSH = r"""
for p in /proc/[0-9]*; do case $(readlink $p/exe) in */dropbear* | */tinysshd*) readlink $p/exe ;; esac; done
for socket in $(systemctl list-units --type=socket --state=active --no-legend --plain | cut -d' ' -f1); do
    systemctl cat -- "${socket%.socket}.service" "${socket%.socket}@.service" 2>/dev/null |
        grep -Eq '^ExecStart=.*/(dropbear|tinysshd)' && echo "$socket"
done
true
"""
NOTICE = re.compile(r"(?i)trac|journalis|enregistr|monitor|logged")


@pytest.fixture(scope="session")
def lockout(host, new_visitor, ssh_in, draw):
    """Lock a throw-away account over SSH, by hand of three wrong passwords; tell what happened at each moment."""
    person, seen = new_visitor(), {}
    seen["before"] = ssh_in(person.login, person.password).rc
    for _ in range(2):
        ssh_in(person.login, draw(16))
    seen["after_two"] = ssh_in(person.login, person.password).rc
    for _ in range(3):
        ssh_in(person.login, draw(16))
    seen["start"] = host.check_output("cut -d. -f1 /proc/uptime").strip()
    seen["at_once"] = ssh_in(person.login, person.password).rc
    seen["person"] = person
    return seen


@pytest.fixture(scope="session")
def reopening(host, lockout, ssh_script):
    """The folder in which the host itself notes when the locked account opens again, while other tests go on.

    Its file ``seen`` gets a line for each try, from 52 s on: seconds from just after the third failure to the beginning of
    the try, and to its end, and the exit code of ssh.
    """
    start, person = lockout["start"], lockout["person"]
    attempt = ssh_script(person.login, person.password, "true", "$((63900 + i))")
    folder = host.check_output("mktemp -d /run/pgssi-essai.XXXXXX").strip()
    script = f"""
echo $$ > {folder}/pid
while read begun _ < /proc/uptime; [ "${{begun%.*}}" -lt {int(start) + 52} ]; do sleep 1; done
for i in $(seq 40); do
    read begun _ < /proc/uptime
    ({attempt}) >/dev/null 2>&1; rc=$?
    read ended _ < /proc/uptime
    echo "$((${{begun%.*}} - {start})) $((${{ended%.*}} - {start})) $rc" >> {folder}/seen
    [ $rc != 0 ] || break
    sleep 3
done
touch {folder}/done
"""
    host.check_output(f"umask 077; printf %s %s > {folder}/watch", "%s", script)
    host.check_output(f"setsid sh {folder}/watch >/dev/null 2>&1 </dev/null &")
    yield folder
    host.run(f"pkill -KILL -s $(cat {folder}/pid); rm -rf {folder}")  # setsid made it a session of its own


@pytest.mark.rule("lockout-three-failures")
@pytest.mark.acts("first")
@pytest.mark.usefixtures("reopening")
def test_lockout(lockout, observe):
    """Real SSH logins: two wrong passwords do not lock; after three the right one is refused."""
    assert lockout["before"] == 0, "le bon mot de passe est refusé avant tout échec"
    two = "ouvert" if lockout["after_two"] == 0 else "verrouillé"
    three = "verrouillé" if lockout["at_once"] == DENIED else "ouvert"
    observe(f"deux échecs : {two} ; trois échecs : {three}")
    assert lockout["after_two"] == 0, "deux échecs suffisent à verrouiller"
    assert lockout["at_once"] == DENIED, "le bon mot de passe est accepté après trois échecs"


@pytest.mark.rule("lockout-three-failures")
@pytest.mark.acts
def test_no_group_is_spared(new_visitor, on_host, draw, people, matrix, observe):
    """A throw-away account in the groups of this host's people gives sshd's PAM three wrong passwords, then the right one."""
    # pam_faillock may spare the members of a group (admin_group), which an account in no group never shows.
    logins = [a.login for a in matrix.values() if a.state == "active" and a.kind in ("business", "technical")]
    logins = [login for login in logins if login in people.passwd] or [
        login for login in people.passwd if 1000 <= people.uid(login) < 65534 and people.opens(login)
    ]
    groups = sorted({name for login in logins for name in people.member_of(login) | people.primary(login)} - set(people.passwd))
    person = new_visitor(*groups)
    tried = [person.password, *(draw(16) for _ in range(3)), person.password]
    before, *_, after = on_host("authenticate", service="sshd", login=person.login, passwords=tried)
    observe(f"membre de {', '.join(groups) or 'aucun groupe'} : {'ouvert' if after == 0 else 'verrouillé'} après trois échecs")
    assert before == 0, "le bon mot de passe est refusé avant tout échec"
    assert after != 0, f"un membre de ces groupes n'est jamais verrouillé : {', '.join(groups) or 'aucun'}"


@pytest.mark.rule("lockout-three-failures")
@pytest.mark.acts("last")
def test_lockout_lasts_a_minute_and_ends(host, lockout, reopening, observe):
    """The right password is tried over SSH again and again: refused for 60 s, then accepted."""
    assert lockout["at_once"] == DENIED, "le bon mot de passe est accepté après trois échecs"
    wait = f"for i in $(seq 280); do [ -e {reopening}/done ] && break; sleep 1; done; cat {reopening}/seen"
    tries = [[int(word) for word in line.split()] for line in host.check_output(wait, timeout=300).splitlines()]
    refused = [begun for begun, _, rc in tries if rc == DENIED]
    opened = next((ended for _, ended, rc in tries if rc == 0), None)
    observe(f"refusé à {', '.join(map(str, refused)) or 'aucun moment'} s, rouvert à {opened or 'aucun moment'} s")
    if tries and tries[0][0] > 60:
        not_verified("l'hôte est trop lent : aucun essai n'a commencé dans la minute")
    assert refused, "le compte est rouvert avant 60 s"
    assert opened is not None, "le compte ne se rouvre pas"
    assert opened >= 60, f"le compte est rouvert après {opened} s"


@pytest.mark.rule("lockout-recorded")
@pytest.mark.acts
def test_lockout_is_recorded(host, lockout, observe):
    """The journal kept on disk is searched for the provoked lockout, its account, its source address and its time."""
    login = lockout["person"].login
    host.run("journalctl --sync")
    command = f"journalctl -q --directory=/var/log/journal --since=-30min -o short-iso --facility=auth,authpriv | grep -F {login}"
    lines = host.run(command).stdout.splitlines()
    locks = [line for line in lines if LOCKED.format(login) in line]
    sources = [line for line in lines if re.search(rf"(Failed password for {login} from|rhost=)\s*127\.7\.", line)]
    observe(f"{len(locks)} verrouillage(s) et {len(sources)} échec(s) avec adresse dans le journal sur disque")
    assert locks, "le verrouillage n'est pas dans un journal conservé sur disque"
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", locks[0]), "le verrouillage n'est pas daté"
    assert sources, "l'adresse d'origine n'est pas journalisée"


@pytest.mark.rule("lockout-alert")
def test_watch_is_active(facts, observe):
    """The job that counts the lockouts of the day is active and due within ten minutes."""
    watch = timer(facts, "pgssi-lockout-watch.timer")
    observe(str(watch))
    fault = watch.fault("surveillance des verrouillages", 600)
    assert not fault, fault


@pytest.mark.rule("lockout-alert")
@pytest.mark.acts
def test_third_lockout_alerts_once(host, new_visitor, on_host, draw, observe):
    """A throw-away account is locked twice, then a third time: no alert, then one, and still one at the next watch."""
    person = new_visitor()
    counts = []

    def lock():
        on_host("authenticate", service="sshd", login=person.login, passwords=[draw(16) for _ in range(3)])
        host.run("faillock --user %s --reset", person.login)

    def alerts():
        host.run("journalctl --sync")
        done = one_pass(host, "pgssi-lockout-watch.service")
        assert done.rc == 0, "aucune surveillance des verrouillages"
        host.run("journalctl --sync")
        text = host.run("journalctl -q --since=-30min -o cat -t pgssi-alert | grep -cF %s", person.login).stdout
        counts.append(int(text.strip() or 0))

    lock()
    lock()
    alerts()
    lock()
    alerts()
    alerts()
    observe(f"alertes après 2, 3 et 3 verrouillages : {counts}")
    assert counts[0] == 0, "deux verrouillages alertent déjà"
    assert counts[1] == 1, "le troisième verrouillage du jour n'alerte pas"
    assert counts[2] == 1, "l'alerte est répétée"


# One line for each account: its name, TMOUT as the profile of the system sets it for that account, and what is left of it after
# an attempt to lift it. Nobody's own profile is run.
IDLE_SHELLS = """try='echo ${TMOUT:-aucun}; unset TMOUT 2>/dev/null; TMOUT=0 2>/dev/null; echo ${TMOUT:-levé}'
for l; do
    getent passwd "$l" >/dev/null || continue  # an account of another test, gone since
    as="setpriv --reuid=$l --regid=$(id -g "$l") --init-groups env -i HOME=/nonexistent USER=$l LOGNAME=$l"
    echo "$l" $(timeout 10 $as /bin/bash -lc "$try" </dev/null 2>/dev/null)
done"""


@pytest.mark.rule("session-idle-limit")
def test_idle_sessions(host, people, facts, observe):
    """The running session manager tells its idle limit; each account with a shell, and nobody, tries to lift TMOUT at login."""
    name = "org.freedesktop.login1"
    answer = facts("access-idle", f"busctl get-property {name} /org/freedesktop/login1 {name}.Manager StopIdleSessionUSec; true")
    microseconds = int(answer.split()[-1]) if answer.split() else 0
    limit = microseconds / 60e6
    logins = sorted({"nobody", *(login for login in people.passwd if not people.closed_shell(login))})
    said = host.check_output(f"sh -c {shlex.quote(IDLE_SHELLS)} sh {' '.join(map(shlex.quote, logins))}")
    told = {who: words for who, *words in map(str.split, said.splitlines())}
    values = {words[0] if words else "inconnu" for words in told.values()}
    closed = f"{limit:.0f} min" if limit < 1e6 else "jamais"
    observe(f"fermeture après {closed} ; TMOUT de {len(told)} compte(s) : {', '.join(sorted(values))}")
    assert 0 < limit <= 30, "les sessions inactives ne sont pas fermées en 30 minutes"
    free = [who for who, words in told.items() if not (words and words[0].isdigit() and 0 < int(words[0]) <= 1800)]
    assert not free, f"TMOUT n'est pas fixé à 30 minutes au plus : {', '.join(free)}"
    lifted = [who for who, words in told.items() if words[-1] != words[0]]
    assert not lifted, f"un utilisateur peut lever TMOUT : {', '.join(lifted)}"


@pytest.mark.rule("session-dead-peer-closed")
def test_dead_peers(facts, observe):
    """The effective settings of every sshd give the time after which a silent client is closed."""
    limits = {str(v): int(v.get("clientaliveinterval") or 0) * int(v.get("clientalivecountmax") or 0) for v in views(facts)}
    seconds = sorted(limits.values())
    late = [view for view, limit in limits.items() if not 0 < limit <= 1800]
    observe(f"client muet fermé après {seconds[-1]} s" if seconds[0] else "client muet jamais fermé")
    assert not late, f"une connexion morte n'est pas fermée en 30 minutes : {', '.join(late)}"


@pytest.mark.rule("login-notice")
def test_notice(facts, observe):
    """A client that shows no credential, so that no failed login is counted, reads what it is told before authentication."""
    port = facts.sshd().get("port", "22").split()[0]
    alone = "-o PreferredAuthentications=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10"
    command = f"ssh -T -p {port} -b 127.7.255.2 {alone} personne@127.0.0.1 true </dev/null"
    said = facts.result("access-notice", command).stderr
    if "Permission denied" not in said:
        not_verified(f"sshd ne répond pas : {said.strip()[-200:]}")
    told = NOTICE.search(said.replace("Permission denied", ""))
    observe(f"avis : {'présent' if told else 'absent'}")
    assert told, "aucun avis de traçabilité avant connexion"


@pytest.mark.rule("login-notice")
def test_notice_for_everybody(facts, observe):
    """Each sshd that gives a notice by its banner is asked in each Match block: every answer names a file that holds one."""
    seen = views(facts)
    texts = {path: facts(f"access-banner:{path}", f"cat -- {shlex.quote(path)} 2>/dev/null; true")
             for path in {view.get("banner") for view in seen} - {"", "none"}}  # fmt: skip
    told = {path for path, text in texts.items() if NOTICE.search(text)}
    # A server whose banner tells nobody anything may do so by other means: the client of the other test sees those.
    by_banner = {view.server for view in seen if view.get("banner") in told}
    mute = [str(view) for view in seen if view.server in by_banner and view.get("banner") not in told]
    observe(f"{len(seen)} réponses de sshd, {len(mute)} sans avis")
    assert not mute, f"aucun avis de traçabilité pour : {', '.join(mute[:4])}"


@pytest.mark.rule("root-ssh-refused")
def test_root_over_ssh(facts, people, observe):
    """Every sshd that runs is asked for what it would apply to root, from inside, outside and in each Match block."""
    seen, groups = views(facts, "root"), people.member_of("root") | people.primary("root")
    # Who stands in no AllowUsers or AllowGroups, or in DenyUsers, is refused as well.
    entering = [view for view in seen if view.admits("root", groups)]
    accepting = [f"{view} : {view.get('permitrootlogin')}" for view in entering if view.get("permitrootlogin") != "no"]
    others = facts("access-other-ssh", OTHER_SSH)
    observe(f"root par SSH : refusé {len(seen) - len(accepting)} fois sur {len(seen)}")
    assert not accepting, f"sshd accepte root : {', '.join(accepting)}"
    assert not others.split(), f"un autre serveur SSH que sshd est en service : {' '.join(others.split())}"
