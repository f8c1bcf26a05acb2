"""Windows: what they open, that they end, that they can be cut, and what the refused leave behind (PSSI 6.1.1.5, 6.1.2)."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.remote.model import Access, host_view, load
from pgssi.verify import not_applicable
from pgssi.verify.authorized_keys import key_files, key_options
from pgssi.verify.sshd_views import OUTSIDE, OUTSIDE6, views

Observe = Callable[[str], None]
# As each account: a call to a listener here, then one datagram to each address, which the kernel takes or refuses at once.
CALLS = """import json, os, pwd, socket, sys
asked = json.loads(sys.argv[1]); found = {"root": False, "reached": {}, "absent": []}
listener = socket.create_server(("127.0.0.1", 0)); door = listener.getsockname()
def calls(targets):
    reached = []
    try:
        socket.create_connection(door, timeout=3).close()
        reached.append("127.0.0.1")
    except OSError:
        pass
    for target in targets:
        with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as line:
            try:
                line.sendto(b"", (target, 9))
                reached.append(target)
            except OSError:
                pass
    return reached
found["root"] = bool(calls(())); heard = {}
for name in asked["names"]:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        found["absent"].append(name)
        continue
    out, back = os.pipe()
    if os.fork() == 0:
        os.setgroups([]); os.setresgid(*[entry.pw_gid] * 3); os.setresuid(*[entry.pw_uid] * 3)
        os.write(back, json.dumps(calls(asked["targets"])).encode())
        os._exit(0)
    os.close(back)
    heard[name] = os.fdopen(out)
for name, said in heard.items():
    found["reached"][name] = json.loads(said.read() or '["sans réponse"]')
print(json.dumps(found))"""
SESSION = "/usr/local/lib/pgssi/pgssi-remote-session"  # forced command of a maintenance account
PASSING = 40.0  # seconds: what ends so soon may belong to another test that runs now
PATIENCE = 5.0  # seconds that a cut may take


@pytest.mark.rule("remote-accounts-locked")
def test_accounts_outside_windows(state: Mapping[str, Any], declared: list[Access], facts: Any, observe: Observe) -> None:
    """Every supplier's account without an open window is locked and expired, and no process is its own."""
    shadow = facts.shadow()
    assert [one for one in declared if one.account in shadow], "la passerelle n'a aucun des comptes déclarés"
    open_now = {one["account"] for one in state.get("windows", ()) if one["start"] <= state["now"]}
    waiting = [one.account for one in declared if one.account in shadow and one.account not in open_now]
    unlocked = [name for name in waiting if not shadow[name][1].startswith("!") or not (shadow[name][7] or "99999") <= "1"]
    busy = set(facts("remote-busy", "ps -eo user:33= | sort -u").split()) & set(waiting)
    observe(f"{len(open_now)} fenêtres ouvertes, {len(waiting)} comptes hors fenêtre, {len(unlocked)} déverrouillés")
    assert not unlocked, f"comptes ouverts sans fenêtre : {', '.join(unlocked[:5])}"
    assert not busy, f"comptes actifs sans fenêtre : {', '.join(sorted(busy))}"


@pytest.mark.rule("remote-windows-timed")
def test_openings_have_an_end(state: Mapping[str, Any], site: Mapping[str, Any], observe: Observe) -> None:
    """Each element that the kernel holds has an end within the site's longest duration, and belongs to a window.

    One that is about to end by itself belongs to nobody for no longer than that.
    """
    assert state, "l'hôte ne sait rien des fenêtres d'intervention"
    assert state["wire"]["table"], "le pare-feu n'a pas d'ensembles de fenêtres"
    longest = int((site.get("site_remote") or {}).get("longest_hours", 8)) * 3600 + 10
    known = {" . ".join(map(str, wire)) for window in state["windows"] for wire in window["wires"]}
    endless = [one["key"] for one in state["wire"]["elements"] if one["expires"] is None or one["expires"] > longest]
    lasting = [one for one in state["wire"]["elements"] if one["expires"] is None or one["expires"] > PASSING]
    stray = [one["key"] for one in lasting if one["key"] not in known]
    observe(f"{len(state['wire']['elements'])} ouvertures, {len(state['windows'])} fenêtres")
    assert not endless, f"ouvertures sans fin : {', '.join(endless[:3])}"
    assert not stray, f"ouvertures sans fenêtre : {', '.join(stray[:3])}"


