"""Write the files of a service as one whole, and put its units in their state.

``files``: [{path, content | secret_content, mode, owner, group, state, private, validate}]; ``exclusive``: shell patterns
whose matches are removed unless listed; ``units``: [{name, enabled, state, restart_on: [paths], check: command}].
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shlex
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils.locked import named

DOCUMENTATION = """
module: service_files
short_description: Files of a service, and its systemd units, in one task
description:
  - Writes each file whole and atomically, after its own checker has accepted it; removes what no longer belongs.
  - Reloads systemd when a unit file changed, then enables, starts, restarts or stops the named units.
  - A service whose process was stopped by a signal is restarted; systemd still calls it active.
  - A unit with a C(check) is restarted when that command fails, because what it left in the kernel was changed since.
  - What systemd itself says overrides a named C(pgssi-) unit, wherever it lies outside /usr, is removed unless listed.
options:
  files:
    type: list
    elements: dict
    required: true
    description: Files and directories; nothing below a directory that is C(private) is open to a group or to others.
  exclusive: {type: list, elements: str, default: [], description: Patterns whose unlisted matches are removed.}
  units: {type: list, elements: dict, default: [], description: Units and the state that they must be in.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.service_files:
    files: [{path: /etc/systemd/system/x.timer, content: "[Timer]\\nOnCalendar=daily\\n"}]
    units: [{name: x.timer, enabled: true, state: started}]
"""
RETURN = """
changed_files: {description: Paths that were written or removed., type: list, returned: always}
"""

FILE = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str"},
    "secret_content": {"type": "str", "no_log": True},
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "state": {"type": "str", "default": "file", "choices": ["file", "directory", "absent"]},
    "private": {"type": "bool", "default": False},
    "validate": {"type": "str"},
}
UNIT = {
    "name": {"type": "str", "required": True},
    "enabled": {"type": "bool"},
    "state": {"type": "str", "choices": ["started", "stopped"]},
    "restart_on": {"type": "list", "elements": "path", "default": []},
    "check": {"type": "str"},
}


# Units whose names start so are ours alone.
OURS = "pgssi-"


class Files:
    """The differences between what is wanted and what is there, applied unless in check mode."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.changed: list[str] = []
        self.diffs: list[dict[str, str]] = []

    def apply(self, wanted: dict) -> None:
        path = Path(wanted["path"])
        if wanted["state"] == "absent":
            self.remove(path)
        elif wanted["state"] == "directory":
            self._directory(path, wanted)
        else:
            self._file(path, wanted)

    def remove(self, path: Path) -> None:
        if not path.is_symlink() and not path.exists():
            return
        self._note(path, f"{path}: present\n", f"{path}: absent\n")
        if self.module.check_mode:
            return
        if path.parent == Path("/etc/systemd/system") and not path.is_symlink():
            self.module.run_command(["systemctl", "disable", "--now", path.name])
        path.unlink()

    def _directory(self, path: Path, wanted: dict) -> None:
        if not path.is_dir():
            self._note(path, "", f"directory {path}\n")
            if not self.module.check_mode:
                path.mkdir(parents=True)
        self._rights(path, wanted)
        if wanted["private"]:
            self._close(path)

    def _close(self, path: Path) -> None:
        """Take the rights of groups and others from everything below a directory."""
        below = (Path(folder, name) for folder, names, plain in os.walk(path) for name in (*names, *plain))
        for one in below:
            with contextlib.suppress(FileNotFoundError):  # the service that writes there goes on meanwhile
                mode = stat.S_IMODE(one.lstat().st_mode)
                if mode & 0o077 and not one.is_symlink():
                    if not self.module.check_mode:
                        one.chmod(mode & 0o700)
                    self._note(one, f"{mode:04o}\n", f"{mode & 0o700:04o}\n")

    def _file(self, path: Path, wanted: dict) -> None:
        secret = wanted["secret_content"] is not None
        content = (wanted["secret_content"] if secret else wanted["content"] or "").encode()
        before = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        if before != content:
            if secret:
                self._note(path, f"{path}: secret\n", f"{path}: new secret\n")
            else:
                self._note(path, (before or b"").decode("utf-8", "replace"), content.decode())
            if not self.module.check_mode:
                self._write(path, content, wanted)
        self._rights(path, wanted)

    def _write(self, path: Path, content: bytes, wanted: dict) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            self._ownership(Path(name), wanted)
            if wanted["validate"]:
                command = [part.replace("%s", name) for part in shlex.split(wanted["validate"])]
                code, out, err = self.module.run_command(command)
                if code:
                    self.module.fail_json(msg=f"{path} is refused by its own checker: {(err or out).strip()}")
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    def _rights(self, path: Path, wanted: dict) -> None:
        if not path.exists():
            return
        found = path.stat()
        now = f"{stat.S_IMODE(found.st_mode):04o} {_name(pwd.getpwuid, found.st_uid)}:{_name(grp.getgrgid, found.st_gid)}"
        then = f"{int(wanted['mode'], 8):04o} {wanted['owner']}:{wanted['group']}"
        if now != then:
            self._note(path, f"{now}\n", f"{then}\n")
            if not self.module.check_mode:
                self._ownership(path, wanted)

    @staticmethod
    def _ownership(path: Path, wanted: dict) -> None:
        os.chown(path, pwd.getpwnam(wanted["owner"]).pw_uid, grp.getgrnam(wanted["group"]).gr_gid)
        path.chmod(int(wanted["mode"], 8))

    def _note(self, path: Path, before: str, after: str) -> None:
        if str(path) not in self.changed:
            self.changed.append(str(path))
        self.diffs.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})


