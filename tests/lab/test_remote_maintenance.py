"""A supplier at its own keyboard: what one window lets one person do, what it refuses, how it ends and what it leaves."""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgssi.lab.podman import podman
from pgssi.paths import COMPLIANCE

from .supplier import (
    AWAY,
    BASTION,
    MODALITY,
    SERVER,
    Away,
    Granted,
    ask,
    close_windows,
    closed,
    ended,
    open_windows,
    report,
    said,
    sign,
    ways_in,
    within,
)
from .support import INVENTORY, play

GATEWAY, LOGS = "gw1", "log1"
JEANNE, PAUL, THOMAS = "acme-jdurand", "acme-pmartin", "medidoc-tleroy"
CUT = 5.0  # seconds that a cut may take
RECORDINGS = "/srv/pgssi-recordings"


@pytest.fixture(scope="module")
def inside(lab: Any) -> Callable[..., str]:
    """Run a script as root inside a host; give its output."""
    return lambda host, script, **more: podman("exec", "-i", lab.model.container(host), "sh", "-euc", script, **more)


@pytest.fixture(scope="module")
def away(lab: Any, inside: Callable[..., str]) -> Iterator[Away]:
    """The supplier's machine. The modality has the bastion's key, put there by hand, and the editor's address leads here."""
    machine = Away(lab)
    thomas = machine.source(THOMAS)
    inside(AWAY, f"ip address replace {thomas} dev lo")
    inside(GATEWAY, f"ip route replace {thomas} via {machine.place(AWAY).v4}")
    lines = said(play("remote_session", "-e", "remote_session=keys").succeeded(), "Tell them")
    (line,) = [line for line in lines if line.startswith(f"{MODALITY} (service) : ")]
    install = "install -d -m 700 -o service ~service/.ssh; cat > ~service/.ssh/authorized_keys; chown service ~service/.ssh/*"
    inside(MODALITY, install, stdin=line.split(" : ", 1)[1].encode() + b"\n")
    yield machine
    if "id" in json.dumps(json.loads(inside(BASTION, "pgssi-remote state"))["windows"]):
        close_windows("all")
    inside(GATEWAY, f"ip route delete {thomas}")
    inside(AWAY, f"ip address delete {thomas} dev lo")


@pytest.mark.parametrize("version", ["v4", "v6"])
def test_without_a_window_no_door_answers(away: Away, version: str) -> None:
    """Outside any window, not one packet of the supplier reaches the bastion, the modality or a server."""
    doors = ways_in(away, version)
    assert dict(zip(doors, away.knock(*doors), strict=True)) == dict.fromkeys(doors, "nothing")


@pytest.fixture(scope="module")
def windows(away: Away) -> list[Granted]:
    """Windows of Jeanne and Paul on the modality, and of Thomas on the server, opened by one run."""
    return open_windows(away, (JEANNE, MODALITY), (PAUL, MODALITY), (THOMAS, SERVER))


@pytest.fixture(scope="module")
def marker() -> str:
    """A word that nobody else types."""
    return f"MARQUEUR-{secrets.token_hex(6)}"


def test_a_person_works_on_the_equipment_of_the_window(away: Away, windows: list[Granted], marker: str) -> None:
    """Commands, a terminal and files reach the equipment itself, over IPv4 and IPv6; the bastion shows no shell."""
    jeanne, _, thomas = windows
    assert away.run(away.work(JEANNE, jeanne, "hostname; id -un")).stdout.split() == [MODALITY, "service"]
    terminal = away.run(away.work(JEANNE, jeanne, more="-tt"), f"hostname\necho {marker} | rev\nexit\n")
    assert MODALITY in terminal.stdout and marker[::-1] in terminal.stdout
    there, options = f"scp://{jeanne.account}@{away.place(BASTION).v4}:{away.port}", away.options(JEANNE, jeanne.certificate)
    moved = away.run(
        f"seq 500 > envoi && scp -q {options} envoi {there}/recu && scp -q {options} {there}/recu retour && cmp envoi retour"
    )
    assert moved.returncode == 0, moved.stderr
    assert away.knock((away.place(BASTION).v6, away.port)) == ["open"]
    server = away.run(away.work(THOMAS, thomas, "hostname; id -un", f"-b {away.source(THOMAS)}"))
    assert server.stdout.split() == [SERVER, "maint-medidoc"], server.stderr


