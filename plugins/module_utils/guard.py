"""A change that goes back by itself unless a new session of the operator confirms it in time.

::

    with Guard(paths=["/etc/ssh/sshd_config.d/50-pgssi.conf"], undo=["systemctl reload ssh"]) as guard:
        ...                                   # any exception puts everything back at once
        guard.run("systemctl reload ssh")
        guard.check("sshd -t")
    module.exit_json(changed=True, guard=guard.as_result())   # the action plugin confirms

On entering, the paths are copied and a systemd timer is armed; its service runs the copy of this file
left in ``/var/lib/pgssi/guard/<id>``, so that neither the SSH session, the control node, nor a reboot
matters.
Standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

if __name__ == "__main__":  # the copy on the host
    import guard_messages
    import guard_snapshot as snapshot
    import guard_units as units
else:
    from ansible_collections.pgssi.toolkit.plugins.module_utils import guard_messages
    from ansible_collections.pgssi.toolkit.plugins.module_utils import guard_snapshot as snapshot
    from ansible_collections.pgssi.toolkit.plugins.module_utils import guard_units as units

Command = Union[str, Sequence[str]]
ROOT = Path("/var/lib/pgssi/guard")
TIMEOUT = 60  # seconds from arming to going back
ARMING = 180  # seconds that a busy host may take to arm
RESERVE = 10  # of these, what is left to the control node for its proof
LATE = 20  # seconds after which a timer that has not fired is taken for dead
PENDING = ("armed", "restoring", "restored-at-boot")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}


class GuardError(Exception):
    """A guarded change that did not hold; ``text(lang)`` says what failed and what to do (fr, en)."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(guard_messages.text(code, "fr", values))
        self.code = code
        self.values = values
        self.restored: List[str] = []

    def text(self, lang: str = "fr") -> str:
        """Return the message in one language."""
        return guard_messages.text(self.code, lang, self.values)


def execute(command: Command, timeout: float = 30) -> Tuple[int, str]:
    """Run one command without a shell; return its exit code and output (124 when it took too long)."""
    argv = shlex.split(command) if isinstance(command, str) else list(command)
    # A file, not a pipe: a daemon that inherits a pipe would keep it open for ever.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return 127, str(error)
        try:
            code = process.wait(timeout=max(timeout, 0.1))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = 124
        output.seek(0)
        return code, output.read()[-4000:].decode("utf-8", "replace").strip()