@pytest.mark.rule("remote-declared-equipment-only")
def test_suppliers_processes_reach_nothing_else(
    declared: list[Access], site: Mapping[str, Any], host: Host, observe: Observe
) -> None:
    """Suppliers' accounts and relays call a throw-away listener here, and an address of each other zone: no packet leaves."""
    names = sorted({name for access in declared for name in (access.relay, access.account)})
    mine = site.get("site_interfaces") or {}
    zones = {name: zone for name, zone in (site.get("site_zones") or {}).items() if name not in mine}
    networks = [ip_network(zone[key]) for zone in zones.values() for key in ("cidr4", "cidr6") if zone.get(key)]
    targets = [str(network[-2 if network.num_addresses > 2 else 0]) for network in networks if network.prefixlen]
    targets += [OUTSIDE, OUTSIDE6] if len(targets) < len(networks) else []
    done = host.run("python3 -I -c %s %s", CALLS, json.dumps({"names": names, "targets": targets}), timeout=120)
    assert done.rc == 0, f"les appels n'ont pas pu être essayés : {done.stderr.strip()[-200:]}"
    found = json.loads(done.stdout)
    reached = [f"{name} vers {', '.join(where)}" for name, where in found["reached"].items() if where]
    observe(f"{len(names)} comptes, {len(targets) + 1} adresses essayées, {len(reached)} comptes émettent")
    assert not found["absent"], f"la passerelle n'a pas les comptes déclarés : {', '.join(found['absent'][:4])}"
    assert found["root"], "le port d'essai ne répond à personne"
    assert not reached, f"peuvent émettre hors de toute fenêtre : {' ; '.join(reached[:4])}"


@pytest.mark.rule("remote-session-cut")
@pytest.mark.acts
def test_anybody_cuts_at_once(door: Any, observe: Observe) -> None:
    """An ordinary account runs the cutting command during a session in a throw-away window."""
    door.prepare()
    door.open()
    with door.running(door.certificate()) as session:
        door.alone()
        given, ended, said = session.ends("runuser -u nobody -- pgssi-remote-cut")
    observe(f"coupure en {ended - given:.1f} s : {said[-100:]}")
    assert said.endswith("rc 0"), "la commande de coupure échoue"
    assert ended - given <= PATIENCE, f"la session vit encore après {ended - given:.0f} s"


@pytest.mark.rule("remote-window-ends")
@pytest.mark.acts
def test_the_clock_cuts(door: Any, host: Host, observe: Observe) -> None:
    """A session runs in a throw-away window of a few seconds, and nobody does anything."""
    door.prepare()
    door.open(seconds=25)  # a certificate, a login and the start of a recording fit in
    with door.running(door.certificate()) as session:
        late = session.ends(patience=50)[1] - door.end
    end = time.monotonic()
    locked = f"getent shadow {door.account} | cut -d: -f2,8"
    while host.run(locked).stdout.strip() != "!*:1" and time.monotonic() < end + PATIENCE:
        time.sleep(0.3)
    fields = host.run(locked).stdout.strip()
    observe(f"session coupée {late:+.1f} s autour de l'échéance, compte {'reverrouillé' if fields == '!*:1' else 'resté ouvert'}")
    assert late >= -2, f"la session d'essai est morte {-late:.0f} s avant l'échéance : rien n'est prouvé"
    assert late <= PATIENCE, f"la session vit encore {late:.0f} s après l'échéance"
    assert fields == "!*:1", "le compte reste ouvert après l'échéance"


@pytest.mark.rule("remote-refusal-logged")
@pytest.mark.acts
def test_refusals_are_named(door: Any, host: Host, observe: Observe) -> None:
    """Without a window, then in one for a port, a login is refused: the journal names person, equipment, source and reason."""
    door.prepare()
    since = host.check_output("date +@%s.%N").strip()
    door.passes(door.certificate())
    door.open()
    door.login(door.certificate(), "-W 127.0.0.1:22")
    wanted = {"outside a window": False, "port forward": False}
    access = next(one for one in door.declared if one.account == door.account)
    end = time.monotonic() + PATIENCE
    while not all(wanted.values()) and time.monotonic() < end:
        for line in host.run(f"journalctl -q --no-pager -o cat -t pgssi-remote-gate --since '{since}'").stdout.splitlines():
            about = (
                f"person={access.person.id} " in line
                and f"target={access.equipment.name} " in line
                and "source=127.0.0.1" in line
            )
            for reason in wanted:
                wanted[reason] = wanted[reason] or ("decision=refused" in line and reason in line and about)
        time.sleep(0.3)
    observe(", ".join(f"{reason} : {'nommé' if seen else 'absent'}" for reason, seen in wanted.items()))
    assert all(wanted.values()), "une tentative refusée n'est pas nommée au journal"


