"""What the end-to-end tests share: run a playbook or the verifier on the lab and read the outcome."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgssi.paths import PLAYBOOKS, ROOT

INVENTORY = ROOT / "inventories" / "demo"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Play:
    """The outcome of one ansible-playbook run."""

    returncode: int
    document: Mapping[str, Any]
    output: str

    def results(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for play in self.document.get("plays", ()):
            for task in play["tasks"]:
                for host, result in task["hosts"].items():
                    yield host, task["task"]["name"], result

    def changed(self) -> set[tuple[str, str]]:
        """Return (host, task name) of everything reported as changed."""
        return {(host, name) for host, name, result in self.results() if result.get("changed")}

    def failures(self) -> list[str]:
        """Return one readable line per failed or unreachable task."""
        return [
            f"{host}: {name}: {result.get('msg', result)}"
            for host, name, result in self.results()
            if result.get("failed") or result.get("unreachable")
        ]

    def tasks(self, host: str) -> int:
        """Return how many tasks this host went through, skipped ones included."""
        return sum(1 for name, _task, _result in self.results() if name == host)

    def succeeded(self) -> Play:
        """Return itself; fail the test with Ansible's own messages otherwise."""
        assert self.returncode == 0 and not self.failures(), "\n".join([*self.failures(), self.output[-4000:]])
        return self


def play(playbook: str | Path, *options: str, inventory: Path = INVENTORY, timeout: int = 1500) -> Play:
    """Run a playbook (a name in playbooks/, a path, or a collection name) on the lab."""
    path = PLAYBOOKS / f"{playbook}.yml"
    target = str(path) if path.exists() else str(playbook)
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "play.json"
        run = subprocess.run(
            [str(BIN / "ansible-playbook"), "-i", str(inventory), target, *options],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
                "ANSIBLE_JSON_INDENT": "0",
                "ANSIBLE_DEPRECATION_WARNINGS": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=report.open("w"),
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
            check=False,
        )
        text = report.read_text("utf-8")
    start = text.find("{")
    try:
        document = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        document = {}
    return Play(run.returncode, document, text[-6000:] + run.stderr)


def verify(directory: Path, *options: str, inventory: Path = INVENTORY, timeout: int = 1500) -> dict[str, Any]:
    """Run ``pgssi verify`` on the lab and return its results.json."""
    run = subprocess.run(
        [str(BIN / "pgssi"), "verify", "-i", str(inventory), "-o", str(directory), *options],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert run.returncode in (0, 1), f"pgssi verify stopped with {run.returncode}:\n{run.stdout[-3000:]}{run.stderr[-3000:]}"
    results: dict[str, Any] = json.loads((directory / "results.json").read_text("utf-8"))
    return results


def family(pid: int) -> list[int]:
    """Return a process and its descendants (Ansible's workers are sessions of their own); none when it has ended."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        return []
    return [pid, *(descendant for child in children for descendant in family(int(child)))]


def kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its descendants with SIGKILL, as a control node that dies."""
    for pid in reversed(family(process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