def test_everything_else_is_refused_and_named_on_the_log_server(
    away: Away, windows: list[Granted], inside: Callable[..., str]
) -> None:
    """Other people, equipment, addresses and certificates, forwarding of any kind: nothing, and the log server says who tried."""
    jeanne, paul, thomas = windows
    operators = str(away.site["ansible_user"])
    expired = sign(away, JEANNE, "-2h:-1h", jeanne)
    tries = {
        "no certificate": (away.ssh(JEANNE, "", jeanne.account), jeanne, "no valid certificate"),
        "expired certificate": (away.ssh(JEANNE, expired, jeanne.account), jeanne, "expired certificate"),
        "somebody else's account": (away.ssh(JEANNE, jeanne.certificate, paul.account), paul, "of another person or equipment"),
        "another equipment": (away.ssh(JEANNE, jeanne.certificate, thomas.account), thomas, "of another person or equipment"),
        "somebody else's key": (away.ssh(PAUL, jeanne.certificate, jeanne.account), jeanne, "no valid certificate"),
        "stolen, elsewhere": (away.work(THOMAS, thomas, "id"), thomas, "source address of nobody declared"),
        "operator": (away.ssh(JEANNE, jeanne.certificate, operators), None, "account of nobody's"),
        "port": (away.work(JEANNE, jeanne, more=f"-W {MODALITY}:11112"), jeanne, "port forward to"),
        "elsewhere": (away.work(JEANNE, jeanne, more=f"-W {away.place(SERVER).v4}:443"), jeanne, "port forward to"),
        "back": (
            away.work(JEANNE, jeanne, more="-N -o ExitOnForwardFailure=yes -R 45001:127.0.0.1:22"),
            jeanne,
            "remote port forward",
        ),
    }
    for name, (line, window, reason) in tries.items():
        done = away.run(line)
        assert done.returncode != 0 and not done.stdout, f"{name}: {done.stdout}{done.stderr}"
        account = window.account if window else operators
        words = ["decision=refused", reason, f'account="{account}"', away.place(AWAY).v4]
        if window:
            equipment, person = window.account.removeprefix("rm-").split("_")
            words += [f"person={person}", f"target={equipment}"]
        search = " | ".join(f"grep -F -- {shlex.quote(word)}" for word in words)
        told = f"cat {RECORDINGS}/hosts/*.log | {search} || [ $? -eq 1 ]"
        assert within(10, lambda told=told: inside(LOGS, told)), f"{name}: {' '.join(words)}"
    agent = "eval $(ssh-agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; " + away.work(
        JEANNE, jeanne, "echo ${SSH_AUTH_SOCK:-none}", "-A"
    )
    assert away.run(agent.replace("exec ssh", "ssh")).stdout.strip() == "none"
    open_door = (away.place(BASTION).v4, away.port)
    doors = [door for door in ways_in(away, "v4") if door != open_door]
    assert away.knock(open_door, *doors) == ["open", *["nothing"] * len(doors)]
    foreign = str(away.lab.model.zones["outside"].v4[99])
    inside(AWAY, f"ip address add {foreign}/32 dev lo")
    try:
        assert away.knock(open_door, source=foreign) == ["nothing"]
    finally:
        inside(AWAY, f"ip address delete {foreign}/32 dev lo")


def test_the_recording_is_out_of_the_bastions_reach(
    away: Away, windows: list[Granted], marker: str, inside: Callable[..., str]
) -> None:
    """While a session still runs, what is typed is on the log server; root of the bastion can change none of it."""
    jeanne = windows[0]
    word = f"{marker}-EN-COURS"
    with away.going(away.work(JEANNE, jeanne, f"echo {word}; sleep 10"), word) as session:
        find = (
            f"find {RECORDINGS}/recordings -name log.json -mmin -10 -exec grep -lF {word} {{}} +"  # not all that there ever was
        )
        find += " || [ $? -eq 1 ]"
        assert within(CUT, lambda: inside(LOGS, find)), "nothing on the log server while the session runs"
        assert session.poll() is None
    (name,) = [inside(LOGS, find).split()[0].removeprefix(f"{RECORDINGS}/recordings/").removesuffix("/log.json")]
    assert within(20, lambda: any(one["recording"] == name and one["end"] for one in ask("list", "--window", jeanne.id)))
    digests = f"cd {RECORDINGS}/recordings/{name} && sha256sum *"
    before = inside(LOGS, digests)
    link = json.loads(inside(BASTION, "cat /etc/pgssi/remote/record-link.json"))
    first = link["servers"][0]
    asked = {"server": first["name"], "port": link["port"], "name": name, "address": first["address"]}
    script = (COMPLIANCE / "remote_maintenance" / "on_bastion.py").read_bytes()
    answers = json.loads(inside(BASTION, f"python3 -I - attack {shlex.quote(json.dumps(asked))}", stdin=script))
    assert len(answers) == 5
    assert inside(LOGS, digests) == before
    inside(LOGS, "/usr/local/lib/pgssi/pgssi-record-server verify")
    places = "$(ls -d /var/log/sudo-io /var/lib/sudo /var/lib/pgssi /var/tmp /tmp 2>/dev/null)"
    left = f"find {places} -type f -exec grep -lF {word} {{}} + || [ $? -eq 1 ]"
    inside(BASTION, f"echo {word} > /var/tmp/temoin")
    assert inside(BASTION, left).split() == ["/var/tmp/temoin"]
    inside(BASTION, "rm /var/tmp/temoin")
    door = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{away.place(LOGS).v4}/22' 2>&1 || echo closed"
    assert "closed" in inside(BASTION, door)


