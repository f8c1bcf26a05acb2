"""Sessions: lockout, its trace and its alert, idle sessions, notice, root over SSH (PSSI 5.2.3, 4.5.2.3)."""

from __future__ import annotations

import re

import pytest

from pgssi.verify import not_verified
from pgssi.verify.sshd_views import views
from pgssi.verify.timers import one_pass, timer

LOCKED = "Consecutive login failures for user {} account temporarily locked"
DENIED = 255


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


@pytest.mark.rule("session-idle-limit")
def test_idle_sessions(host, facts, observe):
    """The running session manager tells its idle limit, and an ordinary shell tries to lift TMOUT."""
    name = "org.freedesktop.login1"
    answer = facts("access-idle", f"busctl get-property {name} /org/freedesktop/login1 {name}.Manager StopIdleSessionUSec; true")
    microseconds = int(answer.split()[-1]) if answer.split() else 0
    limit = microseconds / 60e6
    shell = "setpriv --reuid=nobody --regid=nogroup --clear-groups env -i /bin/bash -lc"
    lifted = host.run(f"{shell} 'echo ${{TMOUT:-aucun}}; unset TMOUT 2>/dev/null; TMOUT=0 2>/dev/null; echo ${{TMOUT:-leve}}'")
    words = lifted.stdout.split()
    observe(f"fermeture après {f'{limit:.0f} min' if limit < 1e6 else 'jamais'} ; TMOUT {' puis '.join(words) or 'inconnu'}")
    assert 0 < limit <= 30, "les sessions inactives ne sont pas fermées en 30 minutes"
    assert words and words[0].isdigit() and 0 < int(words[0]) <= 1800, "TMOUT n'est pas fixé à 30 minutes au plus"
    assert words[-1] == words[0] or len(words) == 1, "un utilisateur peut lever TMOUT"


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
    told = re.search(r"(?i)trac|journalis|enregistr|monitor|logged", said.replace("Permission denied", ""))
    observe(f"avis : {'présent' if told else 'absent'}")
    assert told, "aucun avis de traçabilité avant connexion"


@pytest.mark.rule("root-ssh-refused")
def test_root_over_ssh(facts, observe):
    """Every sshd that runs is asked for what it would apply to root, from inside, outside and in each Match block."""
    seen = views(facts, "root")
    accepting = [f"{view} : {view.get('permitrootlogin')}" for view in seen if view.get("permitrootlogin") != "no"]
    others = facts(
        "access-dropbear", "for p in /proc/[0-9]*; do case $(readlink $p/exe) in */dropbear*) echo ${p#/proc/};; esac; done; true"
    )
    observe(f"root par SSH : refusé {len(seen) - len(accepting)} fois sur {len(seen)}")
    assert not accepting, f"sshd accepte root : {', '.join(accepting)}"
    assert not others.split(), "un autre serveur SSH que sshd est en service (dropbear)"
