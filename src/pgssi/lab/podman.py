"""Podman through the wrapper of lab/podman, which knows both classes of machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from pgssi.errors import PgssiError
from pgssi.paths import ROOT

PODMAN = ROOT / "lab" / "podman" / "lab-podman"


class PodmanError(PgssiError):
    """A podman command that failed, with what it said."""


def podman(*arguments: str, stdin: bytes | None = None, timeout: float = 300) -> str:
    """Run podman and return its standard output. Raises PodmanError, also after ``timeout`` seconds."""
    shown = f"podman {' '.join(arguments[:4])}…"
    try:
        done = subprocess.run(
            [str(PODMAN), *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise PodmanError(f"{shown}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise PodmanError(f"{shown}: sans réponse après {timeout:.0f} s") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
        raise PodmanError(f"{shown} : code {done.returncode} : {said[-2000:]}")
    return done.stdout.decode(errors="replace")


def inside(container: str, script: str | Path, *, timeout: float = 300) -> str:
    """Run a shell script as root inside a container, stopping at its first error; return its output."""
    text = script.read_bytes() if isinstance(script, Path) else script.encode()
    return podman("exec", "-i", container, "sh", "-eus", stdin=text, timeout=timeout)


def containers(prefix: str) -> dict[str, dict[str, Any]]:
    """Return the containers of a lab by name: ``Id``, ``State`` (running, exited…), ``Labels``."""
    return {container["Names"][0]: container for container in _listed(prefix, "ps", "-a")}


def networks(prefix: str) -> dict[str, dict[str, Any]]:
    """Return the networks of a lab by name, as podman describes them."""
    return {network["name"]: network for network in _listed(prefix, "network", "ls")}


def _listed(prefix: str, *command: str) -> list[dict[str, Any]]:
    shown = podman(*command, "--filter", f"label=pgssi.lab={prefix}", "--format", "json")
    return json.loads(shown or "[]") or []  # podman 4 prints nothing, or null, for none