def test_closing_cuts_running_work_and_writes_the_report(
    away: Away, windows: list[Granted], marker: str, inside: Callable[..., str]
) -> None:
    """Closing ends a sleep and a copy within seconds; who, what, when, commands and files are in the report at once."""
    jeanne, paul, thomas = windows
    there = f"scp://{jeanne.account}@{away.place(BASTION).v4}:{away.port}"
    copy = (
        f"head -c 90000000 /dev/zero > gros && exec scp -q -l 4000 {away.options(JEANNE, jeanne.certificate)} gros {there}/gros"
    )
    sleep = away.work(PAUL, paul, "echo parti; exec sleep 4242", "-tt")
    server = away.work(THOMAS, thomas, "echo parti; exec sleep 4343", f"-b {away.source(THOMAS)}")
    with away.going(sleep, "parti") as sleeping, away.going(copy) as copying, away.going(server, "parti") as serving:
        assert within(20, lambda: inside(MODALITY, "find ~service -maxdepth 1 -name gros -size +0"))
        assert inside(MODALITY, "pgrep -f 'sleep [4]242'") and inside(SERVER, "pgrep -f 'sleep [4]343'")
        with ThreadPoolExecutor() as pool:
            ends = [pool.submit(ended, process) for process in (sleeping, copying)]
            close_windows(MODALITY)
            told = inside(BASTION, "journalctl -q --no-pager -o short-unix -t pgssi-remote --since -10min")
            late = [end.result() - closed(told, window) for end, window in zip(ends, (paul, jeanne), strict=True)]
        assert max(late) <= CUT, late
        assert within(CUT, lambda: "gone" in inside(MODALITY, "pgrep -f 'sleep [4]242' || echo gone"))
        assert serving.poll() is None, "another equipment's session was cut too"
        started = time.time()
        inside(SERVER, "runuser -u nobody -- pgssi-remote-cut")
        assert ended(serving) - started <= CUT
        assert "gone" in inside(SERVER, "pgrep -f 'sleep [4]343' || echo gone")
    assert away.knock((away.place(BASTION).v4, away.port)) == ["nothing"]
    close_windows("all")
    told = report(away, jeanne)
    about, sessions = told["details"]["window"], told["details"]["sessions"]
    assert "Jeanne Durand" in told["who"]["supplier"] and told["who"]["approver"] == "Nadia Lefèvre"
    assert about["equipment"] == MODALITY and about["purpose"] == "Bruit sur les coupes axiales" and about["closed"]
    typed = [command["text"] for session in sessions for command in session["commands"]]
    assert any(marker in text for text in typed), typed
    files = {(Path(file["path"]).name, file["direction"]) for session in sessions for file in session["transfers"]}
    assert {("recu", "to_equipment"), ("recu", "from_equipment"), ("gros", "to_equipment")} <= files
    assert {one["reason"] for one in told["details"]["refused"]}
    assert list((Path(INVENTORY) / str(away.site["site_remote_dir"]) / "reports").glob(f"{told['id']}.html"))
    listed = {session["recording"] for session in sessions}
    assert listed == {one["recording"] for one in ask("list", "--window", jeanne.id)}
    assert any(marker[::-1] in ask("show", name, "--output")["output"] for name in listed)