def _name(lookup, number: int) -> str:
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)


def overrides(units: list[dict], states: list[dict[str, str]], listed: set[str]) -> list[Path]:
    """Return the files that override our own units and that nobody listed: drop-ins, and fragments that hide ours.

    Those of a whole type of unit (``service.d``) are the host's own business; the compliance tests name them.
    """
    found = []
    for unit, seen in zip(units, states, strict=True):
        if unit["name"].startswith(OURS):
            paths = [Path(path) for path in [seen["FragmentPath"], *seen["DropInPaths"].split()] if path]
            found += [path for path in paths if not path.is_relative_to("/usr/lib") and not path.is_relative_to("/lib")]
    ours = (path for path in found if path.name.startswith(OURS) or path.parent.name.startswith(OURS))
    return sorted({path for path in ours if str(path) not in listed})


def unit_commands(
    units: list[dict], states: list[dict[str, str]], changed: list[str], holds: Callable[[str], bool]
) -> list[list[str]]:
    """Return the systemctl commands that bring the units to their state; holds: whether the check of a unit succeeds."""
    commands = []
    if any("/systemd/" in path for path in changed):
        commands.append(["systemctl", "daemon-reload"])
    for unit, seen in zip(units, states, strict=True):
        touched = {path for path in changed if Path(path).name == unit["name"] or Path(path).parent.name == f"{unit['name']}.d"}
        renewed = touched or _halted(seen) or _newer(unit["restart_on"], changed, seen)
        restart = unit["state"] == "started" and bool(renewed)
        loaded, active = seen["LoadState"] == "loaded", seen["ActiveState"] in ("active", "activating")
        if unit["state"] == "started" and active and not restart and unit.get("check"):
            restart = not holds(unit["check"])
        enabled = seen["UnitFileState"] in ("enabled", "static")
        if unit["enabled"] is True and not enabled:
            commands.append(["systemctl", "enable", unit["name"]])
        if unit["enabled"] is False and enabled and loaded:
            commands.append(["systemctl", "disable", unit["name"]])
        if unit["state"] == "stopped" and active:
            commands.append(["systemctl", "stop", unit["name"]])
        elif unit["state"] == "started" and (restart or not active):
            commands.append(["systemctl", "restart" if restart else "start", unit["name"]])
    return commands


def _newer(paths: list[str], changed: list[str], seen: dict[str, str]) -> bool:
    """Return whether one of the files was written now, or since the unit started (by somebody who did not restart it)."""
    started = seen["ActiveEnterTimestamp"].lstrip("@")
    late = started.isdigit() and any(Path(path).exists() and Path(path).stat().st_mtime > int(started) + 2 for path in paths)
    return late or not set(paths).isdisjoint(changed)


def _seen(module: AnsibleModule, names: list[str]) -> list[dict[str, str]]:
    """Return what systemd says of the units, asked once."""
    if not names:
        return []
    wanted = ("LoadState", "ActiveState", "UnitFileState", "FragmentPath", "DropInPaths", "ActiveEnterTimestamp", "MainPID",
              "FreezerState")  # fmt: skip
    _, out, _ = module.run_command(["systemctl", "show", "--timestamp=unix", "-p", ",".join(wanted), "--", *names])
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in out.strip().split("\n\n")]
    blocks += [{}] * (len(names) - len(blocks))
    return [{key: block.get(key, "") for key in wanted} for block in blocks]


def _halted(seen: dict[str, str]) -> bool:
    """Tell whether a service was frozen, or its process stopped by a signal: systemd goes on calling it active."""
    if seen["FreezerState"] in ("frozen", "freezing"):
        return True
    try:
        return Path(f"/proc/{seen['MainPID']}/stat").read_text("utf-8", "replace").rpartition(") ")[2][:1] == "T"
    except OSError:
        return False


def main() -> None:
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": FILE},
            "exclusive": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "dict", "default": [], "options": UNIT},
        },
        supports_check_mode=True,
    )
    files = Files(module)
    for wanted in module.params["files"]:
        with named(module, Path(wanted["path"])):
            files.apply(wanted)
    listed = {wanted["path"] for wanted in module.params["files"]}
    for pattern in module.params["exclusive"]:
        for path in sorted(Path("/").glob(pattern.lstrip("/"))):
            if str(path) not in listed:
                with named(module, path):
                    files.remove(path)
    units = module.params["units"]
    states = _seen(module, [unit["name"] for unit in units])
    for path in overrides(units, states, listed):
        with named(module, path):
            files.remove(path)
    commands = unit_commands(units, states, files.changed, lambda check: module.run_command(shlex.split(check))[0] == 0)
    for command in commands:
        files.diffs.append({"before": "", "after": " ".join(command) + "\n", "after_header": "units", "before_header": "units"})
        if not module.check_mode:
            module.run_command(command, check_rc=True)
    module.exit_json(changed=bool(files.changed or commands), changed_files=files.changed, commands=commands, diff=files.diffs)


if __name__ == "__main__":
    main()
