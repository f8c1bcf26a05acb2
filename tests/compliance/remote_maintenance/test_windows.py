"""Windows: what they open, that they end, that they can be cut, and what the refused leave behind (PSSI 6.1.1.5, 6.1.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.remote.model import Access, load
from pgssi.verify import not_applicable

Observe = Callable[[str], None]
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
    """Each element that the kernel holds has an end within the site's longest duration, and belongs to a window."""
    assert state, "l'hôte ne sait rien des fenêtres d'intervention"
    assert state["wire"]["table"], "le pare-feu n'a pas d'ensembles de fenêtres"
    longest = int((site.get("site_remote") or {}).get("longest_hours", 8)) * 3600 + 10
    known = {" . ".join(map(str, wire)) for window in state["windows"] for wire in window["wires"]}
    endless = [one["key"] for one in state["wire"]["elements"] if one["expires"] is None or one["expires"] > longest]
    stray = [one["key"] for one in state["wire"]["elements"] if one["key"] not in known]
    observe(f"{len(state['wire']['elements'])} ouvertures, {len(state['windows'])} fenêtres")
    assert not endless, f"ouvertures sans fin : {', '.join(endless[:3])}"
    assert not stray, f"ouvertures sans fenêtre : {', '.join(stray[:3])}"


@pytest.mark.rule("remote-declared-equipment-only")
def test_suppliers_processes_reach_nothing_else(declared: list[Access], facts: Any, observe: Observe) -> None:
    """A port of the gateway that answers root is called as suppliers' accounts and relays: no packet leaves."""
    names = sorted({name for access in declared for name in (access.relay, access.account)})
    names = names[:4] + names[-4:]
    script = "p=$(ss -Hltn 'sport = :22' | wc -l); [ $p -gt 0 ] || exit 3; call='exec 3<>/dev/tcp/127.0.0.1/22'; "
    script += 'bash -c "$call" 2>/dev/null && echo root; '
    script += f"for a in {' '.join(names)}; do u=$(id -u $a 2>/dev/null) || {{ echo absent $a; continue; }}; "
    script += 'setpriv --reuid=$u --clear-groups timeout 3 bash -c "$call" 2>/dev/null && echo reached $a; done; true'
    lines = facts("remote-cage", script, 60).split("\n")
    absent = [line for line in lines if line.startswith("absent")]
    reached = [line.split()[1] for line in lines if line.startswith("reached")]
    observe(f"{len(names)} comptes essayés, {len(reached)} passent ; root {'passe' if 'root' in lines else 'ne passe pas'}")
    assert not absent, "la passerelle n'a pas les comptes déclarés"
    assert "root" in lines, "le port d'essai ne répond à personne"
    assert not reached, f"peuvent émettre hors de toute fenêtre : {', '.join(reached)}"


@pytest.mark.rule("remote-session-cut")
@pytest.mark.acts
def test_anybody_cuts_at_once(door: Any, host: Host, observe: Observe) -> None:
    """An ordinary account runs the cutting command during a session in a throw-away window."""
    door.prepare()
    door.open()
    with door.running(door.certificate()) as runs:
        assert runs(), "la session d'essai ne dure pas"
        started = time.monotonic()
        cut = host.run("runuser -u nobody -- pgssi-remote-cut", timeout=30)
        while runs() and time.monotonic() < started + 20:
            time.sleep(0.2)
        spent = time.monotonic() - started
    observe(f"coupure en {spent:.1f} s : {cut.stdout.strip() or cut.stderr.strip()[-100:]}")
    assert cut.rc == 0, "la commande de coupure échoue"
    assert spent <= PATIENCE, f"la session vit encore après {spent:.0f} s"


@pytest.mark.rule("remote-window-ends")
@pytest.mark.acts
def test_the_clock_cuts(door: Any, host: Host, observe: Observe) -> None:
    """A session runs in a throw-away window of a few seconds, and nobody does anything."""
    door.prepare()
    door.open(seconds=9)
    end = time.monotonic() + 9
    with door.running(door.certificate()) as runs:
        while runs() and time.monotonic() < end + 20:
            time.sleep(0.3)
        late = time.monotonic() - end
    locked = f"getent shadow {door.account} | cut -d: -f2,8"
    while host.run(locked).stdout.strip() != "!*:1" and time.monotonic() < end + PATIENCE:
        time.sleep(0.3)
    fields = host.run(locked).stdout.strip()
    observe(f"session coupée {late:+.1f} s autour de l'échéance, compte {'reverrouillé' if fields == '!*:1' else 'resté ouvert'}")
    assert late <= PATIENCE, f"la session vit encore {late:.0f} s après l'échéance"
    assert fields == "!*:1", "le compte reste ouvert après l'échéance"


@pytest.mark.rule("remote-refusal-logged")
@pytest.mark.acts
def test_refusals_are_named(door: Any, host: Host, observe: Observe) -> None:
    """Without a window, then in one for a port, a login is refused: the journal names person, equipment, source and reason."""
    door.prepare()
    since = host.check_output("date '+%Y-%m-%d %H:%M:%S'").strip()
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
def maintained(site: Mapping[str, Any]) -> list[str]:
    """The maintenance accounts that suppliers have on this host."""
    name = site["inventory_hostname"]
    remote = load({name: dict(site)}, {"bastions": [name]})
    mine = {one.equipment.login for one in remote.accesses() if one.equipment.name == name and one.equipment.protocol == "ssh"}
    return sorted(mine) or not_applicable("aucun prestataire ne maintient cet hôte")


@pytest.mark.rule("remote-equipment-bastion-only")
def test_maintenance_account_of_this_host(maintained: list[str], facts: Any, observe: Observe) -> None:
    """Each key line of a maintenance account is an authority's, tied to the gateway's name, addresses and a command."""
    shadow, homes = facts.shadow(), {entry[0]: entry[5] for entry in facts.getent("passwd")}
    absent = [login for login in maintained if login not in homes]
    assert not absent, f"comptes de maintenance absents : {', '.join(absent)}"
    open_lines, usable = [], [login for login in maintained if not shadow[login][1].startswith(("!", "*"))]
    for login in maintained:
        files = facts.sshd(user=login, host="x", addr="10.0.0.1").get("authorizedkeysfile", ".ssh/authorized_keys").split()
        paths = " ".join(name if name.startswith("/") else f"{homes[login]}/{name}" for name in files)
        lines = facts(f"remote-maintained:{login}", f"cat {paths} 2>/dev/null; true").splitlines()
        asked = ("cert-authority", 'principals="', 'from="', 'command="', "restrict")
        open_lines += [login for line in lines if line.strip() and not all(word in line for word in asked)]
        assert any("cert-authority" in line for line in lines), f"{login} n'admet pas la passerelle"
    observe(f"{len(maintained)} comptes, {len(open_lines)} clés trop larges, {len(usable)} mots de passe")
    assert not open_lines, f"clé qui ouvre d'ailleurs que de la passerelle : {', '.join(open_lines)}"
    assert not usable, f"compte de maintenance avec mot de passe : {', '.join(usable)}"
