"""Accounts of the windows: open while theirs is, locked and emptied of processes otherwise.

On a bastion these are the accounts of suppliers' people, on managed equipment the maintenance accounts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

SHADOW = Path("/etc/shadow")
FOLDER = Path("/etc/pgssi/remote")
KEYS = FOLDER / "keys"
REVOKED = FOLDER / "revoked.krl"
DAY = 86400


def bring(config: dict, active: list[dict], run: Path) -> list[str]:
    """Open the accounts of the active windows, lock the others, cut what still runs there; return the accounts cut."""
    mine = [one["account"] for one in config["accounts"]] + config["logins"]
    ends: dict[str, float] = {}
    for window in active:  # several windows on one maintenance account: the last one to end counts
        for key in ("account", "login"):
            if window.get(key) in mine:
                ends[window[key]] = max(ends.get(window[key], 0), window["end"])
    if "bastion" in config["functions"]:
        bastion_files(active, run)
    if "equipment" in config["functions"]:
        publish(run / "open", {f"{one['login']}.json": json.dumps(one) for one in active if one.get("login") in config["logins"]})
    lock(mine, ends)
    return end(config, [account for account in mine if account not in ends])


def lock(mine: list[str], ends: dict[str, float]) -> None:
    """Write the account database once: locked and expired since 1970, or open until the day after the end."""
    with Path("/etc/.pwd.lock").open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        before = SHADOW.read_text("utf-8")
        lines = []
        for line in before.splitlines():
            fields = line.split(":")
            if fields[0] in mine:
                opened = fields[0] in ends
                fields[1] = "*" if opened else "!*"
                fields[7] = str(int(ends[fields[0]] // DAY) + 2) if opened else "1"
            lines.append(":".join(fields))
        after = "".join(f"{line}\n" for line in lines)
        if after == before:
            return
        partial, seen = SHADOW.with_name("shadow.pgssi"), SHADOW.stat()
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(after)
            os.fchown(stream.fileno(), seen.st_uid, seen.st_gid)
            os.fchmod(stream.fileno(), seen.st_mode & 0o777)
            os.fsync(stream.fileno())
        partial.replace(SHADOW)


def _processes() -> dict[int, tuple[int, set[int]]]:
    """Return parent and user numbers of every process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "status").read_text("utf-8")
            except OSError:
                continue
            fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            found[int(folder.name)] = (int(fields["PPid"]), {int(number) for number in fields["Uid"].split()})
    return found


def _environment(number: int) -> bytes:
    try:
        return Path(f"/proc/{number}/environ").read_bytes()
    except OSError:
        return b""


def victims(config: dict, names: list[str]) -> dict[str, set[int]]:
    """Return, by account, its processes, all that descends from them, and its relays that lost their parents."""
    relays = {one["account"]: one["relay"] for one in config["accounts"]}
    numbers = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    processes = _processes()
    children: dict[int, list[int]] = {}
    for number, (parent, _) in processes.items():
        children.setdefault(parent, []).append(number)
    relay_uids = {numbers[relay] for relay in relays.values() if relay in numbers}
    askers = {number: _environment(number) for number, (_, users) in processes.items() if users & relay_uids}
    found = {}
    for name in names:
        mark = f"\0SUDO_USER={name}\0".encode()
        todo = [number for number, (_, users) in processes.items() if numbers.get(name) in users]
        todo += [number for number, words in askers.items() if mark in b"\0" + words]
        seen: set[int] = set()
        while todo:
            number = todo.pop()
            if number not in seen and number != os.getpid():
                seen.add(number)
                todo += children.get(number, [])
        found[name] = seen
    return found


def end(config: dict, names: list[str]) -> list[str]:
    """End all that runs for these accounts: first politely, so that both ends hear of it, after half a second by force."""
    ended: list[str] = []
    for attempt in range(40):
        running = {name: numbers for name, numbers in victims(config, names).items() if numbers}
        ended = ended or list(running)
        if not running:
            return ended
        for number in set().union(*running.values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM if attempt < 5 else signal.SIGKILL)
        time.sleep(0.1)
    raise SystemExit(f"processes that do not end: {running}")


def publish(folder: Path, wanted: dict[str, str]) -> None:
    """Keep exactly these files, by name, readable by all."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            partial = folder / f".{name}"
            partial.write_text(text, "utf-8")
            partial.chmod(0o644)
            partial.replace(path)


def bastion_files(active: list[dict], run: Path) -> None:
    """Give gate and relay what they need of each active window, and the relay's key its certificate."""
    public = {f"{one['account']}.json": {k: v for k, v in one.items() if k not in ("certificate", "wires")} for one in active}
    publish(run / "windows", {name: json.dumps(window, ensure_ascii=False) for name, window in public.items()})
    known = {one["account"]: "".join(f"{one['equipment']} {key}\n" for key in one["host_keys"]) for one in active}
    publish(run / "known", known)
    certificates = {window["relay"]: window["certificate"] for window in active if window.get("certificate")}
    for path in KEYS.glob("*-cert.pub"):
        if path.name.removesuffix("-cert.pub") not in certificates:
            path.unlink()
    for relay, text in certificates.items():
        path = KEYS / f"{relay}-cert.pub"
        if not path.exists() or path.read_text("utf-8") != text + "\n":
            path.write_text(text + "\n", "utf-8")
            path.chmod(0o644)


def revoke(state: Path, closed: list[tuple[str, float]]) -> None:
    """Revoke the certificates of windows that were closed before their end; forget those whose time is over."""
    register = state / "revoked.json"
    known = json.loads(register.read_text("utf-8")) if register.exists() else {}
    known = {name: until for name, until in {**known, **dict(closed)}.items() if until > time.time() - DAY}
    register.write_text(json.dumps(known), "utf-8")
    if not (FOLDER / "authority.pub").exists() or not REVOKED.exists():
        return
    listed = "".join(f"id: {name}\n" for name in known)
    partial = REVOKED.with_suffix(".new")
    command = ["ssh-keygen", "-q", "-k", "-f", str(partial), "-s", str(FOLDER / "authority.pub"), "-"]
    subprocess.run(command, input=listed, text=True, check=True)
    partial.chmod(0o644)
    partial.replace(REVOKED)


def state(config: dict) -> dict:
    """Return, for each account of the windows, whether it is locked and how many processes it has."""
    locked = {}
    mine = [one["account"] for one in config["accounts"]] + config["logins"]
    for line in SHADOW.read_text("utf-8").splitlines():
        fields = line.split(":")
        if fields[0] in mine:
            locked[fields[0]] = fields[1].startswith("!") and fields[7] == "1"
    running = victims(config, mine)
    return {name: {"locked": locked.get(name), "processes": len(running[name])} for name in mine}


def public_keys(config: dict) -> dict[str, str]:
    """Return the public key of each relay of this bastion."""
    paths = {one["relay"]: KEYS / f"{one['relay']}.pub" for one in config["accounts"]}
    return {relay: path.read_text("utf-8").strip() for relay, path in paths.items() if path.exists()}
