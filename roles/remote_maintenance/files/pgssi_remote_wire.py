"""The wire of the windows: elements with a timeout in the sets of the host's firewall, and a cage for suppliers' processes.

Elements of the sets ``windows4`` and ``windows6`` of table ``inet pgssi`` come from here alone. Table ``inet
pgssi_remote`` lets the processes of suppliers and relays on a bastion send to open equipment only.
"""

from __future__ import annotations

import json
import pwd
import subprocess
import time
from pathlib import Path

SETS = {4: "windows4", 6: "windows6"}
CAGE = "pgssi_remote"
SEEN = Path("/run/pgssi-remote/cage")
# Throw-away elements of the compliance tests: they name themselves and end by themselves. Windows carry no comment, so
# that closing one always takes its elements away.
TRIAL, TRIAL_SECONDS = "pgssi-essai", 60
DROP_IN = Path("/run/systemd/system/pgssi-remote-apply.timer.d/windows.conf")


def nft(*arguments: str, script: str = "") -> str:
    """Run nft; raise with what it said."""
    done = subprocess.run(["nft", *arguments], input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"nft: {done.stderr.strip()}")
    return done.stdout


def _listed(table: str, name: str) -> list[dict] | None:
    done = subprocess.run(["nft", "-j", "list", "set", "inet", table, name], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    entries = next(item["set"] for item in json.loads(done.stdout)["nftables"] if "set" in item).get("elem", [])
    return [entry["elem"] if isinstance(entry, dict) and "elem" in entry else {"val": entry} for entry in entries]


def _words(value: dict | str | int) -> str:
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if isinstance(value, dict) and "concat" in value:
        return " . ".join(_words(part) for part in value["concat"])
    if isinstance(value, dict) and "range" in value:
        return "-".join(_words(part) for part in value["range"])
    return str(value)


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _changes(table: str, name: str, wanted: dict[str, float], there: list[dict]) -> list[str]:
    """Return the nft lines that bring a set to the wanted elements and remaining seconds; 3 s of difference are none.

    What a test put there for a moment stays, unless a window wants it.
    """
    lines = []
    for entry in there:
        key, left = _words(entry["val"]), entry.get("expires")
        if key in wanted and left is not None and abs(wanted[key] - left) < 3:
            wanted.pop(key)
        elif key in wanted or entry.get("comment") != TRIAL or left is None or left > TRIAL_SECONDS:
            lines.append(f"delete element inet {table} {name} {{ {key} }}")
    for key, left in wanted.items():
        lines.append(f"add element inet {table} {name} {{ {key} timeout {max(1, int(left * 1000))}ms }}")
    return lines


def bring(config: dict, windows: list[dict], left: dict[str, float]) -> str:
    """Open exactly these windows, each for its remaining seconds; return ``open``, or ``absent`` without the site's table."""
    elements: dict[int, dict[str, float]] = {4: {}, 6: {}}
    for window in windows:
        for source, target, protocol, port in window["wires"]:
            key = f"{source} . {target} . {protocol} . {port}"
            chosen = elements[_version(target)]
            chosen[key] = max(chosen.get(key, 0), left[window["id"]])
    lines, absent = [], False
    for version, name in SETS.items():
        there = _listed("pgssi", name)
        absent = absent or there is None
        lines += _changes("pgssi", name, elements[version], there or []) if there is not None else []
    if "bastion" in config["functions"]:
        lines += _cage(config, windows, left)
    if lines:
        nft("-f", "-", script="\n".join(lines) + "\n")
        if "bastion" in config["functions"]:
            SEEN.write_text(_cage_text(), "utf-8")
    return "absent" if absent else "open"


def _cage_text() -> str:
    done = subprocess.run(["nft", "-s", "list", "chain", "inet", CAGE, "output"], capture_output=True, text=True, check=False)
    return done.stdout


def _cage(config: dict, windows: list[dict], left: dict[str, float]) -> list[str]:
    """Return the lines that keep the cage whole and let the relays of these windows reach their equipment."""
    targets: dict[int, dict[str, float]] = {4: {}, 6: {}}
    for window in windows:
        number = pwd.getpwnam(window["relay"]).pw_uid
        for address in window["addresses"]:
            key = f"{number} . {address} . tcp . {window['port']}"
            chosen = targets[_version(address)]
            chosen[key] = max(chosen.get(key, 0), left[window["id"]])
    people = {str(pwd.getpwnam(name).pw_uid) for one in config["accounts"] for name in (one["account"], one["relay"])}
    seen = SEEN.read_text("utf-8") if SEEN.exists() else ""
    present = {version: _listed(CAGE, f"targets{version}") for version in (4, 6)}
    caged = _listed(CAGE, "people")
    lines = []
    if not seen or _cage_text() != seen or caged is None or None in present.values():
        lines = [
            f"add table inet {CAGE}",
            f"delete table inet {CAGE}",
            f"table inet {CAGE} {{",
            " set people { typeof meta skuid; }",
            " set targets4 { typeof meta skuid . ip daddr . meta l4proto . th dport; flags timeout; counter; }",
            " set targets6 { typeof meta skuid . ip6 daddr . meta l4proto . th dport; flags timeout; counter; }",
            " chain output { type filter hook output priority -5; policy accept;",
            "  meta skuid @people meta skuid . ip daddr . meta l4proto . th dport @targets4 accept",
            "  meta skuid @people meta skuid . ip6 daddr . meta l4proto . th dport @targets6 accept",
            "  meta skuid @people counter reject with icmpx admin-prohibited",
            " }",
            "}",
        ]
        present, caged = {4: [], 6: []}, []
    there = {_words(entry["val"]) for entry in caged or []}
    lines += [f"add element inet {CAGE} people {{ {uid} }}" for uid in sorted(people - there)]
    lines += [f"delete element inet {CAGE} people {{ {uid} }}" for uid in sorted(there - people)]
    for version in (4, 6):
        lines += _changes(CAGE, f"targets{version}", targets[version], present[version] or [])
    return lines


def wake(instants: list[float]) -> None:
    """Have ``apply`` run at these instants (seconds, UTC), beside its every minute."""
    lines = [time.strftime("OnCalendar=%Y-%m-%d %H:%M:%S UTC", time.gmtime(instant + 0.999)) for instant in instants]
    text = "\n".join(["[Timer]", *dict.fromkeys(lines), ""]) if lines else ""
    before = DROP_IN.read_text("utf-8") if DROP_IN.exists() else ""
    if text == before:
        return
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    if text:
        DROP_IN.write_text(text, "utf-8")
    else:
        DROP_IN.unlink()
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "restart", "pgssi-remote-apply.timer"], check=True)


def state() -> dict:
    """Return the elements of the sets as the kernel holds them: {key, expires (s)}, and whether the sets are there."""
    found: dict = {"table": True, "elements": []}
    for name in SETS.values():
        there = _listed("pgssi", name)
        found["table"] = found["table"] and there is not None
        found["elements"] += [{"key": _words(one["val"]), "expires": one.get("expires")} for one in there or []]
    return found