def test_the_clock_opens_and_ends(away: Away, inside: Callable[..., str]) -> None:
    """Before its start a window opens nothing; at its end the session is cut, with nobody there, and reported when asked."""
    start = datetime.now(UTC) + timedelta(seconds=90)
    (window,) = open_windows(away, (JEANNE, MODALITY), start=start.isoformat(), duration="1m")
    end = start.timestamp() + 60
    door = (away.place(BASTION).v4, away.port)
    assert time.time() < start.timestamp(), "the machine is too slow for this test: it opened after its own start"
    assert away.knock(door) == ["nothing"] or time.time() > start.timestamp()
    time.sleep(max(0.0, start.timestamp() + 2 - time.time()))
    with away.going(away.work(JEANNE, window, "echo parti; exec sleep 4444"), "parti") as working:
        late = ended(working) - end
    assert -2 <= late <= CUT, late
    assert within(CUT, lambda: away.knock(door) == ["nothing"])
    play("intervention_reports").succeeded()
    told = report(away, window)
    assert not told["details"]["window"]["closed"] or "end" in told["details"]["window"]["reason"]
    assert len(told["details"]["sessions"]) == 1


@pytest.fixture
def crowd(away: Away, inside: Callable[..., str], tmp_path: Path) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """Fifty more people of the modality's supplier, declared and with keys of their own, and the options that declare them."""
    people = [f"acme-essai{number:02}" for number in range(50)]
    away.run(f"for name in {' '.join(people)}; do ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/$name; done")
    keys = away.run(f"cd ~/.ssh; cat {' '.join(f'{name}.pub' for name in people)}").stdout.splitlines()
    suppliers = deepcopy(away.site["site_suppliers"])
    suppliers["acme-imagerie"]["people"] += [
        {"id": name, "name": f"Essai {number:02}", "keys": [key]}
        for number, (name, key) in enumerate(zip(people, keys, strict=True))
    ]
    overlay = tmp_path / "crowd.yml"
    overlay.write_text(yaml.safe_dump({"site_suppliers": suppliers, "site_palier": 2}), "utf-8")
    declared = ("-e", f"@{overlay}")
    play("site", *declared, "--limit", f"{BASTION}:{GATEWAY}").succeeded()
    yield people, declared
    play("site", "-e", "site_palier=2", "--limit", f"{BASTION}:{GATEWAY}").succeeded()
    inside(BASTION, f"for name in {' '.join(people)}; do userdel rm-{MODALITY}_$name; done")
    away.run(f"cd ~/.ssh; rm {' '.join(f'{name} {name}.pub' for name in people)}")


def test_fifty_people_work_at_once_and_closing_ends_them_all(away: Away, crowd: tuple[list[str], tuple[str, ...]]) -> None:
    """Fifty windows opened by one run all let their own person work at the same time; one run closes them and cuts them all."""
    people, declared = crowd
    windows = open_windows(away, *((person, MODALITY) for person in people), more=declared)
    line = "echo parti; exec sleep 4545"
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        going = [away.going(away.work(*pair, line), "parti") for pair in zip(people, windows, strict=True)]
        sessions = list(pool.map(stack.enter_context, going))
        assert [one.poll() for one in sessions] == [None] * 50
        close_windows("all", *declared)
        assert within(CUT, lambda: None not in [one.poll() for one in sessions])
    assert away.knock((away.place(BASTION).v4, away.port)) == ["nothing"]


@pytest.mark.parametrize("palier", [3])
def test_a_second_factor_is_wanted(away: Away, palier: int) -> None:
    """At palier 3 the certificate alone opens nothing; with the person's one-time code it does, on either equipment."""
    assert palier == 3
    pairs = {JEANNE: MODALITY, THOMAS: SERVER}
    windows = open_windows(away, *pairs.items())
    reached = {}
    for (person, equipment), window in zip(pairs.items(), windows, strict=True):
        code = away.code(person)
        wrong = f"{(int(code) + 500_000) % 10**6:06d}"
        more = f"-b {away.source(person)}"
        for given in ("", wrong, code):
            told = away.run(away.work(person, window, "hostname", more, given))
            reached[person, given == code] = reached.get((person, given == code), "") + told.stdout.strip()
        assert reached[person, True] == equipment, told.stderr
    close_windows(",".join(window.account for window in windows))
    assert reached == {
        (person, right): equipment if right else "" for person, equipment in pairs.items() for right in (False, True)
    }
