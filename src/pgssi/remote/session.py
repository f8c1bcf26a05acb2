"""What the hosts say of the windows, gathered: are they ready, what is open, what was closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pgssi.errors import InvalidInput
from pgssi.remote.model import Remote
from pgssi.remote.request import Window, local
from pgssi.remote.words import problem

States = Mapping[str, Mapping[str, Any]]
SKEW = 20  # seconds between two clocks beyond which a window would open or close at another time than asked


def hosts_ready(states: States, wanted: Iterable[str], now: float, lang: str = "fr") -> None:
    """Raise InvalidInput when a host that the windows need is not prepared, or its clock is wrong."""
    problems = []
    for name in wanted:
        state = states.get(name) or {}
        if "now" not in state:
            problems.append(problem("not_ready", name, "pgssi-remote", "", lang))
        elif abs(state["now"] - now) > SKEW:
            seconds = round(state["now"] - now)
            problems.append(problem("clock", name, "date", local(state["now"]), lang, seconds=seconds))
        elif not state["wire"]["table"] and state.get("keys"):
            problems.append(problem("no_table", name, "table inet pgssi", "", lang))
    if problems:
        raise InvalidInput(problems)


def shown(remote: Remote, states: States, lang: str = "fr") -> list[str]:
    """Return one line per window as the hosts hold it now: who, what, time left, and where its wire stands."""
    held: dict[str, tuple[Mapping[str, Any], float]] = {}
    for state in states.values():
        for window in state.get("windows", ()):
            held.setdefault(window["id"], (window, state["now"]))
    lines = [f"{_heading(window, now, lang)} ; {_wire(window, states, lang)}" for window, now in held.values()]
    doors = [states.get(bastion.name) or {} for bastion in remote.bastions]
    on_bastions = {window["id"] for state in doors for window in state.get("windows", ())}
    if any("now" in state for state in doors):
        left = "fermée sur la passerelle, à fermer partout" if lang == "fr" else "closed on the bastion, to be closed everywhere"
        lines = [line if name in on_bastions else f"{line} ; {left}" for name, line in zip(held, lines, strict=True)]
    for name, state in states.items():
        if "now" not in state:
            lines.append(f"{name} : sans réponse" if lang == "fr" else f"{name}: no answer")
    return lines or ["Aucune fenêtre d'intervention." if lang == "fr" else "No window."]


def _heading(window: Mapping[str, Any], now: float, lang: str) -> str:
    left, until = int(window["end"] - now), window["start"] - now
    if until > 0:
        when = f"à partir de {local(window['start'])}" if lang == "fr" else f"from {local(window['start'])}"
    elif left > 0:
        spell = f"{left // 3600} h {left % 3600 // 60:02d} min {left % 60:02d} s"
        when = f"encore {spell}" if lang == "fr" else f"{spell} left"
    else:
        when = "terminée" if lang == "fr" else "over"
    return f"{window['id']} : {window['name']} ({window['supplier']}) / {window['equipment']}, {when}, {window['purpose']}"


def _wire(window: Mapping[str, Any], states: States, lang: str) -> str:
    """Say on which hosts the kernel holds the wire of a window, and for how long still."""
    parts = []
    for name, state in states.items():
        mine = [one for one in state.get("windows", ()) if one["id"] == window["id"]]
        if not mine:
            continue
        held = {one["key"]: one["expires"] for one in state["wire"]["elements"]}
        keys = [" . ".join(map(str, wire)) for wire in mine[0]["wires"]]
        left = [held[key] for key in keys if key in held]
        if len(left) == len(keys) and left:
            parts.append(f"{name} {min(left)} s")
        else:
            parts.append(f"{name} fermé" if lang == "fr" else f"{name} closed")
    return ("pare-feu : " if lang == "fr" else "firewall: ") + ", ".join(parts)


def granted_line(remote: Remote, window: Window, certificate: str, lang: str = "fr") -> str:
    """Say what a person was granted, and the command that it has to type."""
    access, port = window.access, remote.settings["port"]
    address = next(iter(remote.bastions[0].addresses), remote.bastions[0].name)
    until = local(window.end)
    told = f"ouvert jusqu'à {until}" if lang == "fr" else f"open until {until}"
    words = f"ssh -i CLÉ -o CertificateFile={certificate} -p {port} {access.account}@{address}"
    return f"{window.id} : {access.person.name} / {access.equipment.name}, {told} ; {words}"


def key_lines(remote: Remote, states: States) -> list[str]:
    """Return the key line of each bastion for each equipment: where it may come from, no forwarding, the key."""
    lines = []
    for access in {access.relay: access for access in remote.accesses()}.values():
        for bastion in remote.bastions:
            key = (states.get(bastion.name) or {}).get("keys", {}).get(access.relay)
            if key:
                sources = ",".join(bastion.addresses)
                lines.append(f'{access.equipment.name} ({access.equipment.login}) : from="{sources}",restrict,pty {key}')
    return lines


def closing(remote: Remote, states: States, who: str, lang: str = "fr") -> dict[str, Any]:
    """Return the windows that were closed, as reports want them (times ISO, UTC). Raises InvalidInput when there are none."""
    closed: dict[str, dict[str, Any]] = {}
    cut: set[str] = set()
    for state in states.values():
        cut |= set(state.get("cut", ()))
        for window in state.get("closed", ()):
            closed.setdefault(window["id"], _report(window))
    if not closed and who:
        known = ", ".join(sorted({access.account for access in remote.accesses()}))
        raise InvalidInput([problem("no_window", "-e", "window", who, lang, known=known)])
    told = "fermée" if lang == "fr" else "closed"
    lines = [f"{one['id']} : {one['name']} / {one['equipment']}, {told}" for one in closed.values()]
    return {"closed": list(closed.values()), "cut": sorted(cut), "lines": lines}


def _report(window: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: window[key] for key in ("id", "person", "name", "account", "supplier", "equipment", "purpose", "approver")}
    return {**kept, "start": _iso(window["start"]), "end": _iso(window["end"]), "closed": _iso(datetime.now(UTC).timestamp())}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