@pytest.fixture
def expected(context: HostContext, pgssi_plan: Any) -> Mapping[str, Any]:
    """What the site model expects of this host: the accounts that suppliers maintain it by, the gateway's name and addresses."""
    hosts = pgssi_plan.inventory.hosts
    groups = {name: pgssi_plan.inventory.members(name) for name in ("bastions", "gateways")}
    remote = load({name: one.variables for name, one in hosts.items()}, groups)
    view = host_view(remote, context.name, hosts[context.name].groups)
    return view if view["logins"] else not_applicable("aucun prestataire ne maintient cet hôte")


def too_wide(options: Mapping[str, str], expected: Mapping[str, Any]) -> list[str]:
    """Return what a key line lacks of being the gateway's alone; any principal or address that is not the gateway's counts."""
    sources = set(filter(None, options.get("from", "").split(",")))
    lacks = {
        "une clé au lieu d'une autorité": "cert-authority" not in options,
        "un autre nom que celui de la passerelle": options.get("principals") != expected["principal"],
        "d'autres adresses que les siennes": not sources or not sources <= set(expected["bastion_addresses"]),
        "une autre commande": options.get("command") != SESSION,
        "des relais permis": "restrict" not in options,
    }
    return [what for what, present in lacks.items() if present]


@pytest.mark.rule("remote-equipment-bastion-only")
def test_maintenance_account_of_this_host(expected: Mapping[str, Any], facts: Any, observe: Observe) -> None:
    """Each key line of a maintenance account is an authority's, tied to the gateway's name, addresses and a command.

    Every server that lets the account in is asked, for every connection that it tells apart, where it takes keys from.
    """
    maintained, shadow = expected["logins"], facts.shadow()
    passwd, groups = {entry[0]: entry for entry in facts.getent("passwd")}, facts.getent("group")
    absent = [login for login in maintained if login not in passwd]
    assert not absent, f"comptes de maintenance absents : {', '.join(absent)}"
    wide, elsewhere, shut, count = [], [], [], 0
    for login in maintained:
        _, _, uid, gid, _, home = passwd[login][:6]
        mine = {group[0] for group in groups if group[2] == gid or login in group[3].split(",")}
        seen = [view for view in views(facts, login) if view.admits(login, mine)]
        others = [
            f"{key} {view.get(key)}, {view}"
            for view in seen for key in ("authorizedkeyscommand", "trustedusercakeys") if view.get(key) not in ("", "none")
        ]  # fmt: skip
        named = {view.get("authorizedkeysfile") or ".ssh/authorized_keys .ssh/authorized_keys2" for view in seen}
        paths = sorted({path for patterns in named for path in key_files(patterns, login, uid, home)})
        read = f"for f in {' '.join(map(shlex.quote, paths))}; do cat $f; echo; done 2>/dev/null; true"
        lines = list(key_options(facts(f"remote-maintained:{login}", read)))
        elsewhere += [f"{login} : {other}" for other in others]
        wide += [f"{login} : {', '.join(lacks)}" for options in lines if (lacks := too_wide(options, expected))]
        count += len(lines)
        shut += [] if any(not too_wide(options, expected) for options in lines) else [login]
    usable = [login for login in maintained if not shadow[login][1].startswith(("!", "*"))]
    observe(f"{len(maintained)} comptes, {count} clés, {len(wide)} trop larges, {len(usable)} mots de passe")
    assert not wide, f"clé qui ouvre d'ailleurs que de la passerelle : {' ; '.join(wide[:3])}"
    assert not elsewhere, f"des clés viennent aussi d'ailleurs : {' ; '.join(elsewhere[:3])}"
    assert not shut, f"n'admettent pas la passerelle : {', '.join(shut)}"
    assert not usable, f"compte de maintenance avec mot de passe : {', '.join(usable)}"