class Guard:
    """One armed change. paths: what may change, copied with mode, owner and absence, trees recursively.

    undo: commands run after the files are back. timeout: seconds until the host goes back by itself.
    label: what the operator calls the change. Raises GuardError.
    """

    def __init__(self, paths: Sequence[str], undo: Sequence[Command] = (), timeout: int = TIMEOUT, label: str = "") -> None:
        self.paths, self.undo, self.timeout, self.label = list(paths), list(undo), int(timeout), label
        self.id = f"{int(time.time())}-{uuid.uuid4().hex[:8]}"
        self.directory = ROOT / self.id

    def __enter__(self) -> "Guard":
        while True:
            settle()
            with _lock():
                if not _pending():
                    self._arm()
                    return self

    def __exit__(self, kind: Any, error: Any, _traceback: Any) -> None:
        if kind is not None:
            restored = self.restore()
            if isinstance(error, GuardError):
                error.restored = restored

    def write(self, path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
        """Replace one of the guarded files atomically."""
        with _lock():
            self._still_armed()
            with _refused(path):
                snapshot.replace(path, content, mode, uid, gid)

    def remove(self, path: str) -> None:
        """Remove one of the guarded files."""
        with _lock():
            self._still_armed()
            with _refused(path):
                snapshot.remove(path)

    def run(self, command: Command) -> str:
        """Run a command that makes the change effective; return its output, raise GuardError if it fails."""
        return self._execute(command, "apply_failed")

    def check(self, command: Command) -> str:
        """Run a command that must succeed for the change to stand."""
        return self._execute(command, "check_failed")

    def restore(self) -> List[str]:
        """Put everything back now; return the paths that had changed."""
        return list(rollback(self.id)["restored"])

    def as_result(self) -> Dict[str, Any]:
        """Return what the control node needs to confirm: ``{id, directory, remaining}`` (seconds)."""
        return {
            "id": self.id,
            "directory": str(self.directory),
            "remaining": round(_remaining(self._state()), 1),
        }

    def _arm(self) -> None:
        if os.geteuid() != 0:
            raise GuardError("not_root")
        if not units.available():
            raise GuardError("no_systemd")
        _forget_settled()
        self.directory.mkdir(mode=0o700)
        try:
            snapshot.capture(self.paths, self.directory / "before")
        except (OSError, snapshot.SnapshotError) as error:
            shutil.rmtree(self.directory)
            raise GuardError("no_snapshot", reason=error) from error
        for module in (sys.modules[__name__], snapshot, units, guard_messages):
            name = module.__name__.rpartition(".")[2]
            snapshot.write_private(self.directory / f"{name}.py", inspect.getsource(module).encode())
        state = {
            "id": self.id,
            "label": self.label,
            "state": "armed",
            "timeout": self.timeout,
            "deadline": _now() + self.timeout,
            "boot": _boot(),
            "undo": self.undo,
            "running": units.running(execute),
            "restored": [],
            "failures": [],
        }
        _save(state)
        # The time to go back counts from here on; a busy host may need long to get so far.
        failure = units.arm(self.directory, self.timeout, lambda command: execute(command, ARMING))
        if failure:
            units.disarm(execute)
            shutil.rmtree(self.directory)
            raise GuardError("not_armed", reason=failure)

    def _execute(self, command: Command, code: str) -> str:
        status, output = execute(command, _remaining(self._state()) - min(RESERVE, self.timeout / 3))
        self._still_armed()
        if status != 0:
            shown = command if isinstance(command, str) else shlex.join(command)
            raise GuardError(code, command=shown, status=status, output=output, label=self.label)
        return output

    def _state(self) -> Dict[str, Any]:
        return _load(self.directory)

    def _still_armed(self) -> None:
        if self._state()["state"] != "armed":
            raise GuardError("too_late", label=self.label, timeout=self.timeout)


@contextlib.contextmanager
def _refused(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GuardError("refused_restored", path=path, number=error.errno or 0) from error


def rollback(identifier: str, boot: bool = False) -> Dict[str, Any]:
    """Put a guarded change back unless it is confirmed; return its state. Safe to repeat, also after a crash.

    boot: files only; the commands wait for the services that start after.
    """
    directory = ROOT / identifier
    with _lock(patience=15):
        state = _load(directory)
        if state["state"] not in PENDING:
            units.disarm(execute)
            return state
        state["state"] = "restoring"
        _save(state)
        state["restored"] += _put_back(directory)
        if boot:
            state["state"] = "restored-at-boot"
            _save(state)
            return state
        for command in state["undo"]:
            status, output = execute(command)
            if status != 0:
                state["failures"].append(f"{command}: {status}: {output}")
        _put_back(directory)  # a command may have rewritten what it generates
        units.start_again(state["running"], execute)
        state["restored"] = sorted(set(state["restored"]))
        state["state"] = "restored"
        _save(state)
        shutil.rmtree(directory / "before")
        units.disarm(execute)
        return state


def _put_back(directory: Path) -> List[str]:
    try:
        return snapshot.restore(directory / "before")
    except OSError as error:
        raise GuardError("not_restored", reason=error, directory=directory) from error


def confirm(identifier: str) -> Dict[str, Any]:
    """Keep a change for good; return its state: ``confirmed``, or ``restored`` when it was too late."""
    directory = ROOT / identifier
    with _lock():
        state = _load(directory)
        if state["state"] == "armed":
            state["state"] = "confirmed"
            _save(state)
            shutil.rmtree(directory / "before")
        if state["state"] == "confirmed":
            units.disarm(execute)
        return state


def settle() -> List[str]:
    """Wait until no change is pending: confirmed by its owner or gone back; return the ids that were."""
    seen: List[str] = []
    while True:
        with _lock():
            waiting = _pending()
        if not waiting:
            return seen
        state = waiting[0]
        if state["id"] not in seen:
            seen.append(state["id"])
        if _remaining(state) < -LATE:  # its timer is dead
            rollback(state["id"])
        else:
            time.sleep(0.5)


def pending() -> List[Dict[str, Any]]:
    """Return the states of the changes that are neither confirmed nor back."""
    with _lock():
        return _pending()


def _pending() -> List[Dict[str, Any]]:
    states = []
    for directory in _directories():
        if not (directory / "state.json").exists():  # killed before anything was armed or changed
            shutil.rmtree(directory)
            continue
        state = _load(directory)
        if state["state"] in PENDING:
            states.append(state)
    return states


def _forget_settled() -> None:
    for directory in _directories():
        shutil.rmtree(directory)


def _directories() -> List[Path]:
    return sorted(path for path in ROOT.iterdir() if path.is_dir())


def _load(directory: Path) -> Dict[str, Any]:
    return dict(json.loads((directory / "state.json").read_bytes()))


def _save(state: Dict[str, Any]) -> None:
    snapshot.write_private(ROOT / state["id"] / "state.json", json.dumps(state).encode())


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def _remaining(state: Dict[str, Any]) -> float:
    """Return the seconds left to a pending change; after a reboot its window is over."""
    return float(state["deadline"] - _now()) if state["boot"] == _boot() else -LATE - 1.0


@contextlib.contextmanager
def _lock(patience: Optional[float] = None) -> Iterator[None]:
    """Hold the guards of this host; the rollback goes on without the lock when its holder hangs."""
    ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    end = time.monotonic() + (patience if patience is not None else 3 * TIMEOUT)
    with open(ROOT / "lock", "w", encoding="ascii") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    if patience is not None:
                        break
                    raise GuardError("busy") from None
                time.sleep(0.1)
        yield


def main(arguments: Sequence[str]) -> int:
    """``guard.py confirm|rollback|boot|status ID``: print the state as one line of JSON with the user id."""
    action, identifier = arguments
    directory = ROOT / identifier
    if action == "confirm":
        state = confirm(identifier)
    elif action == "status":
        state = _load(directory)
    else:
        try:
            state = rollback(identifier, boot=action == "boot")
        finally:
            if action == "boot":
                units.finish_after_boot(execute)
    sys.stdout.write(json.dumps({"uid": os.geteuid(), **state}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
